import { listed, quoted, shown } from '../support/quote.js'
import type { Directory } from './directory.js'
import { isRecord, parseObject } from './json.js'
import { axes, elements, isCount, rowMajor } from './layout.js'
import { Malformed } from './malformed.js'
import { readRange, type Source } from './source.js'
import { DTYPE_BYTES, type DType, type StoredTensor } from './tensor.js'

// https://huggingface.co/docs/safetensors: u64 header length, little endian; a JSON header; the data.

/** Limit on the header, in bytes. A backbone of 7 billion parameters needs 100 KB. */
const LONGEST_HEADER = 16 << 20

/** Brackets of `{ name: { shape: [] } }`. */
const DEEPEST_HEADER = 3

const DTYPES: ReadonlyMap<unknown, DType> = new Map<string, DType>([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['F8_E4M3', 'float8_e4m3'],
  ['F8_E4M3FNUZ', 'float8_e4m3fnuz'],
  ['F8_E5M2', 'float8_e5m2'],
  ['F8_E5M2FNUZ', 'float8_e5m2fnuz'],
  ['F8_E8M0', 'float8_e8m0'],
  ['C64', 'complex64'],
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
  const header = parseObject(readRange(source, 8, length), 'its safetensors header', DEEPEST_HEADER)
  const tensors = new Map<string, StoredTensor>()
  let metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = readMetadata(value)
    else tensors.set(name, readTensor(name, value, 8 + length, source))
  }
  return { tensors, metadata, objects: new Map(), skipped: [] }
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

function readMetadata(value: unknown): Record<string, string> {
  if (!isRecord(value)) throw new Malformed('its __metadata__ is not an object')
  const metadata: Record<string, string> = Object.create(null)
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new Malformed(`its __metadata__ ${quoted(key)} is not text`)
    metadata[key] = text
  }
  return metadata
}

function readTensor(name: string, value: unknown, dataStart: number, file: Source): StoredTensor {
  try {
    if (!isRecord(value)) throw new Malformed('its entry is not an object')
    const type = value['dtype']
    if (typeof type !== 'string') throw new Malformed(`its dtype ${shown(type)} is not a name`)
    const shape = axes(value['shape'], 'shape')
    const [begin, end] = readOffsets(value['data_offsets'], file.size - dataStart)
    const place = { name, shape, strides: rowMajor(shape), file, offset: dataStart + begin, negated: false }
    const dtype = DTYPES.get(type)
    // The format grows: a type of tomorrow may be beside the weights.
    if (dtype === undefined)
      return {
        ...place,
        dtype: 'other',
        unreadable: `has dtype ${quoted(type)}, which is not read: save it as float32`,
      }
    const needed = elements(shape) * DTYPE_BYTES[dtype]
    if (end - begin !== needed)
      throw new Malformed(
        `${dtype} ${listed(shape)} needs ${needed} bytes, its data_offsets give ${end - begin}`,
      )
    return { ...place, dtype }
  } catch (error) {
    if (error instanceof Malformed)
      throw new Malformed(`tensor ${quoted(name)}: ${error.reason}`, error.advice)
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
