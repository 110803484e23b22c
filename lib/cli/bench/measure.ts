import type { Progress } from '../run/progress.js'
import type { BenchFlags, ScenarioName } from './flags.js'
import { type Observed, Watch } from './machine/watch.js'
import { type Result, samplesOf, type ScenarioReport, type Settings } from './report.js'
import {
  cameraFigures,
  type CameraFrame,
  type CameraSchedule,
  hasResult,
  runCamera,
} from './scenarios/camera.js'
import type { Parts, Sample } from './scenarios/sample.js'
import { ask, takeTurns } from './scenarios/turns.js'
import { warmUp, type WarmUp } from './scenarios/warm-up.js'
import { pairedRatio } from './statistics/bootstrap.js'
import { distribution, median } from './statistics/summary.js'
import type { Target } from './targets/target.js'

/** Cameras change after so many seconds, so that a slow minute of the machine affects all. */
const CAMERA_TURN = 2
/** Milliseconds between two changes of the progress line: telling costs more than a short call. */
const TELL_MS = 100

/**
 * Warms all contenders up and measures them.
 *
 * @param next the number of each contender's next frame; is advanced
 * @param stop ends it early
 * @returns what was measured until then; undefined if that is nothing
 */
export async function measureScenario(
  scenario: ScenarioName,
  targets: readonly Target[],
  next: number[],
  flags: BenchFlags,
  engine: 'cpu' | 'cuda',
  progress: Progress,
  stop: AbortSignal,
): Promise<ScenarioReport | undefined> {
  const { streams = 1, batch = 1 } = settingsOf(scenario, flags)
  const warm: WarmUp[] = []
  for (const [i, target] of targets.entries()) {
    progress.stage(`${scenario}, ${target.name}: warming up`)
    const query = async () => {
      const { latency } = await ask(target, streams, batch, next[i]!, 0)
      next[i]! += batch
      return latency
    }
    // Streams that are new have a first frame, which has no flow.
    if (streams > 1) await query()
    warm.push(await warmUp(query, flags.warmUp, stop))
  }
  if (stop.aborted) return undefined
  const tell = throttled((done: number, wanted: string) =>
    progress.tell(`${scenario}: ${done} of ${wanted} measured`),
  )
  const watch = new Watch(engine)
  let observed: Observed
  let measured: Measured[]
  let settings = settingsOf(scenario, flags)
  try {
    if (scenario === 'camera') {
      if ('share' in flags.rate) settings = cameraSettings(flags.rate.share * sustainableRate(warm), flags)
      const rate = settings.rate!
      const frames = flags.frames ?? Math.max(2, Math.round(flags.seconds * rate))
      const all = `${frames * targets.length} frames`
      measured = await measureCameras(targets, next, { rate, frames }, (n) => tell(n, all), stop)
    } else {
      const queries =
        flags.frames === undefined ? Infinity : Math.max(1, Math.ceil(flags.frames / batch / streams))
      const milliseconds = flags.frames === undefined ? 1000 * flags.seconds * targets.length : Infinity
      const all = flags.frames === undefined ? `${Math.round(milliseconds / 1000)} s` : `${queries} rounds`
      const start = performance.now()
      const samples = await takeTurns(
        targets,
        { streams, batch, milliseconds, queries },
        next,
        stop,
        (rounds) =>
          tell(flags.frames === undefined ? Math.round((performance.now() - start) / 1000) : rounds, all),
      )
      for (const [i, of] of samples.entries()) next[i]! += batch * of.length
      measured = samples.map((of) => ({ samples: of, camera: undefined, framesPerQuery: streams * batch }))
    }
  } finally {
    observed = watch.end()
  }
  const base = measured[0]!.samples.map(({ latency }) => latency)
  const results = measured.map(({ samples, camera, framesPerQuery }, i): Result => {
    const latency = samples.map((sample) => sample.latency)
    const busy = latency.reduce((sum, ms) => sum + ms, 0)
    return {
      name: targets[i]!.name,
      warmUp: warm[i]!,
      latency: distribution(latency),
      throughput:
        camera === undefined
          ? (1000 * framesPerQuery * samples.length) / busy
          : settings.rate! * shareDone(camera.flat()),
      parts: partsOf(samples),
      camera:
        camera === undefined ? null : cameraFigures(camera, settings as { rate: number; deadline: number }),
      ratio: i === 0 ? null : pairedRatio(latency, base),
      samples: samplesOf(samples),
    }
  })
  return { scenario, settings, observed, results }
}

