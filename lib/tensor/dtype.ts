import { FlowError } from '../errors.js'
import { isFloat32Array, isUint16Array, isUint8Array } from '../support/brands.js'
import { shown } from '../support/quote.js'

/**
 * The array that a {@link Tensor}'s values are in on the host, by their type. JavaScript has no numbers of 16 bits on all
 * versions of Node.js: `float16` and `bfloat16` come as their bits.
 */
export interface TensorArrays {
  float32: Float32Array
  float16: Uint16Array
  bfloat16: Uint16Array
  uint8: Uint8Array
}

/** The type of a {@link Tensor}'s values. */
export type TensorDType = keyof TensorArrays

interface DTypeRow<Values> {
  readonly bytes: number
  readonly name: string
  is(value: unknown): value is Values
  over(buffer: ArrayBufferLike, byteOffset: number, length: number): Values
}

const HALF: DTypeRow<Uint16Array> = {
  bytes: 2,
  name: 'Uint16Array',
  is: isUint16Array,
  over: (buffer, byteOffset, length) => new Uint16Array(buffer, byteOffset, length),
}

const DTYPES: { readonly [D in TensorDType]: DTypeRow<TensorArrays[D]> } = {
  float32: {
    bytes: 4,
    name: 'Float32Array',
    is: isFloat32Array,
    over: (buffer, byteOffset, length) => new Float32Array(buffer, byteOffset, length),
  },
  float16: HALF,
  bfloat16: HALF,
  uint8: {
    bytes: 1,
    name: 'Uint8Array',
    is: isUint8Array,
    over: (buffer, byteOffset, length) => new Uint8Array(buffer, byteOffset, length),
  },
}

/** @throws {FlowError} `ERR_ARGUMENT` if `dtype` is none of a tensor */
export function dtypeRow<D extends TensorDType>(dtype: D): DTypeRow<TensorArrays[D]> {
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPES, dtype))
    throw new FlowError(
      'ERR_ARGUMENT',
      `dtype: must be one of ${Object.keys(DTYPES).join(', ')}, not ${shown(dtype)}`,
    )
  return DTYPES[dtype] as DTypeRow<TensorArrays[D]>
}
