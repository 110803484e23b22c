import { ByteCursor } from './byte-cursor.js'
import { HOW_TO_SAVE, Malformed } from './malformed.js'
import {
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  PickleOpaque,
  PickleTuple,
  type PickleValue,
} from './pickle-values.js'

// The opcodes are described in CPython's Lib/pickletools.py. Opcodes that only protocol 0 writes are left out, because
// torch.save cannot write protocol 0.

/**
 * A longer pickle is refused. A checkpoint's takes 100 KB, because the tensors' data is not in it. NumPy arrays beside the
 * weights are.
 */
export const LONGEST_PICKLE = 64 << 20

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
  /** Returns the object for a dotted name; undefined if the name is not whitelisted. */
  global(name: string): PickleGlobal | undefined
  /** Returns the object for a persistent id, torch's reference to a storage. */
  persistent(id: PickleValue): PickleValue
}

/** Bytes. */
const LONGEST_INTEGER = 255

/** Characters of `module.name`. */
const LONGEST_GLOBAL = 512

/** Number of skipped names that are remembered, so that a file of names does not fill the heap. */
const MOST_SKIPPED = 100

export interface Unpickled {
  readonly value: PickleValue
  /** Offset of the first byte after the pickle. */
  readonly end: number
  /** Names outside the whitelist, at most 100. */
  readonly skipped: ReadonlySet<string>
}

/** A host that allows plain data only. */
export const plainData: PickleHost = {
  global: () => undefined,
  persistent: () => {
    throw new Malformed('its pickle refers to a storage where plain data belongs')
  },
}

/**
 * Reads one pickle of protocol 1 to 5 without running any of it. A name outside the host's whitelist becomes a `PickleOpaque`,
 * and so does everything that it would make. Values are built without recursion, and the work is bounded.
 *
 * @param start - offset of the pickle in `bytes`
 * @throws {Malformed} if it is damaged or too large
 */
export function unpickle(bytes: Buffer, start: number, host: PickleHost): Unpickled {
  return new Unpickler(new ByteCursor(bytes, start), host).run()
}

class Unpickler {
  private readonly stack: PickleValue[] = []
  /** Sizes of the stack at the open marks. */
  private readonly marks: number[] = []
  private readonly memo = new Map<number, PickleValue>()
  private readonly skipped = new Set<string>()
  private budget = BUDGET

  constructor(
    private readonly input: ByteCursor,
    private readonly host: PickleHost,
  ) {}

  run(): Unpickled {
    for (;;) {
      const opcode = this.input.uint8()
      if (opcode === 0x2e /* STOP */) return { value: this.pop(), end: this.input.at, skipped: this.skipped }
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
        return this.longInteger(input.uint32())
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
      case 0x8f: // EMPTY_SET
        return this.push(new PickleOpaque('builtins.set'))
      case 0x90: // ADDITEMS
        return this.addItems(this.popMark())
      case 0x91: // FROZENSET
        this.popMark()
        return this.push(new PickleOpaque('builtins.frozenset'))
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
        return this.push(this.find(input.line(), input.line()))
      case 0x93: // STACK_GLOBAL
        return this.stackGlobal()
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        return this.call(...this.popPair())
      case 0x92: // NEWOBJ_EX: the keywords are on top
        this.pop()
        return this.call(...this.popPair())
      case 0x69: // INST
        return this.instance(this.find(input.line(), input.line()), this.popMark())
      case 0x6f: // OBJ
        return this.object(this.popMark())
      case 0x82: // EXT1: a number in a registry of the process that wrote the file
        return this.extension(input.uint8())
      case 0x83: // EXT2
        return this.extension(input.uint16())
      case 0x84: // EXT4
        return this.extension(input.uint32())
      case 0x62: // BUILD
        return this.build()
      case 0x51: // BINPERSID
        return this.push(this.host.persistent(this.pop()))
      default:
        throw new Malformed(`its pickle is damaged (opcode 0x${opcode.toString(16)})`)
    }
  }

