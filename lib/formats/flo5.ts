import type { FlowField } from '../flow-field.js'
import { damaged, fromInterleaved, toInterleaved } from './floats.js'
import { readHdf5 } from './hdf5/read.js'
import { writeHdf5 } from './hdf5/write.js'

// The file: HDF5 with one dataset 'flow' of shape (H, W, 2), float32, gzip. https://spring-benchmark.org
const DATASET = 'flow'

/**
 * Reads Spring's `.flo5`. NaN, where the flow is invalid, stays NaN. Spring's own ground truth has twice the width and
 * height of its frames; it is returned as it is.
 *
 * @throws FlowError `ERR_FORMAT` if it is damaged, or holds no float dataset 'flow' of shape (H, W, 2).
 */
export async function decodeFlo5(bytes: Uint8Array): Promise<FlowField> {
  const { shape, values } = await readHdf5(bytes, DATASET)
  const [height, width, channels] = shape
  if (channels !== 2) throw damaged('.flo5', `flow needs shape (H, W, 2), not (${shape})`)
  return fromInterleaved(width, height, values)
}

/** Writes Spring's `.flo5`, which h5py and the tools of the benchmark read. */
export async function encodeFlo5(flow: FlowField): Promise<Uint8Array> {
  return writeHdf5(DATASET, [flow.height, flow.width, 2], toInterleaved(flow))
}
