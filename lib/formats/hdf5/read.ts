import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { decodeFloats } from '../floats.js'
import { damagedHdf5, FileBytes, Walk } from './bytes.js'
import { type Dataset, type Filter, type Layout, readDatasetHeader } from './dataset.js'

const inflateAsync = promisify(inflate)

/** No deflate stream grows by more than this when it is inflated: a larger claim is a lie, not a dataset. */
const LARGEST_INFLATION = 1032
const CHECKSUM_BYTES = 4

/** A dataset's values, row-major, rounded to float32. */
export interface HdfArray {
  readonly shape: readonly [number, number, number]
  readonly values: Float32Array
}

/**
 * Reads a float dataset of three axes from the root group of an HDF5 file: contiguous or chunked, deflated, shuffled,
 * checksummed (the checksum is not verified); what h5py and MATLAB write unless told to use the latest format.
 *
 * A reader of its own, not the HDF5 library: the library, compiled to WebAssembly, can be corrupted by one hostile file so
 * that every later read of the process fails.
 *
 * @throws FlowError `ERR_FORMAT` if the file is damaged, has no such dataset, or stores it in another way.
 */
export async function readHdf5(bytes: Uint8Array, name: string): Promise<HdfArray> {
  const file = new FileBytes(bytes)
  const dataset = readDatasetHeader(file, name)
  const [depth, rows, columns, ...rest] = dataset.shape
  if (depth === undefined || rows === undefined || columns === undefined || rest.length > 0) {
    throw damagedHdf5(`'${name}' has ${dataset.shape.length} axes, not 3`)
  }
  const shape = [depth, rows, columns] as const
  const count = product(shape)
  if (!(count >= 1) || !Number.isSafeInteger(count)) throw damagedHdf5(`'${name}' is of shape (${shape})`)

  if (dataset.layout.kind === 'chunked')
    return { shape, values: await readChunked(file, dataset, dataset.layout) }
  const { at, size } = dataset.layout
  if (size !== count * dataset.type.size) throw damagedHdf5(`(${shape}) does not fit into ${size} bytes`)
  return { shape, values: decodeFloats(file.slice(at, size), dataset.type) }
}

type Chunked = Extract<Layout, { kind: 'chunked' }>

interface Chunk {
  /** The place of its first value, per axis. */
  readonly offset: readonly number[]
  readonly stored: Uint8Array
  readonly filters: readonly Filter[]
}

async function readChunked(file: FileBytes, dataset: Dataset, layout: Chunked): Promise<Float32Array> {
  const { shape, type } = dataset
  const chunks = listChunks(file, dataset, layout)
  const chunkBytes = product(layout.chunk) * type.size
  for (const { stored, filters } of chunks) {
    const growth = filters.includes('deflate') ? LARGEST_INFLATION : 1
    if (chunkBytes > growth * stored.length) throw damagedHdf5(`${stored.length} bytes cannot hold a chunk`)
  }
  // Only now is the shape known to be covered by bytes that exist.
  const values = new Float32Array(product(shape))
  for (const { offset, stored, filters } of chunks) {
    const raw = await unfilter(stored, filters, chunkBytes, type.size)
    place(decodeFloats(raw, type), layout.chunk, offset, values, shape)
  }
  return values
}

