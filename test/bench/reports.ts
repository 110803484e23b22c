import { type BenchReport, FORMAT, type Result, type ScenarioReport } from '../../lib/cli/bench/report.js'
import { distribution } from '../../lib/cli/bench/statistics/summary.js'
import { random } from './random.js'

/** What a made-up report says. */
export interface MadeUp {
  readonly seed?: number
  /** Milliseconds. */
  readonly median?: number
  /** How much slower the end of the run is than its start, as a share. */
  readonly drift?: number
  /** Frames of a camera that are missed, of 400; a single stream where it is left out. */
  readonly missed?: number
  readonly rate?: number
  readonly cpu?: string
  /** Names of contenders. */
  readonly names?: readonly string[]
}

const COUNT = 400

/** A report as `bench` makes it, with samples of a known median. */
export function reportOf(made: MadeUp): BenchReport {
  const { missed, rate = 30, cpu = 'Example 9000', names = ['dinov3-flow'] } = made
  const scenario: ScenarioReport = {
    scenario: missed === undefined ? 'single-stream' : 'camera',
    settings: missed === undefined ? {} : { rate, deadline: 1000 / rate },
    observed: {
      thermalThrottles: null,
      quotaThrottles: 0,
      quotaMilliseconds: 0,
      stolen: 0,
      others: 0.02,
      clocks: [2500, 3000],
      temperature: 60,
      gpuThrottle: null,
      rssPeak: 2e8,
      rss: 1.5e8,
      eventLoop: { p50: 1.1, p99: 1.3, p999: 2, max: 5 },
    },
    results: names.map((name, i) => resultOf(name, i, made)),
  }
  return {
    benchFormat: FORMAT,
    version: '0.0.0',
    date: '2026-01-02T03:04:05.000Z',
    command: 'dinov3-flow bench',
    machine: {
      cpu,
      hardwareThreads: 4,
      usableThreads: 4,
      cpuLimit: null,
      clocks: [3000, 3000, 3000, 3000],
      maxClock: 3500,
      governor: 'performance',
      powerLimit: null,
      load: 0.1,
      memory: 8e9,
      system: 'linux-x64',
      node: 'v20.0.0',
      driver: null,
      gpu: null,
    },
    frames: { source: 'made, 640 x 480', width: 640, height: 480 },
    contenders: names.map((name) => ({ name, info: { call: 'stream' }, load: 50, firstFlow: 90, rss: 1e8 })),
    scenarios: [scenario],
    memory: { before: 6e7, peak: 2e8 },
  }
}

function resultOf(
  name: string,
  i: number,
  { seed = 1, median = 100, drift = 0, missed, rate = 30 }: MadeUp,
): Result {
  const { normal } = random(seed + 1000 * i)
  const latency = Array.from(
    { length: COUNT },
    (_, j) => (1 + 0.3 * i) * median * (1 + drift * (j / COUNT - 0.5)) * Math.exp(0.04 * normal()),
  )
  const times = distribution(latency)
  return {
    name,
    warmUp: { queries: 10, seconds: 1, stable: true, median },
    latency: times,
    throughput: 10,
    parts: { copy: 0.1, queue: 0, engine: median - 0.2, result: 0.1 },
    camera:
      missed === undefined
        ? null
        : {
            rate,
            deadline: 1000 / rate,
            frames: COUNT,
            dropped: 0,
            missed,
            fromPush: times,
            age: times,
            lateness: times,
          },
    ratio: i === 0 ? null : { ratio: 1.3, low: 1.29, high: 1.31 },
    samples: { at: latency.map((_, j) => (2 * j + i) * median), latency },
  }
}
