import type { BackboneConfig, HeadConfig, Weight } from '../checkpoint/tensor.js'
import type { Device, Precision } from '../device.js'
import type { PixelFormat } from '../frame.js'

/** A frame whose every number was checked; mirrors `Frame` of native/ops/frame.h. */
export interface NativeFrame {
  /** Read in place until the call is settled. */
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
  /** Bytes from one row to the next. */
  readonly stride: number
  readonly format: PixelFormat
}

export interface NativeModelOptions {
  readonly backbone: BackboneConfig
  readonly head: HeadConfig
  /** The files must stay open until `load` is settled. */
  readonly backboneWeights: readonly Weight[]
  readonly headWeights: readonly Weight[]
  readonly device: Device
  readonly precision: 'auto' | Precision
  /** Of the CPU engine: 1 to 256; 0 is one per physical core. */
  readonly threads: number
}

/** A GPU as its driver describes it. */
export interface NativeGpu {
  readonly index: number
  readonly name: string
  /** `9.0` */
  readonly computeCapability: string
  readonly multiprocessors: number
  /** Bytes. */
  readonly memory: number
  /** Whether its memory is the host's. */
  readonly integrated: boolean
  /** 13000 is CUDA 13.0: the newest that the driver supports. */
  readonly driverVersion: number
}

/** What an engine says about itself: `gpu` of a CUDA engine, the other three of a CPU engine. */
export interface NativeModelInfo {
  readonly gpu?: NativeGpu
  readonly instructionSet?: string
  readonly threads?: number
  /** Why `device: 'auto'` is no GPU; empty where nobody asked. */
  readonly gpuUnused?: string
  readonly precision: Precision
  /** Bytes of all weights as float32. */
  readonly weightBytes: number
}

/** A copy of an intermediate result: `rows * cols` values, row by row. */
export interface TraceEntry {
  readonly name: string
  readonly rows: number
  readonly cols: number
  readonly values: Float32Array
}

/** `FlowColorOptions`, checked; mirrors `FlowColors` of native/ops/ops.h. */
export interface NativeFlowColors {
  /** 0 is the longest motion. */
  readonly scale: number
  readonly clipMax: number
  readonly clipMin: number
}

/** A feature map in the engine's memory. Valid in its own model only, until released. */
export type FeatureId = number

/**
 * A network on a thread of its own. Calls run in the order in which they were made, whether they return a promise or, as
 * those in ...Sync, wait. `ticket` names a call for `cancel`; 0 is no name. Grids count patches. An output is a planar
 * Float32Array of exactly `2 * height * width`, a picture a Uint8Array of `3 * height * width`; both are written in place.
 */
export interface NativeModel {
  /** Once, before anything else. `onProgress` is told bytes, and must not throw. */
  load(onProgress: (loaded: number, total: number) => void): Promise<void>
  cancelLoad(): void
  flow(
    a: NativeFrame,
    b: NativeFrame,
    gridHeight: number,
    gridWidth: number,
    output: Float32Array,
    height: number,
    width: number,
    ticket: number,
  ): Promise<void>
  flowSync(
    a: NativeFrame,
    b: NativeFrame,
    gridHeight: number,
    gridWidth: number,
    output: Float32Array,
    height: number,
    width: number,
  ): void
  features(frame: NativeFrame, gridHeight: number, gridWidth: number, ticket: number): Promise<FeatureId>
  featuresSync(frame: NativeFrame, gridHeight: number, gridWidth: number): FeatureId
  flowFromFeatures(
    a: FeatureId,
    b: FeatureId,
    output: Float32Array,
    height: number,
    width: number,
    ticket: number,
  ): Promise<void>
  flowFromFeaturesSync(a: FeatureId, b: FeatureId, output: Float32Array, height: number, width: number): void
  /** `features` of the frame, on the grid of `before`, and the flow from the frame of that to it. */
  advance(
    before: FeatureId,
    frame: NativeFrame,
    output: Float32Array,
    height: number,
    width: number,
    ticket: number,
  ): Promise<FeatureId>
  advanceSync(
    before: FeatureId,
    frame: NativeFrame,
    output: Float32Array,
    height: number,
    width: number,
  ): FeatureId
  flowPicture(
    a: NativeFrame,
    b: NativeFrame,
    gridHeight: number,
    gridWidth: number,
    picture: Uint8Array,
    height: number,
    width: number,
    colors: NativeFlowColors,
    ticket: number,
  ): Promise<void>
  flowPictureFromFeatures(
    a: FeatureId,
    b: FeatureId,
    picture: Uint8Array,
    height: number,
    width: number,
    colors: NativeFlowColors,
    ticket: number,
  ): Promise<void>
  /** Copies N x dim values to `output`. */
  readFeatures(features: FeatureId, output: Float32Array, ticket: number): Promise<void>
  readFeaturesSync(features: FeatureId, output: Float32Array): void
  /** Gives the memory back once calls made before are done. Nothing happens for a map that was released. */
  releaseFeatures(features: FeatureId): void
  /**
   * Zeroed memory that the engine reads frames from and writes results to without a copy in between. Undefined where ordinary
   * memory serves as well: on a CPU, and where the runtime allows no such memory. Throws `ERR_OUT_OF_MEMORY`.
   */
  allocate(bytes: number): ArrayBuffer | undefined
  /** Runs `flow` and keeps what it computes on the way: for tests against an oracle. */
  trace(
    a: NativeFrame,
    b: NativeFrame,
    gridHeight: number,
    gridWidth: number,
    height: number,
    width: number,
  ): TraceEntry[]
  /** Rejects a call that has not started with `ERR_ABORTED`; false where it has. */
  cancel(ticket: number): boolean
  /** Waits for every call made before, then frees everything. */
  dispose(): Promise<void>
  disposeSync(): void
  describe(): NativeModelInfo
}

/** The whole native module; implemented in native/addon. */
export interface NativeAddon {
  readonly NativeModel: new (options: NativeModelOptions) => NativeModel
  /** What the CUDA kernels were compiled for, `sm_90a compute_120`; empty in a build without kernels. */
  readonly cudaKernels: string
}
