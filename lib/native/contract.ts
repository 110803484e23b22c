import type { Normalization } from '../checkpoint/normalization.js'
import type { BackboneConfig, HeadConfig, Weight } from '../checkpoint/tensor.js'
import type { Device, Precision, Wait } from '../device.js'
import type { RefinePreset } from '../refine.js'

/** Bytes from the begin of a frame's data to the first row of a plane, and from one row to the next. */
export interface NativePlane {
  readonly offset: number
  readonly stride: number
}

/** A frame whose numbers were all checked; mirrors `Frame` of native/ops/frame.h. */
export interface NativeFrame {
  /** Read in place until the call is settled. */
  readonly data: Uint8Array | Uint8ClampedArray | NativeRange
  readonly width: number
  readonly height: number
  /** Where its three channels are: plane, byte, step, across and down of each (`Channel` of native/ops/frame.h). */
  readonly channels: Int32Array
  /** If the channels are Y, U and V: `YuvToRgb` of kernels/frame.h. */
  readonly toRgb?: Int32Array | undefined
  /** One for each plane that a channel is in. */
  readonly planes: readonly NativePlane[]
}

export interface NativeModelOptions {
  readonly backbone: BackboneConfig
  readonly head: HeadConfig
  /** The files must stay open until `load` is settled. */
  readonly backboneWeights: readonly Weight[]
  readonly headWeights: readonly Weight[]
  readonly ropePeriods: 'float32' | 'bfloat16'
  /** Default: ImageNet's. */
  readonly normalization?: Normalization | undefined
  readonly device: Device
  readonly precision: 'auto' | Precision
  /** How the thread of a call waits for a GPU; `auto` as the engine chooses. */
  readonly wait: 'auto' | Wait
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
  /** Whether it computes in page-locked host memory instead of copying. */
  readonly inPlace: boolean
  /** How calls wait for it. */
  readonly wait: Wait
  /** The architecture that the kernels in use were compiled for: `sm_86`, or `compute_80` if by the driver. */
  readonly kernels: string
  /** 13000 is CUDA 13.0: the newest that the driver supports. */
  readonly driverVersion: number
}

/** What the network does about values beyond the range of its precision; mirrors `Numerics` of native/model/numerics.h. */
export interface NativeNumerics {
  readonly precision: Precision
  readonly scaled: readonly {
    readonly block: number
    readonly values: 'queries' | 'values' | 'hidden'
    readonly exponent: number
  }[]
}

