import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import { encodeFloats } from '../floats.js'
import { UNDEFINED_ADDRESS } from './bytes.js'
import { MESSAGE } from './headers.js'

const deflateAsync = promisify(deflate)

const COMPRESSION_LEVEL = 5
const ELEMENT_BYTES = 4
/** HDF5's default for a node of a chunk index: with no more chunks than this, the root is the only node. */
const CHUNKS_PER_NODE = 64
const USUAL_CHUNK_BYTES = 1 << 20

// The structures of the oldest format, which every HDF5 reads, one behind the other. Node sizes are those of HDF5's
// defaults (16 children in a group's node on each side, 4 in a symbol table node, 32 in a chunk index).
const SUPERBLOCK = { at: 0, size: 96 }
const ROOT_HEADER = { at: 96, size: 40 }
const ROOT_TREE = { at: 136, size: 544 }
const NAMES = { at: 680, size: 120, textAt: 712, textSize: 88 }
const ROOT_ENTRIES = { at: 800, size: 328 }
const DATASET_HEADER = { at: 1128, size: 192 }
const CHUNK_INDEX = { at: 1320, size: 3136 }
const DATA_AT = CHUNK_INDEX.at + CHUNK_INDEX.size

/** The name's place among the names, the first of which is empty. A name of up to 7 letters fits. */
const NAME_OFFSET = 8

/**
 * Writes an HDF5 file with one float32 dataset `name` of three axes in its root group, shuffled and deflated, in chunks of
 * whole layers: what h5py's `create_dataset(name, data=data, compression='gzip', shuffle=True)` writes.
 *
 * @param name up to 7 letters of ASCII.
 * @param values row-major, `depth * rows * columns` of them.
 */
export async function writeHdf5(
  name: string,
  shape: readonly [number, number, number],
  values: Float32Array,
): Promise<Uint8Array> {
  const [depth, rows, columns] = shape
  const layer = rows * columns
  const usual = Math.ceil(USUAL_CHUNK_BYTES / (ELEMENT_BYTES * layer))
  const layers = Math.min(depth, Math.max(usual, Math.ceil(depth / CHUNKS_PER_NODE)))
  const chunk = [layers, rows, columns] as const

  const count = Math.ceil(depth / layers)
  const chunks = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const padded = new Float32Array(layers * layer)
      padded.set(values.subarray(i * layers * layer, (i + 1) * layers * layer))
      return deflateAsync(shuffle(encodeFloats(padded, 'little')), { level: COMPRESSION_LEVEL })
    }),
  )
  const length = chunks.reduce((total, bytes) => total + bytes.length, DATA_AT)
  const file = new Uint8Array(length)
  writeRoot(file, name)
  writeDatasetHeader(file, shape, chunk)
  writeChunks(file, chunks, layers)
  return file
}

/** Writes numbers one behind the other. */
class Writer {
  readonly #view: DataView
  #at: number

  constructor(file: Uint8Array, at: number) {
    this.#view = new DataView(file.buffer)
    this.#at = at
  }

  text(text: string): this {
    for (const letter of text) this.u8(letter.charCodeAt(0))
    return this
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.#view.setUint8(this.#at++, value)
    return this
  }

  u16(...values: readonly number[]): this {
    for (const value of values) {
      this.#view.setUint16(this.#at, value, true)
      this.#at += 2
    }
    return this
  }

  u32(...values: readonly number[]): this {
    for (const value of values) {
      this.#view.setUint32(this.#at, value, true)
      this.#at += 4
    }
    return this
  }

  u64(...values: readonly (number | bigint)[]): this {
    for (const value of values) {
      this.#view.setBigUint64(this.#at, BigInt(value), true)
      this.#at += 8
    }
    return this
  }

  /** The head of a header message of version 1; `size` is a multiple of 8. */
  message(type: number, size: number): this {
    return this.u16(type, size).u8(0, 0, 0, 0)
  }
}

