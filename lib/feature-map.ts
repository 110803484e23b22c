import type { Call, CallQueue } from './calls/call-queue.js'
import { readingCall } from './calls/reading.js'
import { FlowError } from './errors.js'
import type { FeatureId, NativeModel } from './native/contract.js'
import type { OutputSize } from './size.js'
import { callNative, callSite } from './native/failure.js'
import { allocateFloats } from './support/allocate.js'
import { described } from './support/arguments.js'
import { isFloat32Array } from './support/brands.js'
import { readOnlyTensor, type Tensor } from './tensor.js'
import { EngineMemory } from './tensor/memory.js'

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
  /** The size at which the map also keeps its frame's pixels, to refine flows by them; null if it keeps none. */
  readonly pixels: OutputSize | null
}

/** Options of {@link FeatureMap.readSync}. */
export interface FeatureReadSyncOptions {
  /**
   * Array that the features are written to. The call returns it instead of a new one. Its length is
   * `gridHeight * gridWidth * dim`. Only one call at a time may use it. Do not transfer or resize its memory before the call
   * is settled.
   */
  readonly into?: Float32Array | undefined
}

/** Options of {@link FeatureMap.read}. */
export interface FeatureReadOptions extends FeatureReadSyncOptions {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes the `FeatureMap` of the features that the network of `queue` holds under `id`.
 *
 * @param release lets go of the features; it must not refer to the map
 */
export let createFeatureMap: (
  queue: CallQueue,
  id: FeatureId,
  shape: FeatureMapShape,
  release?: () => void,
) => FeatureMap

/**
 * The id of a map in the network of `queue`.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if `map` is not a map of this model, `ERR_DISPOSED` if it was disposed
 */
export let featureIdOf: (map: FeatureMap, queue: CallQueue, name: string) => FeatureId

/**
 * The backbone's features of one frame: DINOv3's normalised patch tokens, `dim` float32 values per patch. They stay in the
 * engine's memory, so that flow between two encoded frames costs one pass of the head and none of the backbone.
 *
 * `FlowModel.features` makes a map, and only that model can use it. Dispose a map that is no longer needed. The memory of a
 * forgotten map is freed when the garbage collector finds the map, which may be late.
 */
export class FeatureMap implements FeatureMapShape {
  readonly gridHeight: number
  readonly gridWidth: number
  readonly dim: number
  readonly frameHeight: number
  readonly frameWidth: number
  readonly pixels: OutputSize | null
  readonly #queue: CallQueue
  readonly #id: FeatureId
  readonly #release: () => void
  #tensor: Tensor<'float32'> | undefined
  #disposed = false

  private constructor(queue: CallQueue, id: FeatureId, shape: FeatureMapShape, release: () => void) {
    this.#queue = queue
    this.#id = id
    this.#release = release
    this.gridHeight = shape.gridHeight
    this.gridWidth = shape.gridWidth
    this.dim = shape.dim
    this.frameHeight = shape.frameHeight
    this.frameWidth = shape.frameWidth
    this.pixels = shape.pixels
    forgotten.register(this, release, this)
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#disposed
  }

  /**
   * Copies the features out of the engine: `gridHeight * gridWidth * dim` values, one patch after the other, row by row.
   * It runs after all calls that were made to the model before.
   *
   * @throws {FlowError} `ERR_DISPOSED` if the map or its model was disposed; `ERR_ARGUMENT` for an option; `ERR_ABORTED`
   */
  read(options: FeatureReadOptions = {}): Promise<Float32Array> {
    return this.#queue.submit(FeatureMap.prototype.read, this.#reading(options))
  }

  /**
   * Like {@link read}, but blocks until this call and all calls made before it are done.
   *
   * @throws {FlowError} as `read`
   */
  readSync(options: FeatureReadSyncOptions = {}): Float32Array {
    return this.#queue.run(FeatureMap.prototype.readSync, this.#reading(options))
  }

  /**
   * The features where they lie, without a copy: `gridHeight` x `gridWidth` x `dim`, read only. It is the same tensor each time until
   * you dispose it. It keeps the features when the map or the model is disposed. On the CPU its `data` are the values that
   * {@link read} copies. Only if `dim` is no multiple of 32 may there be gaps between patches: see its `strides`.
   *
   * @throws {FlowError} `ERR_DISPOSED` if the map or its model was disposed
   */
  get tensor(): Tensor<'float32'> {
    this.#requireLive()
    this.#queue.check({})
    if (this.#tensor === undefined || this.#tensor.disposed)
      this.#tensor = tensorOf(this.#queue, this.#id, [this.gridHeight, this.gridWidth, this.dim])
    return this.#tensor
  }

  /** Frees the memory once the calls that were made before are done. Calling it again does nothing. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    forgotten.unregister(this)
    this.#release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #reading(options: FeatureReadOptions): Call<Float32Array> {
    return readingCall(
      options,
      () => this.#target(options.into),
      (features) => ({ from: this.#id, features }),
    )
  }

  /** The array that a call writes. */
  #target(into: Float32Array | undefined): Float32Array {
    this.#requireLive()
    const length = this.gridHeight * this.gridWidth * this.dim
    if (into === undefined) return allocateFloats(length, 'the copy of a feature map')
    if (!isFloat32Array(into)) throw new FlowError('ERR_ARGUMENT', 'into: must be a Float32Array')
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
    createFeatureMap = (queue, id, shape, release = freeing(queue.native, id)) =>
      new FeatureMap(queue, id, shape, release)
    featureIdOf = (map, queue, name) => {
      if (!(map instanceof FeatureMap))
        throw new FlowError(
          'ERR_ARGUMENT',
          `${name}: must be a FeatureMap that model.features() returned, not ${described(map)}`,
        )
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

function tensorOf(queue: CallQueue, id: FeatureId, shape: readonly number[]): Tensor<'float32'> {
  const features = callNative(callSite(tensorOf), () => queue.native.features(id))
  return readOnlyTensor(queue, new EngineMemory(features), shape, features.stride)
}

/** Refers to nothing else: a map that nobody refers to must be collected. */
function freeing(native: NativeModel, id: FeatureId): () => void {
  return () => native.release(id)
}

/** Lets go of the features of maps that nobody disposed. It refers to the native model, which so outlives its maps. */
const forgotten = new FinalizationRegistry<() => void>((release) => release())
