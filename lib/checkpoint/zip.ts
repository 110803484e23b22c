import { quoted } from '../support/quote.js'
import { Malformed } from './malformed.js'
import { readRange, type Source } from './source.js'

// The zip format of PKWARE's APPNOTE.TXT 6.3, only the part that torch.save writes: stored (uncompressed) entries.

const LOCAL_HEADER = 0x04034b50
const CENTRAL_HEADER = 0x02014b50
const END = 0x06054b50
const END64 = 0x06064b50
const END64_LOCATOR = 0x07064b50
const ZIP64_EXTRA = 0x0001

const END_BYTES = 22
const LOCATOR_BYTES = 20
const END64_BYTES = 56
const CENTRAL_BYTES = 46
const LOCAL_BYTES = 30
const LONGEST_COMMENT = 0xffff

/** Limit on the directory, in bytes. torch writes one entry of about 100 bytes per storage. */
const LONGEST_DIRECTORY = 16 << 20

/** An entry of an archive. */
export interface ZipEntry {
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Bytes from the beginning of the file to the entry's local header. */
  readonly header: number
  readonly storage: 'plain' | 'compressed' | 'encrypted'
  /** Bytes in the archive: as `size`, unless the entry is compressed. */
  readonly packed: number
  /** How the entry is compressed: {@link DEFLATED}, or another number of the format. */
  readonly method: number
  /** CRC-32 of the unpacked bytes. */
  readonly crc: number
}

/** The method of zip's usual compression. */
export const DEFLATED = 8

/** Whether a file's first bytes are those of a zip archive. */
export function looksLikeZip(start: Uint8Array): boolean {
  return start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4
}

/**
 * Lists an archive's entries by name.
 *
 * @throws {Malformed} if the archive is cut short or damaged
 */
export function readZip(source: Source): Map<string, ZipEntry> {
  const where = findDirectory(source)
  const bytes = readRange(source, where.offset, where.size)
  const entries = new Map<string, ZipEntry>()
  let at = 0
  while (at < bytes.length) {
    const { entry, next } = readEntry(bytes, at)
    if (entries.has(entry.name)) throw new Malformed(`its zip entry ${quoted(entry.name)} is there twice`)
    entries.set(entry.name, entry)
    at = next
  }
  if (entries.size !== where.count)
    throw new Malformed(`its zip directory holds ${entries.size} entries instead of ${where.count}`)
  return entries
}

/**
 * Bytes from the beginning of the file to an entry's data.
 *
 * @throws {Malformed} if the entry is compressed or encrypted, or is not inside the file
 */
export function zipDataOffset(source: Source, entry: ZipEntry): number {
  if (entry.storage !== 'plain')
    throw new Malformed(
      `its zip entry ${quoted(entry.name)} is ${entry.storage}, which torch.save never does`,
      'unpack it and save it again',
    )
  return packedOffset(source, entry)
}

/**
 * Bytes from the beginning of the file to an entry's data, packed or not.
 *
 * @throws {Malformed} if the entry is not inside the file
 */
export function packedOffset(source: Source, entry: ZipEntry): number {
  const header = readRange(source, entry.header, LOCAL_BYTES)
  if (header.readUInt32LE(0) !== LOCAL_HEADER)
    throw new Malformed(`its zip entry ${quoted(entry.name)} does not begin where the directory says`)
  // The local header's lengths, not the directory's: torch pads the local header to align the data to 64 bytes.
  const offset = entry.header + LOCAL_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28)
  if (offset + entry.packed > source.size)
    throw new Malformed(`its zip entry ${quoted(entry.name)} ends outside the file`)
  return offset
}

interface CentralDirectory {
  readonly offset: number
  readonly size: number
  readonly count: number
}

function findDirectory(source: Source): CentralDirectory {
  const length = Math.min(source.size, END_BYTES + LONGEST_COMMENT)
  const start = source.size - length
  const tail = readRange(source, start, length)
  for (let at = length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END || at + END_BYTES + tail.readUInt16LE(at + 20) !== length) continue
    const end = start + at
    return checked(findDirectory64(source, end) ?? readEnd(tail, at), end)
  }
  throw new Malformed(
    'is a zip archive without its end: the file is cut short (an unfinished download?)',
    'fetch it again',
  )
}

function checked(directory: CentralDirectory, end: number): CentralDirectory {
  if (directory.size > LONGEST_DIRECTORY)
    throw new Malformed(`its zip directory of ${directory.size} bytes is longer than ${LONGEST_DIRECTORY}`)
  if (directory.offset + directory.size > end) throw new Malformed('its zip directory lies outside the file')
  return directory
}

function readEnd(tail: Buffer, at: number): CentralDirectory {
  return {
    count: tail.readUInt16LE(at + 10),
    size: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  }
}

function findDirectory64(source: Source, end: number): CentralDirectory | undefined {
  if (end < LOCATOR_BYTES) return undefined
  const locator = readRange(source, end - LOCATOR_BYTES, LOCATOR_BYTES)
  if (locator.readUInt32LE(0) !== END64_LOCATOR) return undefined
  const record = readRange(source, exact(locator, 8), END64_BYTES)
  if (record.readUInt32LE(0) !== END64) throw new Malformed('its zip64 directory is damaged')
  return { count: exact(record, 32), size: exact(record, 40), offset: exact(record, 48) }
}

function readEntry(bytes: Buffer, at: number): { entry: ZipEntry; next: number } {
  if (at + CENTRAL_BYTES > bytes.length || bytes.readUInt32LE(at) !== CENTRAL_HEADER)
    throw new Malformed('its zip directory is damaged')
  const nameEnd = at + CENTRAL_BYTES + bytes.readUInt16LE(at + 28)
  const extraEnd = nameEnd + bytes.readUInt16LE(at + 30)
  const next = extraEnd + bytes.readUInt16LE(at + 32)
  if (next > bytes.length) throw new Malformed('its zip directory is damaged')
  const name = bytes.toString('utf8', at + CENTRAL_BYTES, nameEnd)
  const packed32 = bytes.readUInt32LE(at + 20)
  const size32 = bytes.readUInt32LE(at + 24)
  const header32 = bytes.readUInt32LE(at + 42)
  const wide = zip64Fields(bytes.subarray(nameEnd, extraEnd))
  // A 64-bit field exists only for a 32-bit field that is 0xffffffff, in this order.
  const take = (value: number): number => (value === 0xffffffff ? (wide.shift() ?? value) : value)
  const size = take(size32)
  const packed = take(packed32)
  const header = take(header32)
  const encrypted = (bytes.readUInt16LE(at + 8) & 1) !== 0
  const method = bytes.readUInt16LE(at + 10)
  const compressed = method !== 0 || packed !== size
  const storage = encrypted ? 'encrypted' : compressed ? 'compressed' : 'plain'
  return { entry: { name, size, header, storage, packed, method, crc: bytes.readUInt32LE(at + 16) }, next }
}

function zip64Fields(extra: Buffer): number[] {
  const fields: number[] = []
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (end > extra.length) throw new Malformed('its zip directory is damaged')
    if (extra.readUInt16LE(at) === ZIP64_EXTRA)
      for (let field = at + 4; field + 8 <= end; field += 8) fields.push(exact(extra, field))
    at = end
  }
  return fields
}

/** A 64-bit number. Above 2^53 a double is not exact: the result is infinity, which fails every bounds check. */
function exact(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity
}
