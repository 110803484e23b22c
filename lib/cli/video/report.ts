import type { FlowModelInfo } from '../../load.js'
import type { Prepared } from '../../prepare.js'
import type { RefinePreset } from '../../refine.js'
import type { OutputSize } from '../../size.js'
import type { DurationStats } from '../../stream-options.js'

/** Frames of one kind, by their numbers from 1. */
export interface Tally {
  readonly count: number
  /** The numbers of the first ones. */
  readonly frames: readonly number[]
}

/** Why a video ended before its end. */
export type Ending = 'interrupted' | 'failed' | null

/** The results of `video`. `--json` prints them. */
export interface VideoReport extends OutputSize {
  readonly source: string
  /** Frames that were decoded. */
  readonly frames: number
  /** Flows that were computed: one less, unless scenes were cut. */
  readonly flows: number
  /** The size that frames were resized to. */
  readonly network: OutputSize
  readonly refine: 'off' | RefinePreset
  /** Frames that are identical to the one before. */
  readonly duplicates: Tally
  /** Frames that begin another scene, and so have no flow to them. */
  readonly cuts: Tally
  /** Faults of the video that were survived, with the number of the frame. */
  readonly faults: readonly { readonly frame: number; readonly message: string }[]
  readonly notes: readonly string[]
  readonly ended: Ending
  /** Frames per second, from the first frame to the finished files. */
  readonly fps: number
  /** Milliseconds per frame: in the engine, and from the frame to its flow. */
  readonly engine: DurationStats
  readonly total: DurationStats
  /** The video; null without `--output`. */
  readonly video:
    (OutputSize & { readonly path: string; readonly frames: number; readonly encoder: string }) | null
  /** Null without `--flow`. */
  readonly files: { readonly folder: string; readonly count: number } | null
  readonly info: FlowModelInfo
  /** What computed the backbone; empty without `--backbone-engine`. */
  readonly prepared: readonly Prepared[]
}

/** Counts frames of one kind. */
export class Counter implements Tally {
  static readonly MOST = 100
  count = 0
  readonly frames: number[] = []

  add(index: number): void {
    this.count += 1
    if (this.frames.length < Counter.MOST) this.frames.push(index + 1)
  }

  /** A copy without methods, for JSON. */
  tally(): Tally {
    return { count: this.count, frames: this.frames }
  }
}
