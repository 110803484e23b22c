import type { Call, CallQueue } from './calls/call-queue.js'
import { FlowError } from './errors.js'
import type { FeatureId, NativeModel } from './native/contract.js'
import { allocateFloats } from './support/allocate.js'

/** The sizes of a {@link FeatureMap}. */
export interface FeatureMapShape {
  /** Patches from top to bottom. */
  readonly gridHeight: number
  /** Patches from left to right. */
  readonly gridWidth: number
  /** Channels: the backbone's width. */
  readonly dim: number
  /** Height in pixels of the frame it was computed from. */
  readonly frameHeight: number
  /** Width in pixels of the frame it was computed from. */
  readonly frameWidth: number
}

/** How features are read by a synchronous call. */
export interface FeatureReadSyncOptions {
  /**
   * Written instead of a new array, and returned; of exactly the map's length. One call at a time may use it; do not transfer
   * or resize its memory before the call is settled.
   */
  readonly into?: Float32Array | undefined
}

/** How features are read. */
export interface FeatureReadOptions extends FeatureReadSyncOptions {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/** Makes the map of the features that the network behind `queue` holds under `id`. */
export let createFeatureMap: (queue: CallQueue, id: FeatureId, shape: FeatureMapShape) => FeatureMap

/**
 * The id under which the network behind `queue` knows a map.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if it is no map of this model, `ERR_DISPOSED` if it was disposed
 */
export let featureIdOf: (map: FeatureMap, queue: CallQueue, name: string) => FeatureId

/**
 * The backbone's features of one frame: what DINOv3 calls the normalised patch tokens, `dim` float32 values for each patch.
 * They stay in the engine's memory, so that flow between frames that were encoded before costs the head alone. Made by
 * `FlowModel.features`; of use to that model only. Dispose it when it is not needed any more; a forgotten one is given back
 * when it is collected, which may be late.
 */
export class FeatureMap implements FeatureMapShape {
  readonly gridHeight: number
  readonly gridWidth: number
  readonly dim: number
  readonly frameHeight: number
  readonly frameWidth: number
  readonly #queue: CallQueue
  readonly #id: FeatureId
  #disposed = false

  private constructor(queue: CallQueue, id: FeatureId, shape: FeatureMapShape) {
    this.#queue = queue
    this.#id = id
    this.gridHeight = shape.gridHeight
    this.gridWidth = shape.gridWidth
    this.dim = shape.dim
    this.frameHeight = shape.frameHeight
    this.frameWidth = shape.frameWidth
    forgotten.register(this, { native: queue.native, id }, this)
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#disposed
  }

  /**
   * Copies the features out of the engine: `gridHeight * gridWidth * dim` values, one patch after the other, row by row.
   * Its turn comes after the calls of the model that were made before.
   *
   * @throws {FlowError} `ERR_DISPOSED` if the map or its model was disposed; `ERR_ARGUMENT` for an option; `ERR_ABORTED`
   */
  read(options: FeatureReadOptions = {}): Promise<Float32Array> {
    return this.#queue.submit(FeatureMap.prototype.read, this.#reading(options))
  }

  /**
   * As {@link read}. Blocks until it, and every call made before, is done.
   *
   * @throws {FlowError} as `read`
   */
  readSync(options: FeatureReadSyncOptions = {}): Float32Array {
    return this.#queue.run(FeatureMap.prototype.readSync, this.#reading(options))
  }

  /** Gives the memory back, once the calls that were made before are done. Further calls do nothing. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    forgotten.unregister(this)
    this.#queue.native.release(this.#id)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #reading(options: FeatureReadOptions): Call<Float32Array> {
    return {
      options,
      frames: [],
      plan: () => {
        const features = this.#target(options.into)
        return { request: { from: this.#id, features }, answer: () => features }
      },
    }
  }

  /** The array that a call writes. */
  #target(into: Float32Array | undefined): Float32Array {
    this.#requireLive()
    const length = this.gridHeight * this.gridWidth * this.dim
    if (into === undefined) return allocateFloats(length, 'the copy of a feature map')
    if (!(into instanceof Float32Array)) throw new FlowError('ERR_ARGUMENT', 'into: must be a Float32Array')
    if (into.length !== length)
      throw new FlowError(
        'ERR_ARGUMENT',
        `into: has ${into.length} values, but the features are ${length} (${this.gridHeight} x ${this.gridWidth} patches ` +
          `of ${this.dim}): give an array of that length`,
      )
    return into
  }

  #requireLive(): void {
    if (this.#disposed) throw new FlowError('ERR_DISPOSED', 'the feature map was disposed')
  }

  static {
    createFeatureMap = (queue, id, shape) => new FeatureMap(queue, id, shape)
    featureIdOf = (map, queue, name) => {
      if (!(map instanceof FeatureMap))
        throw new FlowError('ERR_ARGUMENT', `${name}: must be a FeatureMap that model.features() returned`)
      map.#requireLive()
      if (map.#queue !== queue)
        throw new FlowError(
          'ERR_ARGUMENT',
          `${name}: belongs to another model; feature maps stay in the memory of the model that made them`,
        )
      return map.#id
    }
  }
}

/** Gives back what nobody disposed. It holds the native model, which so outlives its feature maps. */
const forgotten = new FinalizationRegistry<{ native: NativeModel; id: FeatureId }>(({ native, id }) =>
  native.release(id),
)
