import { Duplex } from 'node:stream'
import { ReadableStream, TransformStream, type WritableStream } from 'node:stream/web'
import { onAbort, withSignal } from './calls/abort.js'
import type { CallQueue } from './calls/call-queue.js'
import type { FeatureChain } from './calls/feature-chain.js'
import { readAhead } from './calls/read-ahead.js'
import type { Lane } from './calls/scheduler.js'
import { StreamCounter } from './calls/stream-counter.js'
import type { ResultMaker } from './calls/stream-results.js'
import { type Answer, type PushedFrame, StreamSteps } from './calls/stream-steps.js'
import { FlowError } from './errors.js'
import {
  checkDecoded,
  checkFrame,
  type DecodedFrame,
  type EncodedSource,
  type FrameSource,
  isFile,
} from './frame.js'
import { decodeForCall } from './image/decode.js'
import type { NativeFrame } from './native/contract.js'
import { callNative, type CallSite, callSite } from './native/failure.js'
import type { FlowMaps, RequestPlanner, TensorMaps } from './request.js'
import {
  checkStreamOptions,
  DEFAULT_DEPTH,
  type NoFlow,
  type PushOptions,
  type PushSyncOptions,
  type QueuePolicy,
  type StreamOptions,
  type StreamResult,
  type StreamStats,
} from './stream-options.js'
import { described, isIterable } from './support/arguments.js'
import { shown } from './support/quote.js'
import type { OnDevice } from './tensor/results.js'

