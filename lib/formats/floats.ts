import { endianness } from 'node:os'
import { FlowError } from '../errors.js'
import { allocateFloats } from '../support/allocate.js'
import { fromHalf } from '../support/half.js'

/** The order of a number's bytes in a file. */
export type ByteOrder = 'little' | 'big'

/** How a file stores one number: IEEE 754 of 2, 4 or 8 bytes. */
export interface FloatType {
  readonly size: 2 | 4 | 8
  readonly order: ByteOrder
}

/**
 * Limit on the pixels of a flow in a compressed file: eight times those of a 4K frame. Without a limit, a hostile file of
 * megabytes would unpack to gigabytes.
 */
export const MAX_DECODED_PIXELS = 2 ** 26

/** Inflating a deflate stream makes it at most this many times as large. A header that claims more is false. */
export const LARGEST_INFLATION = 1032

const HOST_ORDER: ByteOrder = endianness() === 'LE' ? 'little' : 'big'

/** The error of every decoder here. `format` is the format that the file was read as; `reason` tells the defect. */
export function damaged(format: string, reason: string, cause?: unknown): FlowError {
  const options = cause === undefined ? undefined : { cause }
  return new FlowError('ERR_FORMAT', `not a readable ${format} file: ${reason}`, options)
}

/**
 * Reads every number in `bytes`, at any alignment, as float32. A float64 is rounded to the nearest float32.
 *
 * @param bytes a whole number of values; they are copied, never changed.
 */
export function decodeFloats(bytes: Uint8Array, type: FloatType): Float32Array {
  const count = bytes.length / type.size
  if (type.size === 4) return new Float32Array(inHostOrder(bytes, type))

  const values = allocateFloats(count, `${count} values of a file`)
  if (type.size === 2) return fromHalf(new Uint16Array(inHostOrder(bytes, type)), values)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let i = 0; i < count; i++) values[i] = view.getFloat64(8 * i, type.order === 'little')
  return values
}

/** The bytes of `values` as float32 in `order`: a copy. */
export function encodeFloats(values: Float32Array, order: ByteOrder): Uint8Array {
  const bytes = new Uint8Array(values.byteLength)
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  if (order !== HOST_ORDER) Buffer.from(bytes.buffer).swap32()
  return bytes
}

/** `head` followed by `body`, in one array. */
export function concatBytes(head: Uint8Array, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(head.length + body.length)
  bytes.set(head)
  bytes.set(body, head.length)
  return bytes
}

/** A copy of numbers of 2 or 4 bytes, in the order of this machine. */
function inHostOrder(bytes: Uint8Array, { size, order }: FloatType): ArrayBuffer {
  const copy = new Uint8Array(bytes.length)
  copy.set(bytes)
  if (order !== HOST_ORDER) Buffer.from(copy.buffer)[size === 2 ? 'swap16' : 'swap32']()
  return copy.buffer
}
