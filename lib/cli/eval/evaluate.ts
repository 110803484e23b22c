import { statSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { FlowError } from '../../errors.js'
import { defaultsOf } from '../../load.js'
import { shortPath } from '../../support/quote.js'
import { type Cli, UsageError } from '../cli.js'
import { loadModel } from '../model-options.js'
import { checkOutputs } from '../outputs.js'
import { packageVersion } from '../package.js'
import { type ModelFiles, modelFiles, pathsOf } from '../run/model-files.js'
import { Progress } from '../run/progress.js'
import type { Pair, Part } from './datasets/dataset.js'
import { DATA_SETS, type DataSetName } from './datasets/index.js'
import type { EvalFlags } from './flags.js'
import { Ledger } from './ledger.js'
import { Predictor } from './predictor.js'
import type { EvalReport } from './report.js'
import { Work } from './work.js'
import { makeFolder } from '../../support/make-folder.js'

/** What an evaluation has done. */
export interface Evaluation {
  readonly report: EvalReport
  /** Pairs that an earlier run had finished. */
  readonly resumed: number
  readonly seconds: number
  /** The pictures of the worst pairs that were written. */
  readonly pictures: readonly string[]
  /** The file of finished pairs, if it was kept for another try. */
  readonly kept: string | undefined
}

/**
 * Measures the flow of a data set.
 *
 * @throws {UsageError} before the work, for options that do not fit together
 * @throws {FlowError} for a data set that is not there, and every error of the model. A pair that cannot be read does not end it.
 */
export async function evaluateDataSet(
  name: DataSetName,
  root: string,
  flags: EvalFlags,
  cli: Cli,
): Promise<Evaluation> {
  const dataset = DATA_SETS[name]
  const part = partOf(name, flags)
  const files = modelFiles(flags)
  if (flags.worst !== undefined && flags.output === undefined)
    throw new UsageError('--worst needs a folder for the pictures: name it with --output')
  if (flags.json !== undefined)
    checkOutputs([{ option: '--json', path: flags.json, kind: 'report' }], pathsOf(files))
  const all = await listed(name, root, part)
  if (flags.excludeInvalid === true && all[0]?.invalid === undefined)
    throw new UsageError('--exclude-invalid: the data set has no masks of invalid pixels: leave it out')
  const pairs = all.slice(0, flags.limit)
  if (flags.output !== undefined) makeFolder(flags.output)

  const progress = new Progress(cli.err, flags.quiet === true ? 'hidden' : 'shown')
  progress.stage('loading the model')
  const model = await loadModel(files, flags, progress).catch((error: unknown) => {
    progress.end()
    throw error
  })
  const { size, refine } = defaultsOf({ ...flags, ...files })
  const settings = {
    ...Object.fromEntries(dataset.has.map((key) => [key, part[key]])),
    maxFlow: flags.maxFlow === Infinity ? 'none' : flags.maxFlow,
    excludeInvalid: flags.excludeInvalid === true,
    size,
    refine,
    precision: model.info.precision,
    backboneEngine: model.info.backboneEngine,
  }
  const header = {
    version: packageVersion(),
    'data set': name,
    root: resolve(root),
    ...settings,
    engine: model.info.engine,
    model: signatures(files),
  }
  let ledger: Ledger | undefined
  try {
    const path = ledgerPath(flags)
    ledger = path === undefined ? undefined : await Ledger.open(path, header)
    const work = new Work(
      pairs,
      new Predictor(model, { size, refine }, progress),
      flags,
      progress,
      cli,
      ledger,
    )
    const began = performance.now()
    await work.run()
    const seconds = (performance.now() - began) / 1000
    const pictures = await work.drawWorst()
    const failed = [...work.failed.values()]
    const version = packageVersion()
    const { info, prepared } = model
    const report = { version, dataset: name, root, settings, ...work.figures(), failed, info, prepared }
    const kept = failed.length > 0 ? path : undefined
    return { report, resumed: work.resumed, seconds, pictures, kept }
  } finally {
    progress.end()
    ledger?.close()
    await model.dispose()
  }
}

/** @throws {UsageError} for a part that the data set does not have */
function partOf(name: DataSetName, flags: EvalFlags): Part {
  const has: readonly string[] = DATA_SETS[name].has
  for (const key of ['pass', 'split'] as const)
    if (flags[key] !== undefined && !has.includes(key))
      throw new UsageError(`--${key}: ${name} has only one: leave it out`)
  return { pass: flags.pass ?? 'clean', split: flags.split ?? 'val' }
}

/** The pairs of a data set. A message about a folder that is missing says how it should look. */
async function listed(name: DataSetName, root: string, part: Part): Promise<readonly Pair[]> {
  const dataset = DATA_SETS[name]
  try {
    return await dataset.list(root, part)
  } catch (cause) {
    if (!(cause instanceof FlowError) || cause.code !== 'ERR_IO') throw cause
    throw new FlowError(
      'ERR_IO',
      `${cause.message}\n${name} is expected as ${dataset.layout}\nbelow ${shortPath(resolve(root))}`,
      {
        cause,
      },
    )
  }
}

/** Beside the output: the report, or what else is written. */
export function ledgerPath({ json, output }: EvalFlags): string | undefined {
  if (json !== undefined) return `${json}.finished`
  return output === undefined ? undefined : join(output, 'eval.finished')
}

/** The files of a model, with what tells that one was changed. Of a folder or of an index of shards, all files beside it. */
function signatures(files: ModelFiles): unknown {
  const sign = (path: string): unknown => {
    const { size, mtimeMs } = statSync(path)
    return [resolve(path), size, mtimeMs]
  }
  const paths = pathsOf(files).flatMap((path) => {
    const folder = statSync(path).isDirectory() ? path : path.endsWith('.json') ? dirname(path) : undefined
    return folder === undefined
      ? [path]
      : readdirSync(folder)
          .sort()
          .map((file) => join(folder, file))
  })
  const { backbone, head, ropePeriods, normalization } = files
  return [
    [...new Set(paths)].map(sign),
    backbone.prefix ?? null,
    head.prefix ?? null,
    ropePeriods ?? null,
    normalization ?? null,
  ]
}
