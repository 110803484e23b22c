import { damagedHdf5, type FileBytes, Walk } from './bytes.js'
import { MESSAGE, type Message, readMessages, readSuperblock } from './headers.js'

/** Finds what the root group calls `name`. Returns the address of its object header. */
export function findInRoot(file: FileBytes, name: string): number {
  const messages = readMessages(file, readSuperblock(file))
  const table = messages.find((message) => message.type === MESSAGE.symbolTable)
  const address = table === undefined ? findLink(file, messages, name) : findInSymbolTable(file, table, name)
  if (address === undefined) throw damagedHdf5(`it has no dataset '${name}' at its root`)
  return address
}

/** The links of a small group of the newer kind (IV.A.2.g), which are messages of its header. */
function findLink(file: FileBytes, messages: readonly Message[], name: string): number | undefined {
  for (const { type, at } of messages) {
    if (type !== MESSAGE.link || file.u8(at) !== 1) continue
    const flags = file.u8(at + 1)
    const HAS_TYPE = 0x08
    const HAS_ORDER = 0x04
    const HAS_CHARSET = 0x10
    const hard = !(flags & HAS_TYPE) || file.u8(at + 2) === 0
    const lengthAt =
      at + 2 + (flags & HAS_TYPE ? 1 : 0) + (flags & HAS_ORDER ? 8 : 0) + (flags & HAS_CHARSET ? 1 : 0)
    const length = [file.u8, file.u16, file.u32, file.u64][flags & 3]!.call(file, lengthAt)
    const nameAt = lengthAt + (1 << (flags & 3))
    // A soft or an external link could name any other file: only hard links are followed.
    if (hard && length === name.length && textAt(file, nameAt, length) === name)
      return file.u64(nameAt + length)
  }
  return undefined
}

/** The links of a group of the older kind: a B-tree (III.A.1) of symbol table nodes (III.B), names in a heap (III.D). */
function findInSymbolTable(file: FileBytes, table: Message, name: string): number | undefined {
  const heapAt = file.u64(table.at + 8)
  file.expectSignature(heapAt, 'HEAP')
  const namesAt = file.u64(heapAt + 24)
  const walk = new Walk(file)
  const nodes = [file.u64(table.at)]

  for (let at = nodes.pop(); at !== undefined; at = nodes.pop()) {
    const entries = file.u16(at + 6)
    if (file.signature(at) === 'TREE') {
      walk.enter(at, 24 + 16 * entries)
      if (file.u8(at + 4) !== 0) throw damagedHdf5(`the B-tree at byte ${at} is not of a group`)
      for (let i = 0; i < entries; i++) nodes.push(file.u64(at + 24 + 8 + 16 * i))
      continue
    }
    walk.enter(at, 8 + 40 * entries)
    file.expectSignature(at, 'SNOD')
    for (let i = 0; i < entries; i++) {
      const entry = at + 8 + 40 * i
      const nameAt = namesAt + file.u64(entry)
      if (textAt(file, nameAt, name.length + 1) !== `${name}\0`) continue
      const SOFT_LINK = 2
      if (file.u32(entry + 16) !== SOFT_LINK) return file.u64(entry + 8)
    }
  }
  return undefined
}

function textAt(file: FileBytes, at: number, length: number): string {
  // A name at the very end of the file may be shorter than the one that is looked for.
  return String.fromCharCode(...file.slice(at, Math.min(length, Math.max(file.length - at, 0))))
}
