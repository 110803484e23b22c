import { FlowError, messageOf } from '../errors.js'
import { FlowField } from '../flow-field.js'
import { checkBytes, checkField } from '../support/arguments.js'
import { damaged, MAX_DECODED_PIXELS } from './floats.js'
import { readHdf5, writeHdf5 } from './hdf5.js'
import { markUnknown } from './unknown.js'

// The file: HDF5 with one dataset 'flow' of shape (H, W, 2), float32, gzip. https://spring-benchmark.org
const DATASET = 'flow'

/**
 * Reads Spring's `.flo5`. Unknown flow (NaN in Spring's files) becomes NaN. Spring's own ground truth has twice the width and
 * height of its frames; it is not resized, and `evaluate` takes it as it is.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is damaged, or holds no float dataset 'flow' of shape (H, W, 2); `ERR_NATIVE` if h5wasm
 *   is not installed.
 */
export async function decodeFlo5(bytes: Uint8Array): Promise<FlowField> {
  checkBytes(bytes)
  try {
    const { shape, values } = await readHdf5({
      bytes,
      name: DATASET,
      channels: 2,
      maxPixels: MAX_DECODED_PIXELS,
    })
    return markUnknown(FlowField.fromInterleaved(shape[1], shape[0], values))
  } catch (cause) {
    if (cause instanceof FlowError) throw cause
    throw damaged('.flo5', `${messageOf(cause)}: get it again`, cause)
  }
}

/**
 * Writes Spring's `.flo5`. h5py and the benchmark's tools can read the file.
 *
 * @throws {FlowError} `ERR_NATIVE` if the HDF5 library fails, or is not installed.
 */
export async function encodeFlo5(flow: FlowField): Promise<Uint8Array> {
  checkField(flow, 'flow')
  try {
    const shape = [flow.height, flow.width, 2] as const
    return await writeHdf5({ name: DATASET, shape, values: flow.toInterleaved() })
  } catch (cause) {
    if (cause instanceof FlowError) throw cause
    throw new FlowError('ERR_NATIVE', `could not write .flo5: ${messageOf(cause)}`, { cause })
  }
}
