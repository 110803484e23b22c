// Runs a kernel from its text, PTX (PTX ISA, https://docs.nvidia.com/cuda/parallel-thread-execution). It knows the instructions
// that the kernels of the examples have, and fails at any other. The lanes of a warp run one after the other from shuffle to shuffle.

type Value = bigint | number
type Registers = Map<string, Value>
interface Lane {
  readonly index: number
  readonly registers: Registers
  at: number
}

/** Memory of a GPU, from an address that is not null. */
export class GlobalMemory {
  readonly #bytes: DataView
  readonly #base = 0x7f00_0000_0000n
  #used = 0

  constructor(size: number) {
    this.#bytes = new DataView(new ArrayBuffer(size))
  }

  /** Copies an array to new memory. Returns its address. */
  place(array: Float32Array | Uint8Array): bigint {
    const from = (this.#used + 255) & ~255
    new Uint8Array(this.#bytes.buffer).set(
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      from,
    )
    this.#used = from + array.byteLength
    return this.#base + BigInt(from)
  }

  bytes(address: bigint, length: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, Number(address - this.#base), length)
  }

  load(type: string, address: bigint): Value {
    const at = Number(address - this.#base)
    if (type === 'f32') return this.#bytes.getFloat32(at, true)
    if (type === 'u8') return BigInt(this.#bytes.getUint8(at))
    throw new Error(`ld.global.${type}`)
  }

  store(type: string, address: bigint, value: Value): void {
    if (type !== 'u8') throw new Error(`st.global.${type}`)
    this.#bytes.setUint8(Number(address - this.#base), Number(BigInt.asUintN(8, value as bigint)))
  }
}

const cast = new DataView(new ArrayBuffer(4))
const bitsOf = (value: number) => (cast.setFloat32(0, value), BigInt(cast.getUint32(0)))
const floatOf = (bits: bigint) => (cast.setUint32(0, Number(bits)), cast.getFloat32(0))

const COMPARE: Readonly<Record<string, (a: Value, b: Value) => boolean>> = {
  ge: (a, b) => a >= b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  ne: (a, b) => a !== b,
}
const bigints = (f: (a: bigint, b: bigint) => bigint) => (a: Value, b: Value) => f(a as bigint, b as bigint)
const floats = (f: (a: number, b: number) => number) => (a: Value, b: Value) => f(a as number, b as number)
const BINARY: Readonly<Record<string, (a: Value, b: Value) => Value>> = {
  'add.f32': floats((a, b) => a + b),
  'div.rn.f32': floats((a, b) => a / b),
  'add.s32': bigints((a, b) => a + b),
  'add.s64': bigints((a, b) => a + b),
  'and.b32': bigints((a, b) => a & b),
  'and.b64': bigints((a, b) => a & b),
  'shl.b32': bigints((a, b) => a << b),
  'shl.b64': bigints((a, b) => a << b),
  'shr.u32': bigints((a, b) => a >> b),
  'mul.lo.s64': bigints((a, b) => a * b),
  'mul.wide.s32': bigints((a, b) => a * b),
}

/** A value as an instruction's type sees it. A register holds bits, as an unsigned number, or a float. */
function as(type: string, value: Value): Value {
  const bits = Number(type.slice(1))
  if (type === 'f32') return typeof value === 'number' ? Math.fround(value) : floatOf(value)
  if (type === 'pred') return value
  const integer = typeof value === 'number' ? bitsOf(value) : value
  return type.startsWith('s') ? BigInt.asIntN(bits, integer) : BigInt.asUintN(bits, integer)
}

/** Runs a kernel whose one parameter is a structure. */
export function runPtx(
  text: string,
  parameter: DataView,
  blocks: number,
  threads: number,
  memory: GlobalMemory,
): void {
  const body = /^\{\n([\s\S]*)^\}/m.exec(text)![1]!
  const lines = body
    .split('\n')
    .map((line) => line.trim().replace(/;$/, ''))
    .filter((line) => line !== '' && !line.startsWith('.'))
  const labels = new Map(
    lines.flatMap((line, i) => (line.endsWith(':') ? [[line.slice(0, -1), i] as const] : [])),
  )

  for (let block = 0; block < blocks; block++)
    for (let warp = 0; warp < threads / 32; warp++) {
      const lanes = Array.from({ length: 32 }, (_, index): Lane => {
        const registers: Registers = new Map<string, Value>([
          ['%ctaid.x', BigInt(block)],
          ['%tid.x', BigInt(32 * warp + index)],
        ])
        return { index, registers, at: 0 }
      })
      for (;;) {
        for (const lane of lanes) run(lane)
        const [first] = lanes
        if (lanes.some(({ at }) => at !== first!.at)) throw new Error('lanes are at different shuffles')
        if (first!.at >= lines.length) break
        shuffle(lanes)
      }
    }

  /** Runs a lane to its next shuffle, or to its end. */
  function run(lane: Lane): void {
    const { registers } = lane
    const read = (type: string, operand: string): Value => {
      const value = registers.get(operand)
      if (value !== undefined) return as(type, value)
      if (/^0f[0-9A-F]{8}$/.test(operand)) return floatOf(BigInt(`0x${operand.slice(2)}`))
      if (/^-?\d+$/.test(operand)) return as(type, BigInt(operand))
      if (/^\w+_param_0$/.test(operand)) return 0n // the parameter is at address 0 of its own memory
      throw new Error(`${operand} has no value`)
    }
    const write = (type: string, register: string, value: Value) =>
      registers.set(register, as(unsigned(type), value))
    const addressOf = (operand: string): bigint => {
      const [, base = '', offset = '0'] = /^\[([%\w]+?)(?:\+(-?\d+))?\]$/.exec(operand)!
      return (read('u64', base) as bigint) + BigInt(offset)
    }

    while (lane.at < lines.length && !lines[lane.at]!.includes('shfl.')) {
      const line = lines[lane.at++]!
      if (line.endsWith(':')) continue
      const [, guard, name = '', rest = ''] = /^(?:@(%p\d+)\s+)?(\S+)\s*(.*)$/.exec(line)!
      if (guard !== undefined && registers.get(guard) === 0n) continue
      const operands = (rest.match(/\{[^}]*\}|\[[^\]]*\]|[^,\s]+/g) ?? []) as string[]
      const [to = '', a = '', b = '', c = ''] = operands
      const parts = name.split('.')
      const type = parts.at(-1)!
      const binary = BINARY[name]
      if (name === 'ret') lane.at = lines.length
      else if (name === 'bra') lane.at = labels.get(to)!
      else if (binary !== undefined)
        write(
          name === 'mul.wide.s32' ? 's64' : type,
          to,
          binary(read(type, a), read(type.replace(/^s(?=64)/, 'u'), b)),
        )
      else if (name === 'fma.rn.f32')
        write(type, to, (read(type, a) as number) * (read(type, b) as number) + (read(type, c) as number))
      else if (name === 'sqrt.rn.f32') write(type, to, Math.sqrt(read(type, a) as number))
      else if (parts[0] === 'setp')
        registers.set(to, COMPARE[parts[1]!]!(read(type, a), read(type, b)) ? 1n : 0n)
      else if (parts[0] === 'selp') write(type, to, read(type, registers.get(c) === 1n ? a : b))
      else if (parts[0] === 'mov' || parts[0] === 'cvta') write(type, to, read(type, a))
      else if (parts[0] === 'cvt') write(parts[1]!, to, read(type, a))
      else if (name.startsWith('ld.param'))
        for (const [i, register] of (to.match(/%\w+/g) ?? []).entries())
          write(type, register, parameterAt(type, Number(addressOf(a)), i))
      else if (name.startsWith('ld.global')) write(type, to, memory.load(type, addressOf(a)))
      else if (name.startsWith('st.global')) memory.store(type, addressOf(to), read(type, a))
      else throw new Error(`unknown instruction: ${line}`)
    }
  }

  function parameterAt(type: string, offset: number, index: number): bigint {
    if (type === 'u64') return parameter.getBigUint64(offset + 8 * index, true)
    if (type === 'u32') return BigInt(parameter.getUint32(offset + 4 * index, true))
    throw new Error(`ld.param.${type}`)
  }

  function shuffle(lanes: readonly Lane[]): void {
    const line = lines[lanes[0]!.at]!
    const [, to = '', from = '', distance = '', clamp = '', mask = ''] =
      /^shfl\.sync\.bfly\.b32\s+(%r\d+)\|%p\d+, (%r\d+), (%r\d+), (%r\d+), (%r\d+)$/.exec(line)!
    const values = lanes.map(({ registers }) => registers.get(from)!)
    for (const { index, registers } of lanes) {
      if (registers.get(clamp) !== 31n || registers.get(mask) !== 0xffffffffn)
        throw new Error(`not of a whole warp: ${line}`)
      registers.set(to, values[index ^ Number(registers.get(distance))]!)
    }
    for (const lane of lanes) lane.at++
  }
}

const unsigned = (type: string) => type.replace(/^[sb]/, 'u')
