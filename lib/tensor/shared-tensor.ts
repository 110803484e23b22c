import { FlowError } from '../errors.js'
import { shown } from '../support/quote.js'
import { dtypeRow, type TensorDType } from './dtype.js'
import { checkShape, countOf } from './layout.js'

/**
 * What another process needs to open a tensor. Plain data, fit for JSON and `process.send`. Whoever has it can read and write the
 * tensor; give it only to processes that you trust.
 */
export interface SharedTensor {
  readonly version: 1
  /** The driver's identifier of the GPU: `GPU-`, then 32 hexadecimal digits in five groups. */
  readonly gpu: string
  /** The driver's name for the allocation: 64 bytes in hexadecimal. */
  readonly allocation: string
  /** Bytes from the begin of the allocation. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly dtype: TensorDType
  readonly readOnly: boolean
}

/** @throws {FlowError} `ERR_ARGUMENT` for anything that `Tensor.share` does not give */
export function checkShared(value: unknown): SharedTensor {
  const fail = (reason: string): never => {
    throw new FlowError('ERR_ARGUMENT', `shared: ${reason}: give what share() gave, whole`)
  }
  if (typeof value !== 'object' || value === null) return fail(`must be an object, not ${shown(value)}`)
  const { version, gpu, allocation, offset, shape, dtype, readOnly } = value as Partial<SharedTensor>
  if (version !== 1)
    fail(`its version must be 1, not ${shown(version)}; another version of this package made it`)
  if (typeof gpu !== 'string' || !gpu.startsWith('GPU-')) fail('its gpu must be the identifier of one')
  if (typeof allocation !== 'string' || !/^[0-9a-f]{128}$/.test(allocation))
    fail('its allocation must be 128 hexadecimal digits')
  if (!Number.isSafeInteger(offset) || offset! < 0) fail(`its offset must be an integer of at least 0`)
  if (typeof readOnly !== 'boolean') fail('its readOnly must be true or false')
  const { bytes } = dtypeRow(dtype!)
  const sides = checkShape(shape!)
  if (offset! % bytes !== 0) fail(`its offset must be a multiple of ${bytes}`)
  if (!Number.isSafeInteger(bytes * countOf(sides))) fail('its shape is of too many bytes')
  return {
    version: 1,
    gpu: gpu!,
    allocation: allocation!,
    offset: offset!,
    shape: sides,
    dtype: dtype!,
    readOnly: readOnly!,
  }
}