/** What figures of a scenario depend on. A camera's rate is not yet known if it is a share. */
export function settingsOf(scenario: ScenarioName, flags: BenchFlags): Settings {
  if (scenario === 'multi-stream') return { streams: flags.streams }
  if (scenario === 'offline') return { batch: flags.batch }
  return scenario === 'camera' && 'hertz' in flags.rate ? cameraSettings(flags.rate.hertz, flags) : {}
}

const cameraSettings = (rate: number, { deadline = 1000 / rate }: BenchFlags): Settings => ({
  rate,
  deadline,
})

interface Measured {
  readonly samples: readonly Sample[]
  readonly camera: readonly (readonly CameraFrame[])[] | undefined
  readonly framesPerQuery: number
}

/** Cameras take turns by stretches of two seconds. Each has its own stream, whose first frames are left out. */
async function measureCameras(
  targets: readonly Target[],
  next: number[],
  { rate, frames }: Pick<CameraSchedule, 'rate' | 'frames'>,
  onFrame: (frames: number) => void,
  stop: AbortSignal,
): Promise<Measured[]> {
  const cameras = targets.map((target) => target.camera!())
  try {
    for (const [i, camera] of cameras.entries()) await camera.push(next[i]!++)
    const taken: CameraFrame[][][] = targets.map(() => [])
    const start = performance.now()
    let shown = 0
    // A single camera runs in one piece.
    const turn = targets.length === 1 ? frames : Math.max(1, Math.round(CAMERA_TURN * rate))
    for (let done = 0; done < frames && (done === 0 || !stop.aborted); done += turn)
      for (const [i, camera] of cameras.entries()) {
        const count = Math.min(turn, frames - done)
        const before = shown
        const tell = (n: number) => onFrame((shown = before + n))
        taken[i]!.push(
          await runCamera(camera, { rate, frames: count }, next[i]!, undefined, start, tell, stop),
        )
        next[i]! += count
      }
    return taken.map((camera) => ({ samples: samplesOfCamera(camera.flat()), camera, framesPerQuery: 1 }))
  } finally {
    for (const camera of cameras) camera.close()
  }
}

function samplesOfCamera(frames: readonly CameraFrame[]): Sample[] {
  return frames.filter(hasResult).map(({ due, pushed, done, parts }) => ({
    at: due,
    latency: done - due,
    parts: parts && { ...parts, late: pushed - due },
  }))
}

/** Frames per second at which the slowest contender would be busy all the time. */
function sustainableRate(warm: readonly WarmUp[]): number {
  return 1000 / Math.max(...warm.map((each) => each.median))
}

function shareDone(camera: readonly CameraFrame[]): number {
  return camera.filter(hasResult).length / camera.length
}

function partsOf(samples: readonly Sample[]): Parts | null {
  const told = samples.flatMap(({ parts }) => parts ?? [])
  if (told.length === 0) return null
  const of = (key: keyof Parts) => median(told.map((parts) => parts[key] ?? 0))
  return {
    late: of('late'),
    copy: of('copy'),
    queue: of('queue'),
    engine: of('engine'),
    result: of('result'),
  }
}

function throttled<Args extends readonly unknown[]>(work: (...args: Args) => void): (...args: Args) => void {
  let last = -Infinity
  return (...args) => {
    const now = performance.now()
    if (now - last < TELL_MS) return
    last = now
    work(...args)
  }
}