function writeRoot(file: Uint8Array, name: string): void {
  new Writer(file, SUPERBLOCK.at)
    .u8(0x89)
    .text('HDF\r\n\x1a\n')
    .u8(0, 0, 0, 0, 0, 8, 8, 0)
    .u16(4, 16)
    .u32(0)
    .u64(0, UNDEFINED_ADDRESS, file.length, UNDEFINED_ADDRESS)
    // The root's symbol table entry, which repeats where its tree and its names are.
    .u64(0, ROOT_HEADER.at)
    .u32(1, 0)
    .u64(ROOT_TREE.at, NAMES.at)
  new Writer(file, ROOT_HEADER.at)
    .u8(1, 0)
    .u16(1)
    .u32(1, 24, 0)
    .message(MESSAGE.symbolTable, 16)
    .u64(ROOT_TREE.at, NAMES.at)
  new Writer(file, ROOT_TREE.at)
    .text('TREE')
    .u8(0, 0)
    .u16(1)
    .u64(UNDEFINED_ADDRESS, UNDEFINED_ADDRESS, 0, ROOT_ENTRIES.at, NAME_OFFSET)

  const freeAt = NAME_OFFSET + 8
  const NO_MORE_FREE = 1
  new Writer(file, NAMES.at).text('HEAP').u32(0).u64(NAMES.textSize, freeAt, NAMES.textAt)
  new Writer(file, NAMES.textAt + NAME_OFFSET).text(name)
  new Writer(file, NAMES.textAt + freeAt).u64(NO_MORE_FREE, NAMES.textSize - freeAt)
  new Writer(file, ROOT_ENTRIES.at).text('SNOD').u8(1, 0).u16(1).u64(NAME_OFFSET, DATASET_HEADER.at)
}

function writeDatasetHeader(file: Uint8Array, shape: readonly number[], chunk: readonly number[]): void {
  const FILL_VALUE = 0x05
  new Writer(file, DATASET_HEADER.at)
    .u8(1, 0)
    .u16(5)
    .u32(1, DATASET_HEADER.size - 16, 0)
    .message(MESSAGE.dataspace, 32)
    .u8(1, shape.length, 0, 0)
    .u32(0)
    .u64(...shape)
    // Little-endian IEEE float32: bits 0x20 (implied leading one), sign at bit 31; exponent 8 bits at 23, biased by 127.
    .message(MESSAGE.datatype, 24)
    .u8(0x11, 0x20, 31, 0)
    .u32(ELEMENT_BYTES)
    .u16(0, 32)
    .u8(23, 8, 0, 23)
    .u32(127, 0)
    // Version 2, allocated incrementally, written if set, not set.
    .message(FILL_VALUE, 8)
    .u8(2, 3, 2, 0, 0, 0, 0, 0)
    .message(MESSAGE.layout, 32)
    .u8(3, 2, shape.length + 1)
    .u64(CHUNK_INDEX.at)
    .u32(...chunk, ELEMENT_BYTES)
    .u8(0, 0, 0, 0, 0)
    // Shuffle (2), then deflate (1), each with one parameter and its padding.
    .message(MESSAGE.filters, 40)
    .u8(1, 2, 0, 0, 0, 0, 0, 0)
    .u16(2, 0, 1, 1)
    .u32(ELEMENT_BYTES, 0)
    .u16(1, 0, 1, 1)
    .u32(COMPRESSION_LEVEL, 0)
}

function writeChunks(file: Uint8Array, chunks: readonly Uint8Array[], layers: number): void {
  const index = new Writer(file, CHUNK_INDEX.at)
    .text('TREE')
    .u8(1, 0)
    .u16(chunks.length)
    .u64(UNDEFINED_ADDRESS, UNDEFINED_ADDRESS)
  let at = DATA_AT
  for (const [i, bytes] of chunks.entries()) {
    index.u32(bytes.length, 0).u64(i * layers, 0, 0, 0, at)
    file.set(bytes, at)
    at += bytes.length
  }
  // A last key closes the range of the last child.
  index.u32(0, 0).u64(chunks.length * layers, 0, 0, 0)
}

/** The first byte of every element, then the second of every element, and so on: like deflates better among like. */
function shuffle(bytes: Uint8Array): Uint8Array {
  const count = bytes.length / ELEMENT_BYTES
  const out = new Uint8Array(bytes.length)
  for (let byte = 0; byte < ELEMENT_BYTES; byte++) {
    for (let i = 0; i < count; i++) out[byte * count + i] = bytes[i * ELEMENT_BYTES + byte]!
  }
  return out
}