/** Walks the B-tree (III.A.1) of the chunks. Each must be there once. */
function listChunks(file: FileBytes, dataset: Dataset, { indexAt, chunk }: Chunked): Chunk[] {
  const { shape, filters } = dataset
  const grid = shape.map((side, axis) => Math.ceil(side / chunk[axis]!))
  const walk = new Walk(file)
  const places = new Set<number>()
  const pending = [indexAt]
  const chunks: Chunk[] = []
  const keyBytes = 8 + 8 * (shape.length + 1)

  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const entries = file.u16(at + 6)
    walk.enter(at, 24 + entries * (keyBytes + 8))
    file.expectSignature(at, 'TREE')
    if (file.u8(at + 4) !== 1) throw damagedHdf5(`the B-tree at byte ${at} is not of chunks`)
    const level = file.u8(at + 5)
    for (let i = 0; i < entries; i++) {
      const key = at + 24 + i * (keyBytes + 8)
      const child = file.u64(key + keyBytes)
      if (level > 0) {
        pending.push(child)
        continue
      }
      const offset = shape.map((_, axis) => file.u64(key + 8 + 8 * axis))
      const outside = offset.some((start, axis) => start >= shape[axis]! || start % chunk[axis]! !== 0)
      if (outside) throw damagedHdf5(`a chunk at (${offset}) is not of its grid`)
      places.add(offset.reduce((index, start, axis) => index * grid[axis]! + start / chunk[axis]!, 0))

      const skipped = file.u32(key + 4)
      const stored = file.slice(child, file.u32(key))
      // Chunks may not share bytes: inflating the same ones again and again would take for ever.
      walk.enter(child, stored.length)
      chunks.push({ offset, stored, filters: filters.filter((_, bit) => !(skipped & (1 << bit))) })
    }
  }
  const expected = product(grid)
  if (chunks.length !== expected || places.size !== expected) {
    throw damagedHdf5(`it has ${places.size} of its ${expected} chunks`)
  }
  return chunks
}

async function unfilter(
  stored: Uint8Array,
  filters: readonly Filter[],
  chunkBytes: number,
  elementBytes: number,
): Promise<Uint8Array> {
  let bytes = stored
  for (const filter of [...filters].reverse()) {
    if (filter === 'deflate') bytes = await inflateChunk(bytes, chunkBytes + CHECKSUM_BYTES)
    else if (filter === 'shuffle') bytes = unshuffle(bytes, elementBytes)
    else bytes = bytes.subarray(0, Math.max(bytes.length - CHECKSUM_BYTES, 0))
  }
  if (bytes.length !== chunkBytes) throw damagedHdf5(`a chunk has ${bytes.length} bytes, not ${chunkBytes}`)
  return bytes
}

async function inflateChunk(bytes: Uint8Array, maxOutputLength: number): Promise<Uint8Array> {
  try {
    return await inflateAsync(bytes, { maxOutputLength })
  } catch (cause) {
    throw damagedHdf5('a chunk cannot be inflated', cause)
  }
}

/** The shuffle filter stores the first byte of every element, then the second of every element, and so on. */
function unshuffle(bytes: Uint8Array, elementBytes: number): Uint8Array {
  const count = Math.floor(bytes.length / elementBytes)
  const out = new Uint8Array(bytes.length)
  for (let byte = 0; byte < elementBytes; byte++) {
    for (let i = 0; i < count; i++) out[i * elementBytes + byte] = bytes[byte * count + i]!
  }
  out.set(bytes.subarray(count * elementBytes), count * elementBytes)
  return out
}

/** Copies a chunk to its place. At the far borders a chunk reaches over the edge; that part is dropped. */
function place(
  chunkValues: Float32Array,
  chunk: readonly number[],
  offset: readonly number[],
  values: Float32Array,
  shape: readonly number[],
): void {
  const [layers = 0, rows = 0, columns = 0] = chunk.map((side, axis) =>
    Math.min(side, shape[axis]! - offset[axis]!),
  )
  for (let layer = 0; layer < layers; layer++) {
    for (let row = 0; row < rows; row++) {
      const from = (layer * chunk[1]! + row) * chunk[2]!
      const to = ((offset[0]! + layer) * shape[1]! + offset[1]! + row) * shape[2]! + offset[2]!
      // No typed array's set(): h5py splits x and y into chunks of one column.
      for (let column = 0; column < columns; column++) values[to + column] = chunkValues[from + column]!
    }
  }
}

function product(sides: readonly number[]): number {
  return sides.reduce((total, side) => total * side, 1)
}
