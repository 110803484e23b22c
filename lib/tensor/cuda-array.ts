// The CUDA array interface, version 3 and 2: https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html

import { isAddress, isHandle } from './address.js'

/** An array of a GPU as CuPy, Numba and PyTorch describe it. */
export interface CudaArray {
  /** Sides, the first axis first. */
  readonly shape: readonly number[]
  /** The type of its values: `'|u1'`, `'<f4'`, `'<f2'`. */
  readonly typestr: string
  /** The address of its first value, on the GPU, and whether nobody may write to it. */
  readonly data: readonly [pointer: bigint | number, readOnly: boolean]
  /** Bytes from one index of an axis to the next. Null or left out: the values lie side by side, the last axis first. */
  readonly strides?: readonly number[] | null | undefined
  /** 2 or 3. */
  readonly version: number
  /** The stream that the values are ready on, of version 3: `1` is the legacy default stream, `2` that of this thread. */
  readonly stream?: bigint | number | null | undefined
  /** Not supported. */
  readonly mask?: null | undefined
}

/** A {@link CudaArray}, or an object that has one. */
export type CudaArraySource = CudaArray | { readonly __cuda_array_interface__: CudaArray }

/** A {@link CudaArray} whose fields were checked. */
export interface CheckedCudaArray {
  readonly pointer: bigint
  readonly shape: readonly number[]
  /** Bytes, one for each axis. That of an axis of one index is what it would be without gaps. */
  readonly strides: readonly number[]
  readonly readOnly: boolean
  readonly stream: bigint | undefined
}

const MOST_AXES = 8

/** Throws a `FlowError`. The name of the array is put in front of `message`. */
type Fail = (message: string) => never

/** Whether a value says that it is an array of a GPU. */
export function isCudaArray(value: unknown): value is CudaArraySource {
  return (
    typeof value === 'object' && value !== null && ('__cuda_array_interface__' in value || 'typestr' in value)
  )
}

/** What an array says of its type; undefined if nothing. */
export function typestrOf(source: CudaArraySource): unknown {
  return (fieldsOf(source) as Partial<CudaArray> | null)?.typestr
}

/** @param bytes of one value */
export function checkCudaArray(source: CudaArraySource, bytes: number, fail: Fail): CheckedCudaArray {
  const fields: unknown = fieldsOf(source)
  if (typeof fields !== 'object' || fields === null) fail('its __cuda_array_interface__ must be an object')
  const { shape, data, strides, version, stream, mask } = fields as Readonly<Record<keyof CudaArray, unknown>>
  if (version !== 2 && version !== 3)
    fail(`its version of the CUDA array interface must be 2 or 3, not ${shown(version)}`)
  if (mask !== undefined && mask !== null) fail('it has a mask: give an array without one')
  if (!isIntegers(shape) || shape.some((side) => side < 1))
    fail(`its shape must be a list of positive integers, not ${shown(shape)}`)
  if (shape.length > MOST_AXES) fail(`its shape has ${shape.length} axes, and at most ${MOST_AXES} are read`)
  if (!Array.isArray(data) || data.length !== 2)
    fail(`its data must be [pointer, readOnly], not ${shown(data)}`)
  const [address, readOnly] = data as readonly unknown[]
  const tight = tightStrides(shape as readonly number[], bytes)
  if (strides !== undefined && strides !== null && (!isIntegers(strides) || strides.length !== tight.length))
    fail(`its strides must be a list of ${tight.length} integers or null, not ${shown(strides)}`)
  const given = (strides ?? tight) as readonly number[]
  if (given.some((stride) => stride < 0)) fail(`its strides ${shown(given)} are negative: give a copy`)
  return {
    pointer: addressOf(address, fail),
    shape: shape as readonly number[],
    strides: given.map((stride, axis) => ((shape as readonly number[])[axis] === 1 ? tight[axis]! : stride)),
    readOnly: readOnly === true,
    stream: stream === undefined || stream === null ? undefined : streamOf(stream, fail),
  }
}

/** Strides of values side by side, the last axis first. */
export function tightStrides(shape: readonly number[], bytes: number): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, side) => product * side, bytes))
}

function fieldsOf(source: CudaArraySource): CudaArray {
  return '__cuda_array_interface__' in source ? source.__cuda_array_interface__ : source
}

function addressOf(address: unknown, fail: Fail): bigint {
  const pointer = exact(address)
  if (!isAddress(pointer))
    return fail(`its data begin with an address, as a bigint or an exact number, not ${shown(address)}`)
  return pointer
}

/** The interface has no stream 0, which could be either default stream. */
function streamOf(stream: unknown, fail: Fail): bigint {
  const handle = exact(stream)
  if (!isHandle(handle) || handle === 0n)
    return fail(`its stream must be 1, 2 or a handle, as a bigint or an exact number, not ${shown(stream)}`)
  return handle
}

/** An exact number as a bigint, since JavaScript's callers may have either. Any other value as it is. */
function exact(value: unknown): unknown {
  return Number.isSafeInteger(value) ? BigInt(value as number) : value
}

function isIntegers(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((one) => Number.isSafeInteger(one))
}

function shown(value: unknown): string {
  return (Array.isArray(value) ? `[${value.map(String).join(', ')}]` : String(value)).slice(0, 80)
}
