import { defaultsOf } from '../../load.js'
import type { FlowModel } from '../../model.js'
import { type Cli, Interrupted, UsageError } from '../cli.js'
import { loadModel, prepareModel } from '../model-options.js'
import { packageVersion } from '../package.js'
import { modelFiles } from '../run/model-files.js'
import { Progress } from '../run/progress.js'
import type { BenchFlags } from './flags.js'
import { type BenchFrames, makeFrames, readFrames } from './frames.js'
import { describeMachine } from './machine/machine.js'
import { measureScenario } from './measure.js'
import { type BenchReport, type ContenderInfo, FORMAT, type ScenarioReport } from './report.js'
import { baseContender, type Contender, parseContender } from './targets/contender.js'
import { onnxRuntimeTarget } from './targets/onnxruntime.js'
import { openCvTarget } from './targets/opencv.js'
import { ourTarget } from './targets/ours.js'
import type { Target } from './targets/target.js'

const DEFAULT_FRAME = [480, 640] as const

/**
 * Measures all contenders in all scenarios, until Ctrl-C.
 *
 * @param contenders as {@link checkContenders} gives them
 * @throws {FlowError} every error of the library; `ERR_NATIVE` if a contender cannot be started
 * @throws {Interrupted} if Ctrl-C was pressed before anything was measured
 */
export async function runBench(
  pictures: readonly string[],
  contenders: readonly Contender[],
  flags: BenchFlags,
  argv: readonly string[],
  cli: Cli,
): Promise<BenchReport> {
  const before = process.memoryUsage.rss()
  const progress = new Progress(cli.err, flags.quiet === true ? 'hidden' : 'shown')
  const models = new Map<string, FlowModel>()
  const targets: Target[] = []
  try {
    progress.stage('making frames')
    const frames = await framesFor(pictures, flags)
    const date = new Date().toISOString()
    const infos: ContenderInfo[] = []
    for (const contender of contenders) {
      const target = await start(contender, frames, flags, models, progress)
      targets.push(target)
      progress.stage(`${contender.name}: first flow`)
      const begin = performance.now()
      await target.push(0, 0)
      await target.push(0, 1)
      const firstFlow = performance.now() - begin
      const { name, info, load } = target
      infos.push({ name, info, load, firstFlow, rss: process.memoryUsage.rss() })
    }
    const engine = [...models.values()].some(({ info }) => info.engine === 'cuda') ? 'cuda' : 'cpu'
    const machine = describeMachine(engine)
    const next = targets.map(() => 2)
    const scenarios: ScenarioReport[] = []
    const stop = new AbortController()
    cli.onInterrupt?.(() => stop.abort())
    for (const scenario of flags.scenario) {
      if (stop.signal.aborted) break
      const report = await measureScenario(scenario, targets, next, flags, engine, progress, stop.signal)
      if (report !== undefined) scenarios.push(report)
    }
    if (scenarios.length === 0) throw new Interrupted()
    return {
      benchFormat: FORMAT,
      version: packageVersion(),
      date,
      command: ['dinov3-flow bench', ...argv].join(' '),
      machine,
      frames: { source: frames.source, width: frames.width, height: frames.height },
      contenders: infos,
      scenarios,
      memory: { before, peak: process.resourceUsage().maxRSS * 1024 },
      interrupted: stop.signal.aborted ? true : undefined,
    }
  } finally {
    progress.end()
    for (const target of targets) await target.close()
    for (const model of models.values()) await model.dispose()
  }
}

/** @throws {UsageError} for options that do not fit together */
export function checkContenders(pictures: readonly string[], flags: BenchFlags): Contender[] {
  if (pictures.length === 1) throw new UsageError('give two pictures, or none: then frames are made')
  if (pictures.length > 0 && flags.frameSize !== undefined)
    throw new UsageError('--frame-size is for frames that are made; pictures have their own size')
  if (flags.scenario.includes('camera') && 'share' in flags.rate && flags.warmUp === 0)
    throw new UsageError('--rate: a percentage is of the rate while warming up, so --warm-up must not be 0')
  if (flags.against !== undefined && flags.scenario.includes('camera') && 'share' in flags.rate)
    throw new UsageError('--against compares cameras of one rate: give --rate in frames per second')
  const contenders = [
    baseContender(flags),
    ...(flags.contender ?? []).map((text) => parseContender(text, flags)),
  ]
  const files = modelFiles(flags)
  const names = new Set<string>()
  for (const contender of contenders) {
    const { name, kind } = contender
    if (names.has(name)) throw new UsageError(`--contender ${name} is given twice`)
    names.add(name)
    if (kind === 'ours') defaultsOf({ ...contender, ...files })
    const maps = kind === 'ours' && (contender.backward || contender.occlusion || contender.confidence)
    if (maps && ['backbone', 'head'].includes(contender.call))
      throw new UsageError(
        `--contender ${name}: backward, occlusion and confidence are of the calls stream, sync and pair`,
      )
    const streams = kind === 'ours' && contender.call === 'stream'
    if (flags.scenario.includes('camera') && !streams)
      throw new UsageError(
        `--contender ${name} cannot take frames while it computes: leave out the camera scenario`,
      )
    if (flags.scenario.includes('multi-stream') && kind !== 'ours')
      throw new UsageError(`--contender ${name} computes one stream: leave out the multi-stream scenario`)
  }
  return contenders
}

async function framesFor(pictures: readonly string[], { frameSize }: BenchFlags): Promise<BenchFrames> {
  const [first, second] = pictures
  if (first !== undefined && second !== undefined) return readFrames(first, second)
  const [height, width] = frameSize ?? DEFAULT_FRAME
  return makeFrames(width, height)
}

/** Contenders that differ only in what a call says share a model. */
async function start(
  contender: Contender,
  frames: BenchFrames,
  flags: BenchFlags,
  models: Map<string, FlowModel>,
  progress: Progress,
): Promise<Target> {
  if (contender.kind === 'opencv') {
    progress.stage(`starting ${contender.name}`)
    const threads = flags.threads ?? [...models.values()][0]?.info.threads ?? null
    return openCvTarget(contender, flags.python ?? 'python3', threads, frames)
  }
  if (contender.kind === 'onnxruntime') {
    progress.stage(`${contender.name}: exporting the model`)
    const threads = flags.threads ?? [...models.values()][0]?.info.threads ?? null
    return onnxRuntimeTarget(contender, threads, flags, frames)
  }
  const { device, precision, wait, threads, backboneEngine } = contender
  const key = [device, precision, wait, threads, backboneEngine].join()
  const { size } = defaultsOf({ ...contender, ...modelFiles(flags) })
  const shared = models.get(key)
  if (shared !== undefined) {
    await prepareModel(shared, frames, size, progress)
    return ourTarget(contender, shared, null, flags, frames)
  }
  progress.stage(`${contender.name}: loading the model`)
  const begin = performance.now()
  const model = await loadModel(modelFiles(flags), contender, progress)
  const load = performance.now() - begin
  models.set(key, model)
  await prepareModel(model, frames, size, progress)
  return ourTarget(contender, model, load, flags, frames)
}
