import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** A distribution of durations, in milliseconds. All values are 0 while `count` is 0. */
export interface DurationStats {
  readonly count: number
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** Reasons why a frame was not computed. */
export interface DropCounts {
  /** A newer frame took its place in the queue (`drop-oldest`). */
  oldest: number
  /** It waited longer than `deadline`. */
  deadline: number
  /** The queue was full (`reject`). */
  full: number
  /** Its signal fired. */
  aborted: number
  /** Its push failed with an error. */
  failed: number
  /** The stream was closed. */
  closed: number
}

/**
 * Counts of a stream since it was made. `pushed` is the sum of `waiting`, `running`, `computed`, `first`, `cuts`,
 * `duplicates` and of all counts in `dropped`.
 */
export interface StreamStats {
  readonly pushed: number
  /** In the queue. */
  readonly waiting: number
  /** With the model's thread: next, running, or with the result on its way. */
  readonly running: number
  /** With a flow. */
  readonly computed: number
  /** Without a frame before: the first frame, the first after `reset`, and the first of a new size. */
  readonly first: number
  /** Scene cuts. */
  readonly cuts: number
  /** Frames identical to the one before. */
  readonly duplicates: number
  readonly dropped: Readonly<DropCounts>
  /** From the push to the start of the computation. */
  readonly queue: DurationStats
  /** The computation. */
  readonly engine: DurationStats
  /** From the push to the result. */
  readonly total: DurationStats
}

/** The outcomes of frames that reached the engine. */
export type Outcome = 'computed' | 'first' | 'cuts' | 'duplicates'

/** The durations of one frame, in milliseconds. */
export interface Timing {
  /** From the push to the start of the computation, or to the drop. */
  readonly queue: number
  /** The computation, with the copy of the result from a GPU. If that copy overlaps the next computation, it is not counted. */
  readonly engine: number
  /** From the push to the result. */
  readonly total: number
}

const MICROSECONDS = 1000
const LONGEST = 3600 * 1000 * MICROSECONDS

/** Counts the frames of one stream. */
export class StreamCounter {
  readonly #outcomes: Record<Outcome, number> = { computed: 0, first: 0, cuts: 0, duplicates: 0 }
  readonly #dropped: DropCounts = { oldest: 0, deadline: 0, full: 0, aborted: 0, failed: 0, closed: 0 }
  readonly #queue = durations()
  readonly #engine = durations()
  readonly #total = durations()
  #pushed = 0

  push(): void {
    this.#pushed += 1
  }

  answer(outcome: Outcome, { queue, engine, total }: Timing): void {
    this.#outcomes[outcome] += 1
    record(this.#queue, queue)
    record(this.#engine, engine)
    record(this.#total, total)
  }

  drop(reason: keyof DropCounts): void {
    this.#dropped[reason] += 1
  }

  stats(now: { readonly waiting: number; readonly running: number }): StreamStats {
    return {
      pushed: this.#pushed,
      ...now,
      ...this.#outcomes,
      dropped: { ...this.#dropped },
      queue: summary(this.#queue),
      engine: summary(this.#engine),
      total: summary(this.#total),
    }
  }
}

/** A histogram of microseconds, to two digits. A third would take half a megabyte for the three histograms of a stream. */
function durations(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: LONGEST, figures: 2 })
}

function record(histogram: RecordableHistogram, milliseconds: number): void {
  histogram.record(Math.min(LONGEST, Math.max(1, Math.round(MICROSECONDS * milliseconds))))
}

function summary(histogram: RecordableHistogram): DurationStats {
  const { count } = histogram
  const at = (percentile: number) => (count === 0 ? 0 : histogram.percentile(percentile) / MICROSECONDS)
  return {
    count,
    min: count === 0 ? 0 : histogram.min / MICROSECONDS,
    mean: count === 0 ? 0 : histogram.mean / MICROSECONDS,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: count === 0 ? 0 : histogram.max / MICROSECONDS,
  }
}
