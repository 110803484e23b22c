import { fromHalf } from '../support/half.js'
import { listed, quoted } from '../support/quote.js'
import { elements, extent, rowMajor } from './layout.js'
import { Malformed } from './malformed.js'
import { refusal } from './refusal.js'
import { readRange } from './source.js'
import { DTYPE_BYTES, type StoredTensor, type Weight } from './tensor.js'

/**
 * Reads a weight as the engine does: parts joined, strides gathered, float32, row-major.
 *
 * @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if a value is NaN or infinite; `ERR_CHECKPOINT_FORMAT` if the file became shorter;
 *   `ERR_IO` if the system cannot read it
 */
export function readWeight(weight: Weight): Float32Array {
  const [only] = weight.parts
  if (weight.parts.length === 1 && only !== undefined && 'tensor' in only) return readTensor(only.tensor)
  const values = new Float32Array(elements(weight.shape))
  let at = 0
  for (const part of weight.parts) {
    if ('tensor' in part) values.set(readTensor(part.tensor), at)
    at += 'tensor' in part ? elements(part.tensor.shape) : part.zeros
  }
  return values
}

function readTensor(tensor: StoredTensor): Float32Array {
  try {
    const { shape, strides, file, offset, dtype } = tensor
    const stored = decode(readRange(file, offset, extent(shape, strides) * DTYPE_BYTES[dtype]), dtype)
    const values = isRowMajor(tensor) ? stored : gather(stored, shape, strides)
    checkFinite(tensor, values)
    if (tensor.negated) for (let i = 0; i < values.length; i++) values[i] = -values[i]!
    return values
  } catch (error) {
    if (error instanceof Malformed)
      throw refusal(
        'ERR_CHECKPOINT_FORMAT',
        tensor.file.path,
        `tensor ${quoted(tensor.name)} ${error.message}`,
        error,
      )
    throw error
  }
}

/** Checkpoints and all supported machines are little-endian. */
function decode(bytes: Buffer, dtype: StoredTensor['dtype']): Float32Array {
  // A copy, since views of wider elements must be aligned.
  const { buffer } = new Uint8Array(bytes)
  if (dtype === 'float32') return new Float32Array(buffer)
  if (dtype === 'float64') return new Float32Array(new Float64Array(buffer))
  if (dtype === 'float16') return fromHalf(new Uint16Array(buffer))
  const values = new Float32Array(bytes.length / 2)
  const wide = new Uint32Array(values.buffer)
  for (const [i, half] of new Uint16Array(buffer).entries()) wide[i] = half << 16
  return values
}

function isRowMajor({ shape, strides }: StoredTensor): boolean {
  const expected = rowMajor(shape)
  return shape.every((n, axis) => n === 1 || strides[axis] === expected[axis])
}

function gather(stored: Float32Array, shape: readonly number[], strides: readonly number[]): Float32Array {
  const values = new Float32Array(elements(shape))
  const index = shape.map(() => 0)
  let from = 0
  for (let i = 0; i < values.length; i++) {
    values[i] = stored[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!
      index[axis]!++
      if (index[axis]! < shape[axis]!) break
      from -= index[axis]! * strides[axis]!
      index[axis] = 0
    }
  }
  return values
}

function checkFinite({ file, name, shape }: StoredTensor, values: Float32Array): void {
  let largest = 0 // NaN if one of them is
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]!))
  if (Number.isFinite(largest)) return
  const at = values.findIndex((value) => !Number.isFinite(value))
  const index = rowMajor(shape).map((step, axis) => Math.floor(at / step) % shape[axis]!)
  throw refusal(
    'ERR_CHECKPOINT_TENSOR',
    file.path,
    `tensor ${quoted(name)} holds ${Number.isNaN(values[at]) ? 'NaN' : 'infinity'} at ${listed(index)}: ` +
      'the file is damaged, or its training diverged',
  )
}
