import { damagedHdf5, type FileBytes, Walk } from './bytes.js'

// Section numbers are those of the HDF5 File Format Specification, version 3.0:
// https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]

/** Types of header messages (IV.A.2), those that this reader knows. */
export const MESSAGE = {
  dataspace: 0x01,
  datatype: 0x03,
  link: 0x06,
  layout: 0x08,
  filters: 0x0b,
  continuation: 0x10,
  symbolTable: 0x11,
} as const

/** One message of an object header: `size` bytes at the address `at`. */
export interface Message {
  readonly type: number
  readonly at: number
  readonly size: number
}

/** Reads the superblock (II.A). Returns the address of the root group's object header. */
export function readSuperblock(file: FileBytes): number {
  if (SIGNATURE.some((byte, i) => file.u8(i) !== byte)) throw damagedHdf5('it does not begin as HDF5 does')
  const version = file.u8(8)
  if (version > 3) throw damagedHdf5(`superblock version ${version} is unknown`)

  const sizesAt = version < 2 ? 13 : 9
  if (file.u8(sizesAt) !== 8 || file.u8(sizesAt + 1) !== 8)
    throw damagedHdf5('its addresses are not of 8 bytes')

  const baseAt = version === 0 ? 24 : version === 1 ? 28 : 12
  if (file.u64(baseAt) !== 0) throw damagedHdf5('a file inside another file is not supported')

  // Versions 0 and 1 name the root by a symbol table entry, after four addresses: the header is its second field.
  return file.u64(version < 2 ? baseAt + 4 * 8 + 8 : baseAt + 3 * 8)
}

/** Reads an object header (IV.A.1) with its continuations. */
export function readMessages(file: FileBytes, address: number): Message[] {
  return file.signature(address) === 'OHDR' ? readVersion2(file, address) : readVersion1(file, address)
}

/** The one message of a type, which must be there. */
export function findMessage(messages: readonly Message[], type: number, what: string): Message {
  const message = messages.find((candidate) => candidate.type === type)
  if (message === undefined) throw damagedHdf5(`its dataset has no ${what}`)
  return message
}

interface Block {
  readonly at: number
  readonly size: number
}

function readVersion1(file: FileBytes, address: number): Message[] {
  if (file.u8(address) !== 1) throw damagedHdf5(`no object header at byte ${address}`)
  return readBlocks(file, { at: address + 16, size: file.u32(address + 8) }, (block, found) => {
    const end = block.at + block.size
    for (let at = block.at; at + 8 <= end;) {
      const message = { type: file.u16(at), at: at + 8, size: file.u16(at + 2) }
      addMessage(found, message, file.u8(at + 4), end)
      at = message.at + message.size
    }
  })
}

function readVersion2(file: FileBytes, address: number): Message[] {
  if (file.u8(address + 4) !== 2) throw damagedHdf5(`no object header of version 2 at byte ${address}`)
  const flags = file.u8(address + 5)
  const sizeAt = address + 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0)
  const sizeBytes = 1 << (flags & 3)
  const size = [file.u8, file.u16, file.u32, file.u64][flags & 3]!.call(file, sizeAt)
  const prefix = flags & 0x04 ? 6 : 4

  const first = { at: sizeAt + sizeBytes, size }
  return readBlocks(file, first, (block, found) => {
    // A continuation has a signature in front and a checksum behind; the first block's checksum is not in its size.
    const continues = block !== first
    if (continues) file.expectSignature(block.at, 'OCHK')
    const end = block.at + block.size - (continues ? 4 : 0)
    for (let at = block.at + (continues ? 4 : 0); at + prefix <= end;) {
      const message = { type: file.u8(at), at: at + prefix, size: file.u16(at + 1) }
      addMessage(found, message, file.u8(at + 3), end)
      at = message.at + message.size
    }
  })
}

function readBlocks(
  file: FileBytes,
  first: Block,
  readBlock: (block: Block, found: Message[]) => void,
): Message[] {
  const found: Message[] = []
  const walk = new Walk(file)
  const blocks = [first]
  for (let block = blocks.pop(); block !== undefined; block = blocks.pop()) {
    walk.enter(block.at, block.size)
    const before = found.length
    file.slice(block.at, block.size)
    readBlock(block, found)
    for (const message of found.slice(before)) {
      if (message.type !== MESSAGE.continuation) continue
      blocks.push({ at: file.u64(message.at), size: file.u64(message.at + 8) })
    }
  }
  return found
}

const SHARED = 0x02

function addMessage(found: Message[], message: Message, flags: number, end: number): void {
  if (message.at + message.size > end)
    throw damagedHdf5(`the message at byte ${message.at} leaves its header`)
  const known = Object.values(MESSAGE).some((type) => type === message.type)
  if (known && flags & SHARED) throw damagedHdf5('shared header messages are not supported')
  if (known) found.push(message)
}