  private protocol(version: number): void {
    if (version > 5)
      throw new Malformed(`its pickle is of protocol ${version}; 5 is the newest that is known`, HOW_TO_SAVE)
  }

  /** No number of a tensor is this long, and to convert it takes time with the square of its length. */
  private longInteger(length: number): void {
    if (length <= LONGEST_INTEGER) return this.push(this.input.signed(length))
    this.input.view(length)
    this.push(new PickleOpaque('builtins.int'))
  }

  private spend(cost: number): void {
    this.budget -= cost
    if (this.budget < 0)
      throw new Malformed('its pickle builds far more than a checkpoint needs', HOW_TO_SAVE)
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
    if (list instanceof PickleOpaque) return
    if (!(list instanceof PickleList)) throw new Malformed('its pickle appends to something that is no list')
    extended(list, items)
  }

  private assign(items: readonly PickleValue[]): void {
    const dict = this.top()
    if (dict instanceof PickleOpaque) return
    if (!(dict instanceof PickleDict))
      throw new Malformed('its pickle sets an item of something that is no dict')
    assigned(dict, items)
  }

  /** Drops the items of a set: no weight is in one. */
  private addItems(_items: readonly PickleValue[]): void {
    if (!(this.top() instanceof PickleOpaque))
      throw new Malformed('its pickle adds to something that is no set')
  }

  private stackGlobal(): void {
    const [module, name] = this.popPair()
    if (typeof module !== 'string' || typeof name !== 'string') throw new Malformed('its pickle is damaged')
    this.push(this.find(module, name))
  }

  private find(module: string, name: string): PickleGlobal | PickleOpaque {
    if (module.length + name.length > LONGEST_GLOBAL)
      throw new Malformed(`its pickle refers to a name of more than ${LONGEST_GLOBAL} characters`)
    const full = `${module}.${name}`
    const found = this.host.global(full)
    if (found !== undefined) return found
    this.spend(full.length >> 3)
    if (this.skipped.size < MOST_SKIPPED) this.skipped.add(full)
    return new PickleOpaque(full)
  }

  private extension(code: number): void {
    this.push(this.find('copyreg', `extension(${code})`))
  }

  private popPair(): [PickleValue, PickleValue] {
    const [first = null, second = null] = this.popMany(2)
    return [first, second]
  }

  /** Pushes the result of a call, which only whitelisted names have. */
  private call(callable: PickleValue, args: PickleValue): void {
    if (!(args instanceof PickleTuple || args instanceof PickleOpaque))
      throw new Malformed('its pickle calls something that cannot be called')
    this.instance(callable, args instanceof PickleTuple ? args.items : undefined)
  }

  /** @param args - undefined if they are not known */
  private instance(callable: PickleValue, args: readonly PickleValue[] | undefined): void {
    if (callable instanceof PickleOpaque) return this.push(new PickleOpaque(callable.name))
    if (!(callable instanceof PickleGlobal))
      throw new Malformed('its pickle calls something that cannot be called')
    if (callable.construct === undefined || args === undefined)
      return this.push(new PickleOpaque(callable.name))
    // What is made of a list may be as long as the list.
    for (const arg of args)
      if (arg instanceof PickleList || arg instanceof PickleTuple) this.spend(arg.items.length)
    this.push(callable.construct(args))
  }

  private object([callable = null, ...args]: readonly PickleValue[]): void {
    this.instance(callable, args)
  }

  /**
   * Drops an object's attributes. A state dict has `_metadata`, the versions of its modules, which change no weight. Those of a
   * tensor could: torch.save keeps them elsewhere.
   */
  private build(): void {
    this.pop()
    const object = this.top()
    if (!(object instanceof PickleDict || object instanceof PickleOpaque))
      throw new Malformed(
        `its pickle sets attributes of ${object instanceof PickleObject ? 'a tensor' : 'plain data'}`,
        HOW_TO_SAVE,
      )
  }
}

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
