import { FlowError } from '../errors.js'
import type { FeatureMap } from '../feature-map.js'
import { checkKept, isOnHost } from '../frame.js'
import type { NativeFrame, NativeRefinement, NativeRequest, NativeResult } from '../native/contract.js'
import type { Filled, FlowMaps, RequestPlanner, TensorMaps } from '../request.js'
import { type FlowOutput, type OutputSize, sameSize } from '../size.js'
import type { FlowResult, StreamFrame, StreamOptions, StreamResult } from '../stream-options.js'
import { isDeviceOutput, type OnDevice } from '../tensor/results.js'
import type { CallQueue } from './call-queue.js'
import { FeatureChain, type Link } from './feature-chain.js'
import { SharedFeatures } from './shared-features.js'
import type { Outcome, Timing } from './stream-counter.js'
import { type ResultMaker, ResultRing } from './stream-results.js'

/** A frame that was pushed. */
export interface PushedFrame extends StreamFrame {
  /** `performance.now()` at the push. */
  readonly pushed: number
  /** Counts the resets before it. */
  readonly epoch: number
}

/** A frame whose features the stream keeps. */
interface KeptFrame extends StreamFrame {
  readonly size: OutputSize
  readonly epoch: number
}

/** The request for one frame, and the memory for its results. */
export interface Step<Maps extends FlowMaps | TensorMaps> {
  readonly request: NativeRequest
  readonly frame: NativeFrame
  readonly link: Link<KeptFrame>
  /** Undefined for a frame that starts the stream anew. */
  readonly filled: Filled<Maps> | undefined
  readonly similarity: Float32Array | undefined
  /** Makes the map of the frame's features, once they are computed. */
  readonly giveFeatures: (() => FeatureMap) | undefined
  /** `performance.now()` when the request was made. */
  readonly made: number
}

/** The outcome of a frame, for its stream's counter, and the result of its push. */
export interface Answer<Maps extends FlowMaps | TensorMaps> {
  readonly outcome: Outcome
  readonly timing: Timing
  readonly result: StreamResult<Maps> | undefined
}

/** Above the similarities of different photographs, and below those of a photograph that moves. */
const CUT_THRESHOLD = 0.44

/** Turns the frames of one stream into requests, each from the frame before, and their answers into results. */
export class StreamSteps<Maps extends FlowMaps | TensorMaps> {
  readonly #calls: CallQueue
  readonly #planner: RequestPlanner
  readonly #maker: ResultMaker<Maps>
  readonly #ring: ResultRing<Maps> | undefined
  readonly #options: StreamOptions | OnDevice<StreamOptions>
  readonly #output: FlowOutput | undefined
  /** Whether frames are compared. The bytes of a GPU's memory cannot be, nor can results there be set to 0 by the host. */
  readonly #findsDuplicates: boolean
  readonly #refine: NativeRefinement | undefined
  readonly #threshold: number | undefined
  readonly #features: SharedFeatures
  /** The features that the next frame starts from. */
  readonly chain: FeatureChain<KeptFrame>

  /** @param inFlight how many frames may have a request at a time */
  constructor(
    calls: CallQueue,
    planner: RequestPlanner,
    maker: ResultMaker<Maps>,
    options: StreamOptions | OnDevice<StreamOptions>,
    inFlight: number,
  ) {
    this.#calls = calls
    this.#planner = planner
    this.#maker = maker
    this.#ring = options.reuse === true ? new ResultRing(maker, inFlight) : undefined
    this.#options = options
    const { output } = options
    const onDevice = isDeviceOutput(output)
    this.#output = onDevice ? output.size : output
    this.#findsDuplicates = !onDevice || planner.onHost
    this.#refine = planner.refinement(options)
    const { sceneCut = false } = options
    this.#threshold = sceneCut === true ? CUT_THRESHOLD : sceneCut === false ? undefined : sceneCut
    const { native } = calls
    const features = new SharedFeatures((id) => native.release(id))
    this.#features = features
    this.chain = new FeatureChain((id) => features.release(id))
  }

  /** The request for a frame. From now on the next frame starts from this one. */
  plan(
    { index, timestamp, epoch }: PushedFrame,
    frame: NativeFrame,
    into: Maps['flow'] | undefined,
  ): Step<Maps> {
    checkKept(frame, 'frame')
    const { last } = this.chain
    const before = last?.frame.epoch === epoch ? last : undefined
    const size = { width: frame.width, height: frame.height }
    const grid = this.#planner.grid(this.#options.size, frame)
    const output = this.#planner.outputSize(size, grid, this.#output)
    const skipDuplicate = this.#findsDuplicates && isOnHost(frame.data)
    const common = { ...grid, skipDuplicate, refine: this.#refine }
    const made = performance.now()
    const id = this.#calls.nextFeatureId()
    const kept = { index, timestamp, epoch, size }
    const giveFeatures = () => {
      const features = this.#features
      features.share(id)
      const pixels = this.#refine === undefined ? null : output
      return this.#planner.map(id, grid, size, pixels, () => features.release(id))
    }
    const step = { frame, made, giveFeatures: this.#options.features ? giveFeatures : undefined }
    if (before === undefined || !sameSize(before.frame.size, size)) {
      const link = this.chain.add(id, kept)
      const request = { ...common, from: frame, keepFrom: id, ...output }
      return { ...step, request, link, filled: undefined, similarity: undefined }
    }
    const { fill, make } = this.#maker
    const filled = fill(
      into === undefined && this.#ring !== undefined ? this.#ring.next(output) : make(output, into),
    )
    const similarity = this.#threshold === undefined ? undefined : new Float32Array(1)
    const link = this.chain.add(id, kept)
    const request = { ...common, from: before.id, to: frame, keepTo: id, ...filled.request, similarity }
    return { ...step, request, link, filled, similarity }
  }

  /** The request of a frame has failed, or its answer is of no use. */
  failed({ link, filled }: Step<Maps>): void {
    this.chain.failed(link)
    if (filled !== undefined) this.#ring?.giveBack(filled.maps)
  }

  /** The result of a frame whose request was answered. */
  finish(
    { index, timestamp, epoch, pushed }: PushedFrame,
    { frame, link, filled, similarity, giveFeatures, made }: Step<Maps>,
    { wait, work, duplicate }: NativeResult,
  ): Answer<Maps> {
    checkKept(frame, 'frame')
    if (link.before?.failed === true)
      throw new FlowError('ERR_FRAME', 'frame: the frame before it has failed')
    filled?.deliver()
    const before = link.before?.frame
    this.chain.answered(link)
    const timing = { queue: made - pushed + wait, engine: work, total: performance.now() - pushed }
    const features = giveFeatures?.()
    const common = { index, timestamp, timing, ...(features && { features }) }
    if (filled === undefined || before === undefined) {
      const reason = before?.epoch === epoch ? 'size' : 'first'
      const told = reason === 'size' || features !== undefined
      return { outcome: 'first', timing, result: told ? { ...common, flow: null, reason } : undefined }
    }
    if (similarity !== undefined && similarity[0]! < this.#threshold!)
      return { outcome: 'cuts', timing, result: { ...common, flow: null, reason: 'cut' } }
    const from = { index: before.index, timestamp: before.timestamp }
    const result: FlowResult<Maps> = { ...filled.maps, ...common, from, duplicate }
    return { outcome: duplicate ? 'duplicates' : 'computed', timing, result }
  }
}
