import type { Comparison } from './against.js'
import type { ScenarioName } from './flags.js'
import type { Machine } from './machine/machine.js'
import type { Observed } from './machine/watch.js'
import type { CameraFigures } from './scenarios/camera.js'
import type { Parts, Sample } from './scenarios/sample.js'
import type { WarmUp } from './scenarios/warm-up.js'
import type { Ratio } from './statistics/bootstrap.js'
import type { Distribution } from './statistics/summary.js'

/** Changes whenever an older reader could not read a report. */
export const FORMAT = 1

/** The results of `bench`. `--json` writes them. Times are in milliseconds unless a name says otherwise. */
export interface BenchReport {
  readonly benchFormat: typeof FORMAT
  /** Of this package. */
  readonly version: string
  /** When it began, by ISO 8601. */
  readonly date: string
  readonly command: string
  readonly machine: Machine
  readonly frames: { readonly source: string; readonly width: number; readonly height: number }
  readonly contenders: readonly ContenderInfo[]
  readonly scenarios: readonly ScenarioReport[]
  /** Resident bytes of this process before anything was loaded, and the most of the whole run. */
  readonly memory: { readonly before: number; readonly peak: number }
  /** Whether Ctrl-C ended the run: scenarios may be missing, and the last one be shorter than was asked for. */
  readonly interrupted?: true | undefined
  /** With `--against`. */
  readonly comparison?: Comparison | undefined
}

export interface ContenderInfo {
  readonly name: string
  readonly info: Readonly<Record<string, unknown>>
  /** Cold start: loading. Null if the model was loaded for another contender. */
  readonly load: number | null
  /** Cold start: the first flow after loading, from the first frame pushed on: two frames. */
  readonly firstFlow: number
  /** Resident bytes of this process after the first flow. */
  readonly rss: number
}

/** What the figures of a scenario depend on. */
export interface Settings {
  readonly streams?: number
  readonly batch?: number
  /** Frames per second. */
  readonly rate?: number
  /** Milliseconds. */
  readonly deadline?: number
}

export interface ScenarioReport {
  readonly scenario: ScenarioName
  readonly settings: Settings
  readonly observed: Observed
  /** In the order of the contenders; the first is what the others are compared with. */
  readonly results: readonly Result[]
}

/** The figures of one contender. */
export interface Result {
  readonly name: string
  readonly warmUp: WarmUp
  /** Of a query. A camera's counts from when the frame was due. */
  readonly latency: Distribution
  /** Frames per second. */
  readonly throughput: number
  /** Medians; null where the contender does not tell. */
  readonly parts: Parts | null
  readonly camera: CameraFigures | null
  /** Time as a multiple of the first contender's, by medians; null for the first itself. */
  readonly ratio: Ratio | null
  /** Of all queries, in their order. */
  readonly samples: {
    readonly at: readonly number[]
    readonly latency: readonly number[]
  }
}

/** Microseconds are enough: more digits would only be longer. */
const rounded = (values: readonly number[]) => values.map((value) => Math.round(1e4 * value) / 1e4)

export function samplesOf(samples: readonly Sample[]): Result['samples'] {
  return { at: rounded(samples.map(({ at }) => at)), latency: rounded(samples.map(({ latency }) => latency)) }
}
