import { crc32 } from 'node:zlib'
import { FlowError } from '../../errors.js'

/** An entry of an archive, read when it is written. */
export interface StoredEntry {
  readonly name: string
  /** Bytes. */
  readonly size: number
  read(): Uint8Array
}

const VERSION = 20
/** Names are UTF-8. */
const FLAGS = 0x0800
/** 1980-01-01: the same file for the same weights, whenever it is written. */
const DATE = 0x21
const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46
const END_BYTES = 22
const LARGEST = 2 ** 32 - 1
/** As torch.save aligns the values of a tensor, so that they can be mapped into memory. */
const ALIGNMENT = 64
/** The extra field that torch.save pads with. */
const PADDING_FIELD = 0x4246

/**
 * The bytes of a zip archive of uncompressed entries, as torch.save writes it (PKWARE's APPNOTE.TXT 6.3).
 *
 * @throws {FlowError} `ERR_ARGUMENT` if it has more than 4 GiB, which would need zip64
 */
export function* storedZip(entries: readonly StoredEntry[]): Generator<Uint8Array> {
  // Headers and names take less than a quarter of a kilobyte each.
  const most = entries.reduce((sum, { name, size }) => sum + size + 256 + 2 * Buffer.byteLength(name), 0)
  if (most > LARGEST)
    throw new FlowError(
      'ERR_ARGUMENT',
      'a .pth file of more than 4 GiB cannot be written: write .safetensors',
    )
  const directory: Buffer[] = []
  let at = 0
  for (const entry of entries) {
    const name = Buffer.from(entry.name)
    const padding = paddingAt(at + LOCAL_BYTES + name.length)
    const bytes = entry.read()
    const common = commonFields(crc32(bytes), bytes.length, name.length)
    yield localHeader(common, name, padding)
    yield bytes
    directory.push(centralHeader(common, name, at))
    at += LOCAL_BYTES + name.length + padding.length + bytes.length
  }
  const central = Buffer.concat(directory)
  const end = Buffer.alloc(END_BYTES)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(at, 16)
  yield Buffer.concat([central, end])
}

/** An extra field that ends at a multiple of the alignment. */
function paddingAt(at: number): Buffer {
  const length = 4 + (-(at + 4) & (ALIGNMENT - 1))
  const field = Buffer.alloc(length)
  field.writeUInt16LE(PADDING_FIELD, 0)
  field.writeUInt16LE(length - 4, 2)
  return field
}

/** What both headers of an entry have, from the version to the length of the name. */
function commonFields(crc: number, size: number, name: number): Buffer {
  const fields = Buffer.alloc(24)
  fields.writeUInt16LE(VERSION, 0)
  fields.writeUInt16LE(FLAGS, 2)
  fields.writeUInt16LE(DATE, 8)
  fields.writeUInt32LE(crc, 10)
  fields.writeUInt32LE(size, 14)
  fields.writeUInt32LE(size, 18)
  fields.writeUInt16LE(name, 22)
  return fields
}

function localHeader(common: Buffer, name: Buffer, padding: Buffer): Buffer {
  const [signature, extra] = [Buffer.alloc(4), Buffer.alloc(2)]
  signature.writeUInt32LE(0x04034b50)
  extra.writeUInt16LE(padding.length)
  return Buffer.concat([signature, common, extra, name, padding])
}

function centralHeader(common: Buffer, name: Buffer, at: number): Buffer {
  const header = Buffer.alloc(CENTRAL_BYTES)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(VERSION, 4)
  common.copy(header, 6)
  header.writeUInt32LE(at, 42)
  return Buffer.concat([header, name])
}
