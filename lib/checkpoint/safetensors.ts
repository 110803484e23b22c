// jsdom has no TextDecoder.
import { TextDecoder } from 'node:util'
import { listed, quoted, shown } from '../support/quote.js'
import type { Directory } from './directory.js'
import { axes, elements, isCount, rowMajor } from './layout.js'
import { Malformed } from './malformed.js'
import { readRange, type Source } from './source.js'
import { DTYPE_BYTES, type DType, type StoredTensor } from './tensor.js'

// https://huggingface.co/docs/safetensors: u64 header length, little endian; a JSON header; the data.

/** Limit on the header, in bytes. A backbone of 7 billion parameters needs 100 KB. */
const LONGEST_HEADER = 16 << 20

/** Brackets of `{ name: { shape: [] } }`. Without a limit, JSON.parse would take 50 bytes of heap for each one more. */
const DEEPEST_HEADER = 3

const DTYPES: ReadonlyMap<unknown, DType> = new Map<string, DType>([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['F8_E4M3', 'float8_e4m3'],
  ['F8_E5M2', 'float8_e5m2'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['I16', 'int16'],
  ['I8', 'int8'],
  ['U64', 'uint64'],
  ['U32', 'uint32'],
  ['U16', 'uint16'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
])

/** Whether a file's first bytes are those of a safetensors file: 8 bytes of length, then JSON. */
export function looksLikeSafetensors(start: Uint8Array): boolean {
  return start[8] === 0x7b
}

/**
 * Reads the header of a safetensors file.
 *
 * @throws {Malformed} if the header is not as specified, or a tensor reaches outside the file
 */
export function readSafetensors(source: Source): Directory {
  const length = headerLength(source)
  const header = parseHeader(readRange(source, 8, length))
  const tensors = new Map<string, StoredTensor>()
  let metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = readMetadata(value)
    else tensors.set(name, readTensor(name, value, 8 + length, source.size))
  }
  return { tensors, metadata }
}

function headerLength(source: Source): number {
  const claimed = readRange(source, 0, 8).readBigUInt64LE()
  if (claimed > BigInt(source.size - 8))
    throw new Malformed(
      `is cut short or damaged: its safetensors header claims ${claimed} bytes, the file has ${source.size}`,
    )
  if (claimed > LONGEST_HEADER)
    throw new Malformed(`its safetensors header of ${claimed} bytes is longer than ${LONGEST_HEADER}`)
  return Number(claimed)
}

function parseHeader(bytes: Buffer): object {
  if (!isShallow(bytes)) throw new Malformed('its safetensors header is nested deeper than the format allows')
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new Malformed('its safetensors header is not valid JSON: the file is damaged')
  }
  if (!isRecord(header)) throw new Malformed('its safetensors header is not a JSON object')
  return header
}

function isShallow(bytes: Uint8Array): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (inString) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > DEEPEST_HEADER) return false
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return true
}

function readMetadata(value: unknown): Record<string, string> {
  if (!isRecord(value)) throw new Malformed('its __metadata__ is not an object')
  const metadata: Record<string, string> = Object.create(null)
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new Malformed(`its __metadata__ ${quoted(key)} is not text`)
    metadata[key] = text
  }
  return metadata
}

function readTensor(name: string, value: unknown, dataStart: number, size: number): StoredTensor {
  try {
    if (!isRecord(value)) throw new Malformed('its entry is not an object')
    const dtype = DTYPES.get(value['dtype'])
    if (dtype === undefined) throw new Malformed(`its dtype ${shown(value['dtype'])} is not known`)
    const shape = axes(value['shape'], 'shape')
    const [begin, end] = readOffsets(value['data_offsets'], size - dataStart)
    const needed = elements(shape) * DTYPE_BYTES[dtype]
    if (end - begin !== needed)
      throw new Malformed(
        `${dtype} ${listed(shape)} needs ${needed} bytes, its data_offsets give ${end - begin}`,
      )
    return { name, dtype, shape, strides: rowMajor(shape), offset: dataStart + begin }
  } catch (error) {
    if (error instanceof Malformed) throw new Malformed(`tensor ${quoted(name)}: ${error.message}`)
    throw error
  }
}

function readOffsets(value: unknown, available: number): [begin: number, end: number] {
  const [begin, end, ...rest] = Array.isArray(value) ? value : []
  if (!isCount(begin) || !isCount(end) || rest.length > 0 || begin > end)
    throw new Malformed('its data_offsets are not [begin, end]')
  if (end > available)
    throw new Malformed(`its data ends at byte ${end} of ${available}: the file is cut short or damaged`)
  return [begin, end]
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
