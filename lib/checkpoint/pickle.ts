import { quoted } from '../support/quote.js'
import { ByteCursor } from './byte-cursor.js'
import { Malformed } from './malformed.js'
import { PickleDict, PickleGlobal, PickleList, PickleTuple, type PickleValue } from './pickle-values.js'

// The opcodes are described in CPython's Lib/pickletools.py. Opcodes that only protocol 0 writes are left out, because
// torch.save cannot write protocol 0. Opcodes that build sets or instances of classes (INST, OBJ, NEWOBJ, EXT) are left out
// as well.

/** A longer pickle is refused. A checkpoint's takes 100 KB, because the tensors' data is not in it. */
export const LONGEST_PICKLE = 16 << 20

/**
 * Limit on the values that one pickle makes, in units of about 30 bytes of heap. A checkpoint needs about 110 units per
 * tensor. A file of opcodes that only make dicts is refused at this limit instead of filling the heap.
 */
const BUDGET = 4_000_000
const MEMO_COST = 4

function cost(value: PickleValue): number {
  if (typeof value !== 'object' || value === null) return 1
  return value instanceof PickleDict || value instanceof Uint8Array ? 8 : 4
}

/** The caller's whitelist. */
export interface PickleHost {
  /** Returns the object for a dotted name; undefined if the name is not allowed. */
  global(name: string): PickleGlobal | undefined
  /** Returns the object for a persistent id, torch's reference to a storage. */
  persistent(id: PickleValue): PickleValue
}

/** A host that allows plain data only. */
export const plainData: PickleHost = {
  global: () => undefined,
  persistent: () => {
    throw new Malformed('its pickle refers to a storage where plain data belongs')
  },
}

/**
 * Reads one pickle of protocol 1 to 5 without running any of it. A name outside the host's whitelist is an error. Values are
 * built without recursion, and the work is bounded.
 *
 * @param start - offset of the pickle in `bytes`
 * @returns the value, and `end`, the offset of the first byte after the pickle
 * @throws {Malformed} if it is damaged, too large, or asks for more than plain data and the whitelist
 */
export function unpickle(
  bytes: Buffer,
  start: number,
  host: PickleHost,
): { value: PickleValue; end: number } {
  return new Unpickler(new ByteCursor(bytes, start), host).run()
}

class Unpickler {
  private readonly stack: PickleValue[] = []
  /** Sizes of the stack at the open marks. */
  private readonly marks: number[] = []
  private readonly memo = new Map<number, PickleValue>()
  private budget = BUDGET

  constructor(
    private readonly input: ByteCursor,
    private readonly host: PickleHost,
  ) {}

  run(): { value: PickleValue; end: number } {
    for (;;) {
      const opcode = this.input.uint8()
      if (opcode === 0x2e /* STOP */) return { value: this.pop(), end: this.input.at }
      this.step(opcode)
    }
  }

  private step(opcode: number): void {
    const { input } = this
    switch (opcode) {
      case 0x80: // PROTO
        return this.protocol(input.uint8())
      case 0x95: // FRAME: a hint for readers of streams
        return void input.uint64()

      case 0x28: // MARK
        this.spend(1)
        return void this.marks.push(this.stack.length)
      case 0x30: // POP
        if (this.stack.length === this.marks.at(-1)) this.marks.pop()
        else this.pop()
        return
      case 0x31: // POP_MARK
        return void this.popMark()
      case 0x32: // DUP
        return this.push(this.top())

      case 0x4e: // NONE
        return this.push(null)
      case 0x88: // NEWTRUE
        return this.push(true)
      case 0x89: // NEWFALSE
        return this.push(false)
      case 0x49: // INT, and protocol 1's way to write booleans
        return this.push(input.booleanOrDecimal())
      case 0x4c: // LONG
        return this.push(input.decimal())
      case 0x4a: // BININT
        return this.push(input.int32())
      case 0x4b: // BININT1
        return this.push(input.uint8())
      case 0x4d: // BININT2
        return this.push(input.uint16())
      case 0x8a: // LONG1
        return this.push(input.signed(input.uint8()))
      case 0x8b: // LONG4
        return this.push(input.signed(input.uint32()))
      case 0x47: // BINFLOAT
        return this.push(input.float64())

      case 0x55: // SHORT_BINSTRING
      case 0x8c: // SHORT_BINUNICODE
        return this.push(input.text(input.uint8()))
      case 0x54: // BINSTRING
      case 0x58: // BINUNICODE
        return this.push(input.text(input.uint32()))
      case 0x8d: // BINUNICODE8
        return this.push(input.text(input.uint64()))
      case 0x43: // SHORT_BINBYTES
        return this.push(input.view(input.uint8()))
      case 0x42: // BINBYTES
        return this.push(input.view(input.uint32()))
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.push(input.view(input.uint64()))

      case 0x5d: // EMPTY_LIST
        return this.push(new PickleList())
      case 0x6c: // LIST
        return this.push(extended(new PickleList(), this.popMark()))
      case 0x61: // APPEND
        return this.append([this.pop()])
      case 0x65: // APPENDS
        return this.append(this.popMark())
      case 0x29: // EMPTY_TUPLE
        return this.push(new PickleTuple([]))
      case 0x74: // TUPLE
        return this.push(new PickleTuple(this.popMark()))
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.push(new PickleTuple(this.popMany(opcode - 0x84)))
      case 0x7d: // EMPTY_DICT
        return this.push(new PickleDict())
      case 0x64: // DICT
        return this.push(assigned(new PickleDict(), this.popMark()))
      case 0x73: // SETITEM
        return this.assign(this.popMany(2))
      case 0x75: // SETITEMS
        return this.assign(this.popMark())

      case 0x68: // BINGET
        return this.recall(input.uint8())
      case 0x6a: // LONG_BINGET
        return this.recall(input.uint32())
      case 0x71: // BINPUT
        return this.remember(input.uint8())
      case 0x72: // LONG_BINPUT
        return this.remember(input.uint32())
      case 0x94: // MEMOIZE
        return this.remember(this.memo.size)

      case 0x63: // GLOBAL
        return this.global(input.line(), input.line())
      case 0x93: // STACK_GLOBAL
        return this.stackGlobal()
      case 0x52: // REDUCE
        return this.reduce()
      case 0x62: // BUILD
        return this.build()
      case 0x51: // BINPERSID
        return this.push(this.host.persistent(this.pop()))
      default:
        throw new Malformed(
          `its pickle is damaged or does more than hold tensors (opcode 0x${opcode.toString(16)}); ${HOW_TO_SAVE}`,
        )
    }
  }