/** Describes the engine: `gpu` for a CUDA engine, the other three for a CPU engine. */
export interface NativeModelInfo {
  readonly gpu?: NativeGpu
  readonly instructionSet?: string
  readonly threads?: number
  /** Reason why `auto` fell back to the CPU; empty if a device was named. */
  readonly gpuUnused?: string
  /** When the model was loaded. */
  readonly precision: Precision
  /** As of the last answer. */
  readonly numerics: NativeNumerics
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

/** `RefineOptions`, checked; mirrors `Refinement` of native/model/refiner.h. */
export interface NativeRefinement {
  readonly preset: RefinePreset
  /** Above 0; 1 is the preset's. */
  readonly smoothness: number
}

/** The name of a feature map in the engine's memory: a positive integer that a model's caller never chooses twice. */
export type FeatureId = number

/** A frame to encode, or features that were encoded before. */
export type NativeInput = NativeFrame | FeatureId

/**
 * One call as data; mirrors `Request` of native/model/request.h. A result that is left out is not computed. Results are
 * written in place, each into a typed array of exactly its length, or a range that begins at a multiple of 16 bytes.
 */
export interface NativeRequest {
  readonly from: NativeInput
  /** Without it there is no flow: only `features` and `keepFrom` have a result. */
  readonly to?: NativeInput | undefined
  /** The patches of a frame. Not needed if there is no frame: features have a grid. */
  readonly gridHeight?: number | undefined
  readonly gridWidth?: number | undefined
  /** Keeps the features of a frame under this name until `release`. */
  readonly keepFrom?: FeatureId | undefined
  readonly keepTo?: FeatureId | undefined
  /**
   * If `to` is byte for byte the frame of `from`, nothing is computed: flow is 0, nothing is hidden, and `keepTo` names the
   * same features. This needs features as `from`, kept by a request with this flag, and frames and results of the host.
   */
  readonly skipDuplicate?: boolean | undefined
  /**
   * Every flow is refined by the pixels of the frames, and features that are kept keep the pixels, too. They are kept at
   * `height` and `width`; features as `from` say at which size theirs are.
   */
  readonly refine?: NativeRefinement | undefined
  /** The size of all maps below. Flow is in pixels of this size. */
  readonly height?: number | undefined
  readonly width?: number | undefined
  /** `2 * height * width`: all x, then all y. */
  readonly flow?: Float32Array | NativeRange | undefined
  /** As `flow`, from `to` to `from`. */
  readonly backward?: Float32Array | NativeRange | undefined
  /** `height * width`: 1 where a pixel of `from` is hidden in `to`, else 0. */
  readonly occlusion?: Uint8Array | NativeRange | undefined
  /**
   * `height * width`: 0 to 1, for the flow at each pixel of `from`: of a refined flow the probability that it is right to 1 px,
   * of any other that of the round trip.
   */
  readonly confidence?: Float32Array | NativeRange | undefined
  /** `3 * height * width`: `flow` in colours. */
  readonly picture?: Uint8Array | NativeRange | undefined
  readonly colors?: NativeFlowColors | undefined
  /** One value: how well the features of `from` are found in `to`, -1 to 1. */
  readonly similarity?: Float32Array | undefined
  /** Patches x dim: the features of `from`. */
  readonly features?: Float32Array | undefined
  /** Also gives a copy of every intermediate result, for tests against an oracle. */
  readonly trace?: boolean | undefined
}

declare const capsule: unique symbol

/**
 * A DLPack tensor on its way from one native module to another: a `napi_external` as `include/dinov3_flow.h` of the package makes and
 * takes it. `Tensor.toDLPack` makes one, `FlowModel.fromDLPack` takes one. It is good for one taking.
 */
export interface DLPackCapsule {
  readonly [capsule]: never
}

/** The tensor of a {@link DLPackCapsule}, of 1 to 8 axes. Its numbers are those of DLPack, unchecked. */
export interface NativeDLPack {
  readonly deviceType: number
  readonly code: number
  readonly bits: number
  readonly lanes: number
  readonly shape: readonly number[]
  /** In values; left out if they are side by side. */
  readonly strides?: readonly number[]
  /** Of the first value; 0 if there is none. */
  readonly pointer: bigint
  readonly readOnly: boolean
}

/** A tensor for a {@link DLPackCapsule}. */
export interface NativeDLPackExport {
  readonly memory: NativeBytes
  readonly code: number
  readonly bits: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly readOnly: boolean
}

declare const owner: unique symbol

/** Names memory that is no engine's. It does not keep it. */
export interface NativeOwner {
  readonly [owner]: never
}

/** Memory of an engine that an object of JavaScript keeps, until it is released or collected. */
export interface NativeMemory {
  /** The index of the GPU whose memory it is; undefined if the host sees it. */
  readonly gpu?: number
  /** Of its first byte, for the device that it belongs to. */
  readonly pointer: bigint
  readonly bytes: number
  /** Of memory that was borrowed. Every range of it names it. */
  readonly owner?: NativeOwner
  /**
   * A buffer over it, which keeps the memory as well. Undefined for memory of a GPU, and if the runtime allows no buffers over
   * memory of others.
   */
  view(): ArrayBuffer | undefined
  /** Lets go of the memory. It is freed once no view and no request needs it. */
  release(): void
}

/**
 * A part of a {@link NativeMemory}, which need not be held as long as a request uses it; or of memory of the model's GPU that other
 * code of this process allocated.
 */
export interface NativeRange {
  readonly pointer: bigint
  readonly bytes: number
  readonly owner?: NativeOwner | undefined
  /**
   * The handle of a stream of other code that uses the memory; 0 and 1 are the legacy default stream, 2 that of this thread. What it
   * has when the request is made comes before the request, and what it gets when the request's work is queued comes after. A stream
   * that does not exist in the context of the model's GPU is `ERR_ARGUMENT`. It lives until the request is settled.
   */
  readonly stream?: bigint | undefined
}

export type NativeBytes = Uint8Array | NativeRange

/** Rows to copy, `rowBytes` each; mirrors `RowCopy` of native/ops/ops.h. All numbers are positive, in bytes. */
export interface NativeCopy {
  readonly from: NativeBytes
  /** No part of `from`. */
  readonly to: NativeBytes
  readonly rows: number
  readonly rowBytes: number
  /** From row to row. */
  readonly fromStep: number
  readonly toStep: number
}

/** A call that only copies. */
export interface NativeCopyRequest {
  readonly copy: NativeCopy
}

/** The answer to a request. Durations are in milliseconds. */
export interface NativeResult {
  /** From the call to the start of its work. */
  readonly wait: number
  /** Of the work on the model's thread, without what it leaves for the work of the next call. */
  readonly work: number
  /** Whether `skipDuplicate` answered the request. */
  readonly duplicate: boolean
  readonly trace?: readonly TraceEntry[]
}

/** TensorRT as a model's engine can use it. */
export interface NativeTensorRT {
  /** Such as `10.16.1`. */
  readonly version?: string
  /** Path of its library. */
  readonly library?: string
  /** Why it cannot be used, a whole sentence. */
  readonly reason?: string
}

/** What a build gives. */
export interface NativePlan {
  readonly plan: Uint8Array
  readonly timingCache: Uint8Array
}

/** How an engine of TensorRT did beside the kernels. */
export interface NativeTrial {
  /** Of the features of a picture and of noise; NaN if they are not finite. */
  readonly cosines: readonly number[]
  /** Of one pass of the backbone. */
  readonly milliseconds: { readonly kernels: number; readonly tensorrt: number }
  readonly used: boolean
  /** Why it is not used, a whole sentence. */
  readonly reason?: string
}

/** A network on a thread of its own. Requests run in the order in which they were made. */
export interface NativeModel {
  /** Call it once, before anything else. `onProgress` receives bytes, and must not throw. */
  load(onProgress: (loaded: number, total: number) => void): Promise<void>
  cancelLoad(): void
  /** `ticket` identifies the request for `cancel`; a request with ticket 0 cannot be cancelled. */
  submit(request: NativeRequest | NativeCopyRequest, ticket: number): Promise<NativeResult>
  /** Waits for all requests before this one, and for its answer. */
  run(request: NativeRequest | NativeCopyRequest): NativeResult
  /**
   * Rejects a request that has not started with `ERR_ABORTED`. Returns false if it has. A request whose frame is on its way to a GPU
   * is rejected once that does not read the frame any more.
   */
  cancel(ticket: number): boolean
  /** Frees features once the requests before have begun; these keep theirs. Does nothing for a name that is not in use. */
  release(features: FeatureId): void
  /**
   * Zeroed memory that the engine reads frames from and writes results to without a copy. Undefined on a CPU, where ordinary
   * memory serves as well, if the runtime allows no such memory, and for more than 4 GiB. Throws `ERR_OUT_OF_MEMORY`.
   */
  allocate(bytes: number): ArrayBuffer | undefined
  /**
   * Zeroed memory of the GPU; undefined on a CPU. What the engine alone uses, it gives to somebody else afterwards; what others use as
   * well is freed, which waits for all work on the GPU. Throws `ERR_OUT_OF_MEMORY` and `ERR_DEVICE`.
   */
  allocateDevice(bytes: number, users: 'engine' | 'others'): NativeMemory | undefined
  /**
   * The block of the GPU's memory that contains the bytes from `pointer` on, allocated by other code of this process, which frees it.
   * Throws `ERR_ARGUMENT` if the model cannot compute there: it was freed, is the host's, another GPU's, or too small.
   */
  adopt(pointer: bigint, bytes: number): NativeMemory
  /**
   * Takes the tensor out of a capsule, whose values are in the `bytes` from the first one on. Its deleter runs on this thread once the
   * memory is released and no view, capsule or request needs it. Throws as `adopt`; then the capsule keeps its tensor.
   */
  borrow(capsule: DLPackCapsule, bytes: number): NativeMemory & { readonly owner: NativeOwner }
  /** A capsule, which keeps the memory as well. */
  toDLPack(tensor: NativeDLPackExport): DLPackCapsule
  /**
   * What another process needs to open bytes of the GPU's memory: its identifier, the driver's name for the allocation (64 bytes), and
   * their place in it. Throws `ERR_ARGUMENT` for memory that cannot be shared, `ERR_DEVICE` for a device that shares none.
   */
  share(
    pointer: bigint,
    bytes: number,
  ): { readonly gpu: string; readonly allocation: Buffer; readonly offset: number }
  /**
   * The block of memory that contains these bytes, which another process has shared. It is closed when it is released. Throws
   * `ERR_ARGUMENT` for memory of another device or of this process, or that is gone, and `ERR_DEVICE`.
   */
  openShared(gpu: string, allocation: Uint8Array, offset: number, bytes: number): NativeMemory
  /**
   * Where kept features are: rows of `dim` values, one for each patch, `stride` values from row to row. No request writes to
   * them, and they stay until the memory is released. Throws `ERR_DISPOSED` for a name that is not in use.
   */
  features(features: FeatureId): NativeMemory & { readonly stride: number }
  /** TensorRT as this model's engine can use it. The first call opens its libraries. */
  tensorRT(): Promise<NativeTensorRT>
  /**
   * Builds an engine for this model's GPU from an ONNX file, after the requests before it. Those after it wait, for minutes.
   * `timingCache` is that of an earlier build, or empty. One build at a time.
   */
  buildPlan(
    onnx: Uint8Array,
    timingCache: Uint8Array,
    onProgress: (share: number) => void,
  ): Promise<NativePlan>
  /** Ends a build that runs, which then rejects with ERR_ABORTED. */
  cancelBuild(): void
  /**
   * Loads a plan for a grid, runs a picture and noise through it and through the kernels, measures both, and from then on uses it
   * for that grid if it is trusted and (`onlyIfFaster`) faster. A damaged or foreign plan rejects with ERR_DEVICE.
   */
  usePlan(
    gridHeight: number,
    gridWidth: number,
    plan: Uint8Array,
    onlyIfFaster: boolean,
  ): Promise<NativeTrial>
  /** Answers every request made before, then frees everything. */
  dispose(): Promise<void>
  disposeSync(): void
  describe(): NativeModelInfo
}

/** The whole native module; implemented in native/addon. */
export interface NativeAddon {
  readonly NativeModel: new (options: NativeModelOptions) => NativeModel
  /** Architectures that the CUDA kernels were compiled for, `sm_90a compute_120`; empty in a build without kernels. */
  readonly cudaKernels: string
  /** The address of a typed array's first byte. Throws `ERR_ARGUMENT` if it has no memory, as one that was transferred. */
  addressOf(bytes: Uint8Array): bigint
  /**
   * Looks at the tensor of a capsule without taking it. Throws `ERR_ARGUMENT` if it is no capsule, was taken before, or has a layout
   * that is not known.
   */
  describeDLPack(capsule: DLPackCapsule): NativeDLPack
}
