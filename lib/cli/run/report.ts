import type { FlowModelInfo } from '../../load.js'
import type { Prepared } from '../../prepare.js'
import type { RefinePreset } from '../../refine.js'
import type { OutputSize } from '../../size.js'
import type { MotionStatistics } from '../../motion/index.js'

/** A field that was computed: its size and its motions, which JSON has as null where no flow is known. */
export interface FlowReport extends OutputSize {
  readonly motion: MotionStatistics
}

/** A picture that was read. */
export interface FrameReport extends OutputSize {
  readonly path: string
  /** The fault in the file that the decoder recovered from; null if there is none. */
  readonly fault: string | null
}

/** A file that was written. */
export interface WrittenFile {
  readonly path: string
  readonly kind: 'flow' | 'colors' | 'arrows' | 'confidence' | 'occlusion'
  readonly direction: 'forward' | 'backward'
}

/** The results of `run`. `--json` prints them. */
export interface RunReport {
  readonly frames: readonly FrameReport[]
  /** The size that the frames were resized to. */
  readonly network: OutputSize
  /** How the flow was refined. */
  readonly refine: 'off' | RefinePreset
  readonly forward: FlowReport
  /** Null without `--backward`. */
  readonly backward: FlowReport | null
  /** Milliseconds. These are the first passes of a process, and later ones are faster. */
  readonly timings: {
    readonly decode: number
    readonly load: number
    /** The backbone, once for each frame. */
    readonly backbone: readonly number[]
    /** The head, and the refinement. */
    readonly head: number
    readonly backwardHead: number | null
    readonly write: number
  }
  readonly files: readonly WrittenFile[]
  readonly info: FlowModelInfo
  /** What computed the backbone; empty without `--backbone-engine`. */
  readonly prepared: readonly Prepared[]
}
