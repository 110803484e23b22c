/**
 * The HDF5 functions that run inside a worker. The worker gets the source text of one function, so each function must stand
 * alone: types may be imported, but no function may use a value from outside its own body and parameters.
 */
type H5wasm = typeof import('h5wasm')

/** The values of a dataset, row-major. */
export interface Hdf5Array {
  readonly shape: readonly [number, number, number]
  readonly values: Float32Array<ArrayBuffer>
}

export interface ReadRequest {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly name: string
  /** Required length of the last axis. */
  readonly channels: number
  /** Limit on height times width. */
  readonly maxPixels: number
}

export interface WriteRequest extends Hdf5Array {
  readonly name: string
}

/** Reads a float dataset of three axes, rounded to float32. Its header is checked before any of its values is read. */
export function readDataset(h5: H5wasm, { bytes, name, channels, maxPixels }: ReadRequest): Hdf5Array {
  h5.FS!.writeFile('/in.h5', bytes)
  const dataset = new h5.File('/in.h5', 'r').get(name)
  if (!(dataset instanceof h5.Dataset)) throw new Error(`it has no dataset '${name}'`)

  const { type, size } = dataset.metadata
  if (type !== h5.Module.H5T_class_t.H5T_FLOAT.value || (size !== 4 && size !== 8)) {
    throw new Error(`'${name}' needs float32 or float64`)
  }
  const [height = 0, width = 0, depth, ...rest] = dataset.shape ?? []
  if (height < 1 || width < 1 || depth !== channels || rest.length > 0) {
    throw new Error(`'${name}' needs shape (H, W, ${channels}), not (${dataset.shape})`)
  }
  if (height * width > maxPixels) throw new Error(`${width} x ${height} pixels are more than ${maxPixels}`)
  // Inflating a deflate stream makes it at most this many times as large. A header that claims more is false and wastes memory.
  const LARGEST_INFLATION = 1032
  if (height * width * depth * size > LARGEST_INFLATION * bytes.length) {
    throw new Error(`${bytes.length} bytes cannot hold shape (${dataset.shape})`)
  }

  const { value } = dataset
  if (!(value instanceof Float32Array || value instanceof Float64Array)) {
    throw new Error(`the values of '${name}' are no floats`)
  }
  const mine = value instanceof Float32Array && value.byteLength === value.buffer.byteLength
  return {
    shape: [height, width, depth],
    // The result is transferred together with its whole buffer. So a view of a part of a buffer is copied.
    values: mine ? (value as Float32Array<ArrayBuffer>) : new Float32Array(value),
  }
}

/** The bytes of an HDF5 file with one float32 dataset in its root group, in deflated chunks of whole rows. */
export function writeDataset(
  h5: H5wasm,
  { name, shape, values }: WriteRequest,
): { readonly bytes: Uint8Array } {
  const USUAL_CHUNK_BYTES = 1 << 20
  const [height, width, channels] = shape
  const rows = Math.ceil(USUAL_CHUNK_BYTES / (4 * width * channels))
  const file = new h5.File('/out.h5', 'w')
  file.create_dataset({
    name,
    data: values,
    shape: [...shape],
    dtype: '<f4',
    chunks: [Math.min(rows, height), width, channels],
    compression: 'gzip',
    compression_opts: [4],
  })
  file.close()
  return { bytes: h5.FS!.readFile('/out.h5') }
}
