import type { CallQueue } from '../calls/call-queue.js'
import { FlowError } from '../errors.js'
import { callSite } from '../native/failure.js'
import type { FlowOutput, OutputSize } from '../size.js'
import { shown } from '../support/quote.js'
import { makeTensor, placeOf, Tensor } from '../tensor.js'
import type { TensorDType } from './dtype.js'
import { tightLayout } from './layout.js'

/** Results that stay in the memory that the engine computes in. */
export interface DeviceOutput {
  readonly on: 'device'
  /** The size of the results. Flow is in pixels of this size. Default `'frame'`: the first frame's. */
  readonly size?: FlowOutput | undefined
}

/**
 * Asks for results as tensors: new ones in the memory that the engine computes in, or a flow in `into` and the other results in new
 * ones. A flow is 2 x height x width, all x before all y. `into` begins at a multiple of 16 bytes, as all tensors except some slices.
 */
export type TensorResults =
  | { readonly output: DeviceOutput; readonly into?: undefined }
  | {
      readonly into: Tensor<'float32'>
      readonly output?: FlowOutput | DeviceOutput | undefined
    }

/** The options of a call, whose results are tensors. */
export type ToTensors<Options> = Omit<Options, 'into' | 'output'> & TensorResults

/** The options of a call, whose results are new tensors. */
export type OnDevice<Options> = Omit<Options, 'output'> & { readonly output: DeviceOutput }

/** @throws {FlowError} `ERR_ARGUMENT` for an object that asks for anything else */
export function isDeviceOutput(output: unknown): output is DeviceOutput {
  if (typeof output !== 'object' || output === null || Array.isArray(output)) return false
  const { on } = output as Partial<DeviceOutput>
  if (on === 'device') return true
  throw new FlowError('ERR_ARGUMENT', `output: on must be 'device', not ${shown(on)}`)
}

/** `into`, or a new tensor for a flow. */
export function flowTensor(
  queue: CallQueue,
  { height, width }: OutputSize,
  into?: Tensor<'float32'>,
): Tensor<'float32'> {
  const shape = [2, height, width]
  return into === undefined ? makeResult(queue, shape, 'float32') : checkResult(into, shape)
}

/** A new tensor for a map of one value per pixel. */
export function mapTensor<D extends TensorDType>(
  queue: CallQueue,
  { height, width }: OutputSize,
  dtype: D,
): Tensor<D> {
  return makeResult(queue, [height, width], dtype)
}

/** A new tensor for a picture: red, green and blue of each pixel. */
export function pictureTensor(queue: CallQueue, { height, width }: OutputSize): Tensor<'uint8'> {
  return makeResult(queue, [height, width, 3], 'uint8')
}

function makeResult<D extends TensorDType>(queue: CallQueue, shape: readonly number[], dtype: D): Tensor<D> {
  return makeTensor(queue, callSite(makeResult), shape, dtype, {})
}

function checkResult(into: Tensor<'float32'>, shape: readonly number[]): Tensor<'float32'> {
  if (!(into instanceof Tensor))
    throw new FlowError('ERR_ARGUMENT', 'into: must be a Tensor, since the results are tensors')
  if (into.readOnly)
    throw new FlowError('ERR_ARGUMENT', 'into: the tensor is read only: give a tensor of your own')
  if (into.dtype !== 'float32' || String(into.shape) !== String(shape))
    throw new FlowError(
      'ERR_ARGUMENT',
      `into: is ${into.shape.join(' x ')} of ${into.dtype}, but the flow is ${shape.join(' x ')} of float32`,
    )
  if (String(into.strides) !== String(tightLayout(shape).strides))
    throw new FlowError(
      'ERR_ARGUMENT',
      `into: its strides are ${into.strides.join(', ')}: give a tensor whose values are side by side`,
    )
  placeOf(into) // throws if it was disposed
  return into
}