/** A frame that was pushed and has no result yet. */
interface Entry<Maps extends FlowMaps | TensorMaps> extends PushedFrame {
  readonly site: CallSite
  readonly options: PushOptions<Maps['flow']>
  /** Undefined while it is decoded. */
  frame: NativeFrame | undefined
  readonly resolve: (result: StreamResult<Maps> | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Makes a stream. `maker` gives the memory of results. */
export let createStream: <Maps extends FlowMaps | TensorMaps>(
  calls: CallQueue,
  planner: RequestPlanner,
  maker: ResultMaker<Maps>,
  options: StreamOptions | OnDevice<StreamOptions>,
) => FlowStream<Maps>

/**
 * Flow from each frame to the next of an endless source, such as a camera. Made by `FlowModel.stream`.
 *
 * Each frame passes through the backbone once. Frames are computed in the order of their pushes. Several streams of one model
 * take turns, one frame each. A frame that cannot be used fails its own push alone. The stream keeps the features of one
 * frame; `close` frees them.
 *
 * `Maps` are its results: fields and arrays, or tensors of a stream with `output: { on: 'device' }`.
 */
export class FlowStream<Maps extends FlowMaps | TensorMaps = FlowMaps> {
  readonly #calls: CallQueue
  readonly #steps: StreamSteps<Maps>
  readonly #options: StreamOptions | OnDevice<StreamOptions>
  readonly #depth: number
  readonly #policy: QueuePolicy
  /** Frames that the model's thread may have at a time: 1 if the freshest frame is wanted. */
  readonly #most: number
  readonly #lane: Lane
  readonly #counter = new StreamCounter()
  readonly #waiting: Entry<Maps>[] = []
  readonly #forgetSignal: (() => void) | undefined
  #roomWanted: (() => void)[] = []
  #running = 0
  /** Results that wait for the consumer of `from`, with the policy `'drop-oldest'` or reused memory. */
  #unread = 0
  #index = 0
  #epoch = 0
  #closed = false

  private constructor(
    calls: CallQueue,
    planner: RequestPlanner,
    maker: ResultMaker<Maps>,
    options: StreamOptions | OnDevice<StreamOptions>,
  ) {
    checkStreamOptions(options)
    this.#calls = calls
    this.#options = options
    this.#depth = options.queue?.depth ?? DEFAULT_DEPTH
    this.#policy = options.queue?.policy ?? 'wait'
    this.#most = this.#policy === 'drop-oldest' || options.deadline !== undefined ? 1 : calls.scheduler.most
    this.#steps = new StreamSteps(calls, planner, maker, options, this.#most)
    this.#lane = {
      pending: () => this.#waiting.length > 0,
      close: () => this.close(),
      ready: () => this.#ready(),
      start: () => this.#start(),
    }
    forgotten.register(this, this.#steps.chain, this)
    this.#forgetSignal = options.signal && onAbort(options.signal, () => this.#end('aborted'))
  }

  /** Whether the stream was closed. */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Computes the flow from the frame before to this one.
   *
   * @param frame read in place until the promise is settled; do not change it before
   * @returns undefined for the first frame, and for the first after {@link reset}, unless `features` are asked for; `flow: null` and
   *   the reason for a frame that has no flow
   * @throws {FlowError} `ERR_FRAME`, `ERR_IO` or `ERR_ARGUMENT` for a frame or an option that cannot be used; `ERR_QUEUE_FULL`
   *   with the policy `'reject'`; `ERR_ABORTED`; `ERR_DISPOSED`; `ERR_OUT_OF_MEMORY`. The stream continues: the next flow
   *   starts from the frame before this one.
   */
  push(frame: FrameSource, options: PushOptions<Maps['flow']> = {}): Promise<StreamResult<Maps> | undefined> {
    return this.#push(callSite(FlowStream.prototype.push), frame, options)
  }

  /** @param onResult called with the result before another frame starts, unlike what awaits the promise */
  #push(
    site: CallSite,
    frame: FrameSource,
    options: PushOptions<Maps['flow']>,
    onResult?: (result: StreamResult<Maps> | undefined) => void,
  ): Promise<StreamResult<Maps> | undefined> {
    return this.#calls.track(async () => {
      this.#check(options)
      const { signal } = options
      const pushed = this.#stamp(options)
      const decoded = isFile(frame) ? undefined : this.#counted(() => checkFrame(frame, 'frame'))
      let entry: Entry<Maps>
      return withSignal(
        signal,
        () => this.#withdraw(entry),
        () =>
          new Promise<StreamResult<Maps> | undefined>((fulfill, reject) => {
            const resolve = (result: StreamResult<Maps> | undefined) => {
              onResult?.(result)
              fulfill(result)
            }
            entry = { ...pushed, site, options, frame: decoded, resolve, reject }
            this.#enqueue(entry)
            if (decoded === undefined) void this.#decode(entry, frame as EncodedSource)
          }),
      )
    })
  }

  /**
   * As {@link push}, for a decoded frame. Blocks until the result is there.
   *
   * @throws {FlowError} `ERR_ARGUMENT` while pushes of this stream are pending; else as `push`
   */
  pushSync(frame: DecodedFrame, options: PushSyncOptions<Maps['flow']> = {}): StreamResult<Maps> | undefined {
    const site = callSite(FlowStream.prototype.pushSync)
    this.#check(options)
    if (this.#waiting.length + this.#running > 0)
      throw new FlowError('ERR_ARGUMENT', 'pushSync: pushes of this stream are pending; await them first')
    const pushed = this.#stamp(options)
    return this.#counted(() => {
      const step = this.#steps.plan(pushed, checkDecoded(frame, 'frame'), options.into)
      try {
        const result = callNative(site, () => this.#calls.native.run(step.request))
        return this.#count(this.#steps.finish(pushed, step, result))
      } catch (error) {
        this.#steps.failed(step)
        throw error
      }
    })
  }

  /**
   * The results for all frames of a source, in order; for the first only with `features`. A frame that fails gives
   * `{ flow: null, reason: 'failed', error }`. The stream stays open at the end.
   *
   * The source is read ahead by the depth of the queue. So a source that fills one buffer again and again needs
   * `queue: { depth: 0 }`. With the policy `'drop-oldest'` the source is read as fast as it gives frames. If the consumer or the
   * model is too slow, frames are dropped, and their results are left out.
   *
   * @throws {FlowError} `ERR_DISPOSED` or `ERR_ABORTED` once the stream is closed; `ERR_ARGUMENT` for no iterable; and every error
   *   that the source throws
   */
  async *from(
    frames: AsyncIterable<FrameSource> | Iterable<FrameSource>,
  ): AsyncGenerator<StreamResult<Maps>, void, undefined> {
    if (!isIterable(frames))
      throw new FlowError('ERR_ARGUMENT', `frames: must be an iterable of frames, not ${described(frames)}`)
    const live = this.#policy === 'drop-oldest'
    let reading = true
    let unread = 0
    const count = (change: 1 | -1) => {
      if (!(live || this.#options.reuse === true) || !reading) return
      unread += change
      this.#unread += change
      this.#calls.scheduler.wake(this.#lane)
    }
    const wanted = (result: StreamResult<Maps> | undefined) =>
      result !== undefined && !(live && reasonOf(result) === 'dropped')
    // A frame that cannot be used fails at once, also behind frames that wait. So it must not hold them up.
    const holds = (result: StreamResult<Maps> | undefined) => wanted(result) && reasonOf(result!) !== 'failed'
    const push = (frame: FrameSource) =>
      this.#tryPush(frame, (result) => {
        if (holds(result)) count(1)
      })
    const limit = live ? Infinity : this.#policy === 'wait' ? this.#depth + 1 : Math.max(1, this.#depth)
    try {
      for await (const result of readAhead(frames, push, wanted, limit)) {
        if (holds(result)) count(-1)
        yield result!
      }
    } finally {
      // Results that the consumer never takes must not block the stream.
      reading = false
      this.#unread -= unread
      this.#calls.scheduler.wake(this.#lane)
    }
  }

  /** The stream as a pair of Web streams: frames in, results out, with back-pressure. */
  web(): {
    readonly writable: WritableStream<FrameSource>
    readonly readable: ReadableStream<StreamResult<Maps>>
  } {
    const input = new TransformStream<FrameSource, FrameSource>()
    return { writable: input.writable, readable: ReadableStream.from(this.from(input.readable)) }
  }

  /** The stream as a Node stream in object mode: frames are written to it, and results read from it. */
  node(): Duplex {
    return Duplex.from((frames: AsyncIterable<FrameSource>) => this.from(frames))
  }

  /** Resolves as soon as the queue has room for one more frame. */
  async ready(): Promise<void> {
    while (this.#waiting.length >= Math.max(1, this.#depth))
      await new Promise<void>((resolve) => this.#roomWanted.push(resolve))
  }

  /** Makes the next pushed frame a first one. Frames that were pushed before are not affected. */
  reset(): void {
    this.#epoch += 1
  }

  /** Counts and distributions of durations since the stream was made. */
  stats(): StreamStats {
    return this.#counter.stats({ waiting: this.#waiting.length, running: this.#running })
  }

  /** Ends the stream and frees its features. Frames that wait fail with `ERR_DISPOSED`. Calling it again does nothing. */
  close(): void {
    this.#end('closed')
  }

  [Symbol.dispose](): void {
    this.close()
  }

  // ---- the queue

  /** As `push`, but the error of a frame becomes a result. */
  async #tryPush(
    frame: FrameSource,
    onResult: (result: StreamResult<Maps> | undefined) => void,
  ): Promise<StreamResult<Maps> | undefined> {
    const [index, timestamp] = [this.#index, performance.now()]
    try {
      return await this.#push(callSite(this.#tryPush), frame, {}, onResult)
    } catch (error) {
      if (this.#closed) throw error
      const timing = { queue: 0, engine: 0, total: performance.now() - timestamp }
      return { flow: null, reason: 'failed', error, index, timestamp, timing }
    }
  }

  #check(options: PushOptions<Maps['flow']>): void {
    if (this.#closed) throw new FlowError('ERR_DISPOSED', 'the stream was closed')
    this.#calls.check(options)
    const { timestamp } = options
    if (timestamp !== undefined && !Number.isFinite(timestamp))
      throw new FlowError(
        'ERR_ARGUMENT',
        `timestamp: must be a number of milliseconds, not ${shown(timestamp)}`,
      )
  }

  #stamp({ timestamp }: { readonly timestamp?: number | undefined }): PushedFrame {
    const pushed = performance.now()
    this.#counter.push()
    return { index: this.#index++, timestamp: timestamp ?? pushed, pushed, epoch: this.#epoch }
  }

  /** Counts a frame that cannot be used. */
  #counted<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.#counter.drop('failed')
      throw error
    }
  }

  #enqueue(entry: Entry<Maps>): void {
    this.#waiting.push(entry)
    this.#calls.scheduler.wake(this.#lane)
    if (this.#waiting.length <= this.#depth) return
    if (this.#policy === 'reject') {
      this.#waiting.pop()
      this.#counter.drop('full')
      const full = `the queue of the stream is full: ${this.#depth} frames wait; push later, or let the stream drop frames`
      entry.reject(new FlowError('ERR_QUEUE_FULL', full))
    } else if (this.#policy === 'drop-oldest') {
      this.#skip(this.#waiting.shift()!, 'dropped')
    }
  }

  async #decode(entry: Entry<Maps>, source: EncodedSource): Promise<void> {
    try {
      entry.frame = await decodeForCall(source, 'frame')
    } catch (error) {
      if (this.#remove(entry)) {
        this.#counter.drop('failed')
        entry.reject(error)
      }
    }
    this.#calls.scheduler.wake(this.#lane)
  }

  /** Removes a frame from the queue because its signal fired. Does nothing if it is no longer there. */
  #withdraw(entry: Entry<Maps>): void {
    if (!this.#remove(entry)) return
    this.#counter.drop('aborted')
    entry.reject(new FlowError('ERR_ABORTED', 'the push was aborted'))
    this.#calls.scheduler.wake(this.#lane)
  }

  #remove(entry: Entry<Maps>): boolean {
    const at = this.#waiting.indexOf(entry)
    if (at === -1) return false
    this.#waiting.splice(at, 1)
    this.#tellRoom()
    return true
  }

  #skip({ pushed, index, timestamp, resolve }: Entry<Maps>, reason: 'dropped' | 'deadline'): void {
    this.#counter.drop(reason === 'dropped' ? 'oldest' : 'deadline')
    const queue = performance.now() - pushed
    resolve({ flow: null, reason, index, timestamp, timing: { queue, engine: 0, total: queue } })
  }

  #tellRoom(): void {
    for (const resolve of this.#roomWanted.splice(0)) resolve()
  }

  #end(reason: 'closed' | 'aborted'): void {
    if (this.#closed) return
    this.#closed = true
    this.#forgetSignal?.()
    forgotten.unregister(this)
    for (const entry of this.#waiting.splice(0)) {
      this.#counter.drop(reason)
      entry.reject(
        reason === 'closed'
          ? new FlowError('ERR_DISPOSED', 'the stream was closed')
          : new FlowError('ERR_ABORTED', 'the stream was aborted', { cause: this.#options.signal?.reason }),
      )
    }
    this.#tellRoom()
    if (this.#running === 0) this.#steps.chain.clear()
  }

  // ---- the computation

  /** Whether the frame that waits longest may start. */
  #ready(): boolean {
    if (this.#running === this.#most || this.#unread > 0 || this.#steps.chain.broken) return false
    return this.#waiting[0]?.frame !== undefined
  }

  /** Starts the oldest waiting frame that is within the deadline. Skips those that are not. */
  async #start(): Promise<void> {
    const { deadline = Infinity } = this.#options
    let entry = this.#waiting.shift()
    while (entry !== undefined && performance.now() - entry.pushed > deadline) {
      this.#skip(entry, 'deadline')
      entry = this.#waiting[0]?.frame === undefined ? undefined : this.#waiting.shift()
    }
    this.#tellRoom()
    if (entry === undefined) return
    this.#running += 1
    try {
      entry.resolve(await this.#compute(entry))
    } catch (error) {
      this.#counter.drop(error instanceof FlowError && error.code === 'ERR_ABORTED' ? 'aborted' : 'failed')
      entry.reject(error)
    }
    this.#running -= 1
    if (this.#closed && this.#running === 0) this.#steps.chain.clear()
  }

  async #compute(entry: Entry<Maps>): Promise<StreamResult<Maps> | undefined> {
    for (let again = false; ; again = true) {
      const step = this.#steps.plan(entry, entry.frame!, entry.options.into)
      const { before } = step.link
      try {
        const sent = this.#calls.send(entry.site, entry.options.signal, step.request)
        // The next frame waits until this one has started again.
        if (again) this.#calls.scheduler.wake(this.#lane)
        const result = await sent
        return this.#count(this.#steps.finish(entry, step, result))
      } catch (error) {
        this.#steps.failed(step)
        // The frame before this one has failed meanwhile. Plan this frame again, from the last frame that has not failed.
        if (before?.failed !== true) throw error
      }
    }
  }

  #count({ outcome, timing, result }: Answer<Maps>): StreamResult<Maps> | undefined {
    this.#counter.answer(outcome, timing)
    return result
  }

  static {
    createStream = (calls, planner, maker, options) => new FlowStream(calls, planner, maker, options)
  }
}

/** Why there is no flow. */
function reasonOf(result: StreamResult<FlowMaps | TensorMaps>): NoFlow['reason'] | undefined {
  return result.flow === null ? result.reason : undefined
}

/** Frees the features of streams that nobody closed. */
const forgotten = new FinalizationRegistry<FeatureChain<unknown>>((chain) => chain.clear())
