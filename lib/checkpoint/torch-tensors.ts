import { quoted } from '../support/quote.js'
import { axes, elements, extent, isCount, rowMajor } from './layout.js'
import { Malformed } from './malformed.js'
import type { Source } from './source.js'
import type { StateDict } from './state-dict.js'
import { DTYPE_BYTES, type StoredTensor } from './tensor.js'
import { listOf, type TorchStorage, type TorchTensor } from './torch-objects.js'

/** Gives the offset of a storage in the file, in bytes; throws `Malformed` if it is not there. */
export type StorageStart = (storage: TorchStorage) => number

/**
 * Finds the bytes of every tensor of a state dict.
 *
 * @throws {Malformed} if one is not inside the file; the message names it
 */
export function storedTensors(
  found: StateDict,
  file: Source,
  start: StorageStart,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>()
  for (const [name, tensor] of found.tensors) {
    try {
      tensors.set(name, storedTensor(name, tensor, file, start))
    } catch (error) {
      if (error instanceof Malformed)
        throw new Malformed(`tensor ${quoted(name)}: ${error.reason}`, error.advice)
      throw error
    }
  }
  return tensors
}

/**
 * Checks a tensor against its storage. One that cannot be read is listed with the reason, and no more is asked of it.
 *
 * @throws {Malformed} if the tensor is not inside its storage
 */
function storedTensor(name: string, tensor: TorchTensor, file: Source, start: StorageStart): StoredTensor {
  const { dtype, data } = tensor
  if ('unreadable' in data) return listedOnly(name, tensor, file, data.unreadable)
  const { storage, negated } = data
  if (dtype === 'other')
    return listedOnly(name, tensor, file, 'is of a type that is not read: save it as float32')
  const shape = axes(listOf(tensor.shape), 'shape')
  const strides = axes(listOf(data.strides), 'strides')
  if (strides.length !== shape.length) throw new Malformed('its strides do not fit its shape')
  if (!isCount(data.offset)) throw new Malformed('its offset is not a count')
  elements(shape) // the engine computes with this number: it must be exact
  const end = data.offset + extent(shape, strides)
  const width = DTYPE_BYTES[dtype]
  if (end * width > storage.bytes)
    throw new Malformed(
      `[${shape.join(', ')}] ends at element ${end} of a storage of ${Math.floor(storage.bytes / width)}`,
    )
  return { name, dtype, shape, strides, file, offset: start(storage) + data.offset * width, negated }
}

function listedOnly(name: string, tensor: TorchTensor, file: Source, reason: string): StoredTensor {
  let shape: number[] = []
  try {
    shape = axes(listOf(tensor.shape), 'shape')
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
  }
  const nowhere = { strides: rowMajor(shape), file, offset: 0, negated: false }
  return { name, dtype: tensor.dtype, shape, ...nowhere, unreadable: reason }
}