  private protocol(version: number): void {
    if (version > 5)
      throw new Malformed(`its pickle is of protocol ${version}; 5 is the newest that is known`)
  }

  private spend(cost: number): void {
    this.budget -= cost
    if (this.budget < 0) throw new Malformed('its pickle builds far more than a checkpoint needs')
  }

  private push(value: PickleValue): void {
    this.spend(cost(value))
    this.stack.push(value)
  }

  /** Takes the top value. Values below the last open mark cannot be taken, as in CPython. */
  private pop(): PickleValue {
    return this.popMany(1)[0] ?? null
  }

  private popMany(count: number): PickleValue[] {
    if (this.stack.length - count < (this.marks.at(-1) ?? 0)) throw underflow()
    return this.stack.splice(this.stack.length - count)
  }

  private top(): PickleValue {
    const value = this.stack.at(-1)
    if (value === undefined) throw underflow()
    return value
  }

  private popMark(): PickleValue[] {
    const mark = this.marks.pop()
    if (mark === undefined) throw underflow()
    return this.stack.splice(mark)
  }

  private remember(index: number): void {
    this.spend(MEMO_COST)
    this.memo.set(index, this.top())
  }

  private recall(index: number): void {
    const value = this.memo.get(index)
    if (value === undefined) throw new Malformed('its pickle recalls a value that it never stored')
    this.push(value)
  }

  private append(items: readonly PickleValue[]): void {
    const list = this.top()
    if (!(list instanceof PickleList)) throw new Malformed('its pickle appends to something that is no list')
    extended(list, items)
  }

  private assign(items: readonly PickleValue[]): void {
    const dict = this.top()
    if (!(dict instanceof PickleDict))
      throw new Malformed('its pickle sets an item of something that is no dict')
    assigned(dict, items)
  }

  private stackGlobal(): void {
    const [module, name] = this.popMany(2)
    if (typeof module !== 'string' || typeof name !== 'string') throw new Malformed('its pickle is damaged')
    this.global(module, name)
  }

  private global(module: string, name: string): void {
    const found = this.host.global(`${module}.${name}`)
    if (found === undefined)
      throw new Malformed(
        `${quoted(`${module}.${name}`)} is not allowed in a checkpoint: refusing to run it. The file holds more than tensors; ${HOW_TO_SAVE}`,
      )
    this.push(found)
  }

  private reduce(): void {
    const [callable, args] = this.popMany(2)
    if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple))
      throw new Malformed('its pickle calls something that cannot be called')
    if (callable.construct === undefined)
      throw new Malformed(`its pickle calls ${quoted(callable.name)}, which is only a type here`)
    this.push(callable.construct(args.items))
  }

  /** Drops an object's attributes. A state dict has `_metadata`, the versions of its modules; they change no weight. */
  private build(): void {
    this.pop()
    if (!(this.top() instanceof PickleDict))
      throw new Malformed(`its pickle sets attributes of an object; ${HOW_TO_SAVE}`)
  }
}

const HOW_TO_SAVE = "save the weights alone: torch.save(model.state_dict(), 'model.pth')"

function extended(list: PickleList, items: readonly PickleValue[]): PickleList {
  // Not push(...items): a spread of a million arguments overflows the stack.
  for (const item of items) list.items.push(item)
  return list
}

function assigned(dict: PickleDict, items: readonly PickleValue[]): PickleDict {
  if (items.length % 2 !== 0) throw underflow()
  for (let i = 0; i < items.length; i += 2) dict.entries.set(items[i] ?? null, items[i + 1] ?? null)
  return dict
}

function underflow(): Malformed {
  return new Malformed('its pickle is damaged: it takes more from its stack than it put there')
}
