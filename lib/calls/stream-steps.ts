import { FlowError } from '../errors.js'
import type { FeatureMap } from '../feature-map.js'
import type { FlowField } from '../flow-field.js'
import { checkKept, isOnHost } from '../frame.js'
import type { NativeFrame, NativeRefinement, NativeRequest, NativeResult } from '../native/contract.js'
import { checkInto, fillMaps, type FlowMaps, makeMaps, type RequestPlanner } from '../request.js'
import { type OutputSize, sameSize } from '../size.js'
import { type Target, targetOf } from '../support/allocate.js'
import type { StreamFrame, StreamOptions, StreamResult } from '../stream-options.js'
import type { CallQueue } from './call-queue.js'
import { FeatureChain, type Link } from './feature-chain.js'
import { SharedFeatures } from './shared-features.js'
import type { Outcome, Timing } from './stream-counter.js'

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
export interface Step {
  readonly request: NativeRequest
  readonly frame: NativeFrame
  readonly link: Link<KeptFrame>
  /** Undefined for a frame that starts the stream anew. */
  readonly maps: FlowMaps | undefined
  /** The flow of `maps`. */
  readonly target: Target<Float32Array> | undefined
  readonly similarity: Float32Array | undefined
  /** Makes the map of the frame's features, once they are computed. */
  readonly giveFeatures: (() => FeatureMap) | undefined
  /** `performance.now()` when the request was made. */
  readonly made: number
}

/** The outcome of a frame, for its stream's counter, and the result of its push. */
export interface Answer {
  readonly outcome: Outcome
  readonly timing: Timing
  readonly result: StreamResult | undefined
}

export type MakeField = (width: number, height: number) => FlowField

/** Above the similarities of different photographs, and below those of a photograph that moves. */
const CUT_THRESHOLD = 0.44
/** Results in use at a time with `reuse`: two in the engine, two that the consumer of `from` has not taken, one that it has. */
const RING = 5

/** Turns the frames of one stream into requests, each from the frame before, and their answers into results. */
export class StreamSteps {
  readonly #calls: CallQueue
  readonly #planner: RequestPlanner
  readonly #makeField: MakeField
  readonly #options: StreamOptions
  readonly #refine: NativeRefinement | undefined
  readonly #threshold: number | undefined
  readonly #ring: FlowMaps[] = []
  readonly #features: SharedFeatures
  /** The features that the next frame starts from. */
  readonly chain: FeatureChain<KeptFrame>

  constructor(calls: CallQueue, planner: RequestPlanner, makeField: MakeField, options: StreamOptions) {
    this.#calls = calls
    this.#planner = planner
    this.#makeField = makeField
    this.#options = options
    this.#refine = planner.refinement(options)
    const { sceneCut = false } = options
    this.#threshold = sceneCut === true ? CUT_THRESHOLD : sceneCut === false ? undefined : sceneCut
    const { native } = calls
    const features = new SharedFeatures((id) => native.release(id))
    this.#features = features
    this.chain = new FeatureChain((id) => features.release(id))
  }

  /** The request for a frame. From now on the next frame starts from this one. */
  plan({ index, timestamp, epoch }: PushedFrame, frame: NativeFrame, into: FlowField | undefined): Step {
    checkKept(frame, 'frame')
    const { last } = this.chain
    const before = last?.frame.epoch === epoch ? last : undefined
    const size = { width: frame.width, height: frame.height }
    const grid = this.#planner.grid(this.#options.size, frame)
    const output = this.#planner.outputSize(size, grid, this.#options.output)
    // What is in the memory of a GPU cannot be compared with the frame before.
    const skipDuplicate = isOnHost(frame.data)
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
      return { ...step, request, link, maps: undefined, target: undefined, similarity: undefined }
    }
    const maps = this.#maps(output, into)
    const target = targetOf(maps.flow.data)
    const similarity = this.#threshold === undefined ? undefined : new Float32Array(1)
    const link = this.chain.add(id, kept)
    const results = { ...fillMaps(maps), flow: target.data, similarity }
    const request = { ...common, from: before.id, to: frame, keepTo: id, ...results }
    return { ...step, request, link, maps, target, similarity }
  }

  /** The result of a frame whose request was answered. */
  finish(
    { index, timestamp, epoch, pushed }: PushedFrame,
    { frame, link, maps, target, similarity, giveFeatures, made }: Step,
    { wait, work, duplicate }: NativeResult,
  ): Answer {
    checkKept(frame, 'frame')
    if (link.before?.failed === true)
      throw new FlowError('ERR_FRAME', 'frame: the frame before it has failed')
    target?.deliver()
    const before = link.before?.frame
    this.chain.answered(link)
    const timing = { queue: made - pushed + wait, engine: work, total: performance.now() - pushed }
    const features = giveFeatures?.()
    const common = { index, timestamp, timing, ...(features && { features }) }
    if (maps === undefined || before === undefined) {
      const reason = before?.epoch === epoch ? 'size' : 'first'
      const told = reason === 'size' || features !== undefined
      return { outcome: 'first', timing, result: told ? { ...common, flow: null, reason } : undefined }
    }
    if (similarity !== undefined && similarity[0]! < this.#threshold!)
      return { outcome: 'cuts', timing, result: { ...common, flow: null, reason: 'cut' } }
    const from = { index: before.index, timestamp: before.timestamp }
    const result = { ...common, ...maps, from, duplicate }
    return { outcome: duplicate ? 'duplicates' : 'computed', timing, result }
  }

  #maps(size: OutputSize, into: FlowField | undefined): FlowMaps {
    if (into !== undefined) {
      const flow = checkInto(into, size.width, size.height)
      return { ...makeMaps(this.#options, size, this.#makeField, flow) }
    }
    if (this.#options.reuse !== true) return makeMaps(this.#options, size, this.#makeField)
    if (this.#ring[0] !== undefined && !sameSize(this.#ring[0].flow, size)) this.#ring.length = 0
    const maps =
      this.#ring.length === RING ? this.#ring.shift()! : makeMaps(this.#options, size, this.#makeField)
    this.#ring.push(maps)
    return maps
  }
}
