import { FlowError } from './errors.js'
import { callNative, callSite, type FeatureId, type NativeModel } from './native.js'

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

/** Makes the map of features that `native` holds under `id`. */
export let createFeatureMap: (native: NativeModel, id: FeatureId, shape: FeatureMapShape) => FeatureMap

/**
 * The id under which `native` knows a map.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if it is no map of this model, `ERR_DISPOSED` if it was disposed
 */
export let featureIdOf: (map: FeatureMap, native: NativeModel, name: string) => FeatureId

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
  readonly #native: NativeModel
  readonly #id: FeatureId
  #disposed = false

  private constructor(native: NativeModel, id: FeatureId, shape: FeatureMapShape) {
    this.#native = native
    this.#id = id
    this.gridHeight = shape.gridHeight
    this.gridWidth = shape.gridWidth
    this.dim = shape.dim
    this.frameHeight = shape.frameHeight
    this.frameWidth = shape.frameWidth
    forgotten.register(this, { native, id }, this)
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#disposed
  }

  /**
   * Copies the features out of the engine: `gridHeight * gridWidth * dim` values, one patch after the other, row by row.
   * Waits for the calls that were made before.
   *
   * @throws {FlowError} `ERR_DISPOSED` if the map or its model was disposed
   */
  read(): Float32Array {
    const site = callSite(FeatureMap.prototype.read)
    this.#requireLive()
    const values = new Float32Array(this.gridHeight * this.gridWidth * this.dim)
    callNative(site, () => this.#native.readFeatures(this.#id, values))
    return values
  }

  /** Gives the memory back, once the calls that were made before are done. Further calls do nothing. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    forgotten.unregister(this)
    this.#native.releaseFeatures(this.#id)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #requireLive(): void {
    if (this.#disposed) throw new FlowError('ERR_DISPOSED', 'the feature map was disposed')
  }

  static {
    createFeatureMap = (native, id, shape) => new FeatureMap(native, id, shape)
    featureIdOf = (map, native, name) => {
      if (!(map instanceof FeatureMap))
        throw new FlowError('ERR_ARGUMENT', `${name}: is a FeatureMap, as model.features() gives it`)
      map.#requireLive()
      if (map.#native !== native)
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
  native.releaseFeatures(id),
)
