import type { FeatureMap } from '../../feature-map.js'
import type { FlowField } from '../../flow-field.js'
import { decodeFrame } from '../../image/decode.js'
import { defaultsOf } from '../../load.js'
import { type FlowOutput, type FlowSize, type OutputSize, resolveGrid } from '../../size.js'
import type { FlowColorOptions } from '../../viz/index.js'
import type { Cli } from '../cli.js'
import { type ComputationFlags, loadModel, prepareModel } from '../model-options.js'
import { checkInputs, checkOutputs } from '../outputs.js'
import { type ModelFiles, modelFiles, type ModelFlags, pathsOf } from './model-files.js'
import { Progress } from './progress.js'
import type { FlowReport, RunReport } from './report.js'
import { type Direction, planOutputs, writeDirection } from './write-directions.js'

/** The options of `run`, as commander hands them over. */
export interface RunFlags extends ModelFlags, ComputationFlags, FlowColorOptions {
  readonly output?: string
  readonly viz?: string
  readonly arrows?: string
  readonly confidence?: string
  readonly occlusion?: string
  readonly backward?: true
  readonly outputSize: FlowOutput
  readonly json?: true
  readonly quiet?: true
  readonly strict?: true
}

/**
 * Computes flow and writes the files that were asked for.
 *
 * @throws {UsageError} before the work, for options that do not fit together
 * @throws {FlowError} every error of the library
 */
export async function runFlow(first: string, second: string, flags: RunFlags, cli: Cli): Promise<RunReport> {
  checkInputs([first, second])
  const files = modelFiles(flags)
  checkOutputs(planOutputs(flags), [first, second, ...pathsOf(files)])
  const progress = new Progress(cli.err, flags.quiet === true ? 'hidden' : 'shown')
  try {
    return await runChecked([first, second], files, flags, progress)
  } finally {
    progress.end()
  }
}

async function runChecked(
  [first, second]: readonly [string, string],
  files: ModelFiles,
  flags: RunFlags,
  progress: Progress,
): Promise<RunReport> {
  const defaults = defaultsOf({ ...flags, ...files })
  progress.stage('decoding')
  const decoded = await timed(() =>
    Promise.all([decodeFrame(first, 'first picture', flags), decodeFrame(second, 'second picture', flags)]),
  )
  const [{ frame: a, fault: faultA }, { frame: b, fault: faultB }] = decoded.value

  progress.stage('loading the model')
  const loaded = await timed(() => loadModel(files, flags, progress))
  const model = loaded.value
  try {
    const network = networkSize(defaults.size, a, model.info.backbone.patch)
    const size = [network.height, network.width] as const
    const output = flags.outputSize
    const refine = defaults.refine as RunReport['refine']
    // Both pictures are refined at the size of the forward flow.
    const pixels = output === 'frame' ? ([a.height, a.width] as const) : output

    await prepareModel(model, a, size, progress)
    progress.stage('backbone, first picture')
    const featuresA = await timed(() => model.features(a, { size, refine, output: pixels }))
    progress.stage('backbone, second picture')
    const featuresB = await timed(() => model.features(b, { size, refine, output: pixels }))
    progress.stage(refine === 'off' ? 'head' : 'head and refinement')
    const maps = { confidence: flags.confidence !== undefined, occlusion: flags.occlusion !== undefined }
    const flow = (from: FeatureMap, to: FeatureMap) =>
      timed(() => model.flowMapsFromFeatures(from, to, { output, refine, ...maps }))
    const forward = await flow(featuresA.value, featuresB.value)
    const backward = flags.backward === true ? await flow(featuresB.value, featuresA.value) : undefined

    progress.stage('writing')
    const directions: Direction[] = [{ name: 'forward', frame: a, maps: forward.value }]
    if (backward !== undefined) directions.push({ name: 'backward', frame: b, maps: backward.value })
    const written = await timed(() => Promise.all(directions.map((each) => writeDirection(each, flags))))

    return {
      frames: [
        { path: first, width: a.width, height: a.height, fault: faultA ?? null },
        { path: second, width: b.width, height: b.height, fault: faultB ?? null },
      ],
      network,
      refine,
      forward: reportOf(forward.value.flow),
      backward: backward === undefined ? null : reportOf(backward.value.flow),
      timings: {
        decode: decoded.milliseconds,
        load: loaded.milliseconds,
        backbone: [featuresA.milliseconds, featuresB.milliseconds],
        head: forward.milliseconds,
        backwardHead: backward?.milliseconds ?? null,
        write: written.milliseconds,
      },
      files: written.value.flat(),
      info: model.info,
      prepared: model.prepared,
    }
  } finally {
    await model.dispose()
  }
}

/** The size at which both pictures enter the network. If it depends on a picture's own size, the first picture's counts. */
function networkSize(size: FlowSize, first: OutputSize, patch: number): OutputSize {
  const { gridHeight, gridWidth } = resolveGrid(size, first, patch)
  return { height: gridHeight * patch, width: gridWidth * patch }
}

function reportOf(flow: FlowField): FlowReport {
  return { width: flow.width, height: flow.height, motion: flow.magnitude() }
}

async function timed<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly milliseconds: number }> {
  const start = performance.now()
  const value = await work()
  return { value, milliseconds: Math.round(1000 * (performance.now() - start)) / 1000 }
}
