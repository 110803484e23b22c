import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { DLPackCapsule } from '../../lib/index.js'

/** A tensor that the module makes. What is left out is right for float32 in the host's memory. */
export interface MadeTensor {
  readonly bytes: Uint8Array
  readonly shape: readonly number[]
  readonly strides?: readonly number[]
  readonly code?: number
  readonly bits?: number
  readonly lanes?: number
  readonly deviceType?: number
  readonly deviceId?: number
  readonly flags?: number
  readonly major?: number
  readonly byteOffset?: number
  /** Its memory is that of GPU 0. */
  readonly onGpu?: true
  /** The address of its data is null. */
  readonly noData?: true
  /** Tensors of a group are counted together: 0 to 1023. */
  readonly group?: number
}

/** What the module sees of a tensor that it took. */
export interface TakenTensor {
  readonly handle: bigint
  readonly version: number
  readonly flags: number
  readonly pointer: bigint
  readonly deviceType: number
  readonly deviceId: number
  readonly code: number
  readonly bits: number
  readonly lanes: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** The addon of test/dlpack/native_module.c. */
export interface NativeModule {
  probe(features: DLPackCapsule, weights: Float32Array): Float32Array
  take(capsule: DLPackCapsule): TakenTensor
  letGo(handle: bigint, thread: 'here' | 'elsewhere'): void
  byteAt(handle: bigint, index: number): number
  make(tensor: MadeTensor): DLPackCapsule
  freeUnder(pointer: bigint): void
  counts(group: number): { made: number; deleted: number; elsewhere: number; twice: number }
  otherExternal(): DLPackCapsule
}

/** Its path. The build of the C++ tests makes it: `npm run test:native`. */
export const NATIVE_MODULE = fileURLToPath(
  new URL('../../build/tests-host/test/dlpack/dlpack_module.node', import.meta.url),
)

export function loadNativeModule(): NativeModule {
  if (!existsSync(NATIVE_MODULE))
    throw new Error(`${NATIVE_MODULE} is not there: build it with npm run test:native`)
  return createRequire(import.meta.url)(NATIVE_MODULE) as NativeModule
}
