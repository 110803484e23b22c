import { checkSignal, throwIfAborted } from './calls/abort.js'
import type { DropCounts, DurationStats, StreamStats, Timing } from './calls/stream-counter.js'
import { FlowError } from './errors.js'
import type { FeatureMap } from './feature-map.js'
import type { FlowField } from './flow-field.js'
import type { FlowMapOptions, FlowMaps, RefineOption, TensorMaps } from './request.js'
import type { FlowOutput, FlowSize } from './size.js'
import { checkOptions } from './support/arguments.js'
import { shown } from './support/quote.js'
import { isDeviceOutput, type OnDevice } from './tensor/results.js'

export type { DropCounts, DurationStats, StreamStats, Timing }

/** How a full queue takes one more frame. */
export type QueuePolicy = 'wait' | 'reject' | 'drop-oldest'

/** The queue of a stream: frames that wait for the model. */
export interface QueueOptions {
  /**
   * Frames that may wait, besides those that the model's thread has: the one that is computed and the next one, and on a GPU with
   * memory of its own another one; with `'drop-oldest'` or a `deadline` only the one that is computed. 0 to 10000, 1 or more for
   * `'drop-oldest'`. Default 2.
   */
  readonly depth?: number | undefined
  /**
   * - `'wait'` (default): every frame is computed. A producer should await {@link FlowStream.ready}, or its pushes.
   * - `'reject'`: the push fails with `ERR_QUEUE_FULL`
   * - `'drop-oldest'`: the frame that waits longest is dropped; its push gives `{ flow: null, reason: 'dropped' }`
   */
  readonly policy?: QueuePolicy | undefined
}

/** How a stream computes. */
export interface StreamOptions extends FlowMapOptions, RefineOption {
  /** The size that frames are resized to. Default: the model's. */
  readonly size?: FlowSize | undefined
  /** The size of the maps. Flow is in pixels of this size. Default `'frame'`: the frame's. */
  readonly output?: FlowOutput | undefined
  readonly queue?: QueueOptions | undefined
  /** Milliseconds. A frame that waited longer is dropped: its push gives `{ flow: null, reason: 'deadline' }`. */
  readonly deadline?: number | undefined
  /**
   * Finds scene cuts. The similarity of two frames is the mean over all patches of the best cosine with the projected features
   * of the other frame in the head's window. A frame whose similarity is below this threshold, -1 to 1, gives
   * `{ flow: null, reason: 'cut' }`. `true` is 0.44, which suits the package's model. Default false.
   */
  readonly sceneCut?: number | boolean | undefined
  /**
   * Gives the features of each frame with its result, for other networks on the same pass of the backbone; the first frame, too, has a
   * result then. They stay valid until they are disposed, also after the stream was closed. Default false.
   */
  readonly features?: boolean | undefined
  /**
   * Reuses the memory of results: a result is valid until the next one is given. Do not dispose tensors then; the stream makes new ones
   * instead of those that were. It disposes those of another size when their turn comes. The last ones stay valid when it is closed,
   * and are left to the garbage collector, which frees them once nothing refers to the stream. Default false.
   */
  readonly reuse?: boolean | undefined
  /** Closes the stream. Frames that wait fail with `ERR_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/** Options of a synchronous push. `Flow` is what the stream gives as a flow: a field or a tensor. */
export interface PushSyncOptions<Flow = FlowField> {
  /** Milliseconds, given back with the result. Default: `performance.now()` at the push. */
  readonly timestamp?: number | undefined
  /** The field or tensor for the flow, instead of a new one. Returned as `flow`. */
  readonly into?: Flow | undefined
}

/** Options of a push. */
export interface PushOptions<Flow = FlowField> extends PushSyncOptions<Flow> {
  /** Fails the push with `ERR_ABORTED` if the computation has not started. */
  readonly signal?: AbortSignal | undefined
}

/** A frame of a stream. */
export interface StreamFrame {
  /** Counts the pushes of the stream, from 0. */
  readonly index: number
  /** Milliseconds. */
  readonly timestamp: number
}

/** What a stream with `features` gives with each frame that it computed. */
export interface FrameFeatures {
  /** The features of this frame. Dispose them. */
  readonly features?: FeatureMap | undefined
}

/** The two frames of a stream that a motion is between. */
export interface FlowFrames extends StreamFrame, FrameFeatures {
  /** The frame that `flow` starts from: the last one that was computed. */
  readonly from: StreamFrame
  /**
   * Whether this frame is identical to the one before. Then nothing was computed, and the flow is zero. Always false if the frame or
   * the results are in the memory of a GPU, where nothing is compared.
   */
  readonly duplicate: boolean
  readonly timing: Timing
}

/** The motion from one frame of a stream to the next: the maps that were asked for, and the frames that they are of. */
export type FlowResult<Maps extends FlowMaps | TensorMaps = FlowMaps> = Maps & FlowFrames

/** A frame of a stream without a flow. */
export interface NoFlow extends StreamFrame, FrameFeatures {
  readonly flow: null
  /**
   * - `'first'`: the stream begins with it, or begins anew after {@link FlowStream.reset}; only in a stream with `features`
   * - `'size'`: the frame has another size than the one before; the stream starts anew with it
   * - `'cut'`: another scene begins with it
   * - `'dropped'`: a newer frame took its place in the queue
   * - `'deadline'`: it waited too long
   * - `'failed'`: it cannot be used; only in {@link FlowStream.from}, where `push` would throw
   */
  readonly reason: 'first' | 'size' | 'cut' | 'dropped' | 'deadline' | 'failed'
  /** The error of a frame that failed. */
  readonly error?: unknown
  readonly timing: Timing
}

/** The result of a push. */
export type StreamResult<Maps extends FlowMaps | TensorMaps = FlowMaps> = FlowResult<Maps> | NoFlow

export const DEFAULT_DEPTH = 2
const MAX_DEPTH = 10_000

/** @throws {FlowError} `ERR_ARGUMENT`; `ERR_ABORTED` if the signal has fired */
export function checkStreamOptions(options: StreamOptions | OnDevice<StreamOptions>): void {
  const fail = (message: string): never => {
    throw new FlowError('ERR_ARGUMENT', message)
  }
  checkOptions(options)
  const { queue = {}, deadline, sceneCut = false, signal } = options
  if (typeof queue !== 'object' || queue === null) fail('queue: must be { depth, policy }')
  const { depth = DEFAULT_DEPTH, policy = 'wait' } = queue
  if (!['wait', 'reject', 'drop-oldest'].includes(policy))
    fail(`queue.policy: must be one of wait, reject, drop-oldest, not ${shown(policy)}`)
  const least = policy === 'drop-oldest' ? 1 : 0
  if (!Number.isInteger(depth) || depth < least || depth > MAX_DEPTH)
    fail(`queue.depth: must be an integer from ${least} to ${MAX_DEPTH}, not ${shown(depth)}`)
  if (deadline !== undefined && !(deadline > 0))
    fail(`deadline: must be a number of milliseconds above 0, not ${shown(deadline)}`)
  if (typeof sceneCut !== 'boolean' && !(sceneCut >= -1 && sceneCut <= 1))
    fail(`sceneCut: must be true, false or a similarity from -1 to 1, not ${shown(sceneCut)}`)
  isDeviceOutput(options.output) // throws for any other object
  checkSignal(signal)
  throwIfAborted(signal)
}
