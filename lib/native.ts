import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { BackboneConfig, HeadConfig, Weight } from './checkpoint/tensor.js'
import type { Device, Precision } from './device.js'
import { FlowError, type FlowErrorCode, messageOf } from './errors.js'
import type { PixelFormat } from './frame.js'

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

let addon: NativeAddon | undefined

/**
 * The addon: a prebuilt binary of the package, or what was built in its folder.
 *
 * @throws {FlowError} `ERR_NATIVE` where there is none for this system, saying how to get one
 */
export function loadAddon(): NativeAddon {
  addon ??= findAddon()
  return addon
}

function findAddon(): NativeAddon {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const require = createRequire(import.meta.url)
  try {
    const load = require('node-gyp-build') as (root: string) => NativeAddon
    return load(root)
  } catch (cause) {
    const system = `${process.platform}-${process.arch}, Node ${process.version}`
    throw new FlowError(
      'ERR_NATIVE',
      `the native addon of dinov3-flow could not be loaded (${system}): ${messageOf(cause)}\n` +
        'Install it again with scripts allowed: npm rebuild dinov3-flow --foreground-scripts\n' +
        `or build it, with CMake and a C++20 compiler, in ${root}: npx cmake-js compile`,
      { cause },
    )
  }
}

/** Where a public function was called from. */
export interface CallSite {
  readonly stack?: string
}

/** Notes the stack above `entry`, the public function that was called. Cheap: it becomes text only if it is read. */
export function callSite(entry: (...args: never[]) => unknown): CallSite {
  const site: CallSite = {}
  Error.captureStackTrace(site, entry)
  return site
}

/** Runs a call of the addon; its errors become FlowErrors with the stack of `site`. */
export function callNative<T>(site: CallSite, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw toFlowError(error, site)
  }
}

/** As {@link callNative}, for a call that answers later. Throws nothing: what the addon throws at once rejects, too. */
export async function awaitNative<T>(site: CallSite, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw toFlowError(error, site)
  }
}

const NATIVE_CODES: readonly FlowErrorCode[] = [
  'ERR_ARGUMENT',
  'ERR_FRAME',
  'ERR_CHECKPOINT_FORMAT',
  'ERR_CHECKPOINT_TENSOR',
  'ERR_DEVICE',
  'ERR_OUT_OF_MEMORY',
  'ERR_DISPOSED',
  'ERR_ABORTED',
  'ERR_IO',
]

/** The one place where native errors become FlowErrors. */
function toFlowError(error: unknown, site: CallSite): FlowError {
  if (error instanceof FlowError) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const known = NATIVE_CODES.find((candidate) => candidate === code)
  const failure =
    known === undefined
      ? new FlowError('ERR_NATIVE', messageOf(error), { cause: error })
      : new FlowError(known, messageOf(error))
  const frames = site.stack?.split('\n').slice(1).join('\n') ?? ''
  failure.stack = `${failure.name}: ${failure.message}\n${frames}`
  return failure
}
