import type { NamedValues } from '../checkpoint/weights.js'
import { FlowError } from '../errors.js'
import { toHalf } from '../support/half.js'
import { quoted } from '../support/quote.js'
import {
  type Attribute,
  DATA_TYPES,
  type DataType,
  type Dimension,
  type Node,
  type Tensor,
  type Value,
} from './format.js'

/** Number type of products and convolutions. Norms, softmax, residuals, inputs and outputs are float32 in any case. */
export type ExportPrecision = 'float32' | 'float16'

/** End of a slice that goes to the end of its axis: the largest that a runtime with 32-bit shapes takes as it is. */
export const TO_END = 2 ** 31 - 1

/** A graph in the making. A tensor in it is known by its name. */
export class Graph {
  readonly nodes: Node[] = []
  readonly inputs: Value[] = []
  readonly outputs: Value[] = []
  readonly #tensors = new Map<string, Tensor>()
  readonly #names = new Map<string, number>()
  #scope = ''

  constructor(readonly precision: ExportPrecision) {}

  get tensors(): readonly Tensor[] {
    return [...this.#tensors.values()]
  }

  input(name: string, shape: readonly Dimension[], doc: string, type: DataType = 'float32'): string {
    this.inputs.push({ name, type, shape, doc })
    return name
  }

  output(name: string, from: string, shape: readonly Dimension[], doc: string): void {
    this.nodes.push({
      op: 'Identity',
      name: `${name}/Identity`,
      inputs: [from],
      outputs: [name],
      attributes: {},
    })
    this.outputs.push({ name, type: 'float32', shape, doc })
  }

  /** Builds a part of the network: its nodes and parameters have names that begin with the part's. */
  within<T>(part: string, build: () => T): T {
    const outer = this.#scope
    this.#scope = outer === '' ? part : `${outer}.${part}`
    try {
      return build()
    } finally {
      this.#scope = outer
    }
  }

  /** One operator with one output. */
  op(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.#node(op, inputs, 1, attributes)[0]!
  }

  /** Equal parts along an axis. */
  split(x: string, axis: number, parts: number): readonly string[] {
    return this.#node('Split', [x], parts, { axis })
  }

  /** A parameter in the precision of products; in float32 if `type` says so. */
  parameter({ name, shape, read }: NamedValues, type: 'float32' | 'float16' = this.precision): string {
    const width = type === 'float16' ? 2 : 4
    const byteLength = width * shape.reduce((product, n) => product * n, 1)
    const whole = this.#scoped(name)
    const bytes = () => bytesOf(type === 'float16' ? halves(whole, read()) : read())
    return this.#add({ name: whole, type, shape, data: { byteLength, read: bytes } })
  }

  /** A constant in the precision of products; in float32 if `type` says so. It is written once, whoever asks for it. */
  constant(
    name: string,
    values: readonly number[] | Float32Array,
    shape: readonly number[] = [],
    type: 'float32' | 'float16' = this.precision,
  ): string {
    const floats = Float32Array.from(values)
    const data = bytesOf(type === 'float16' ? halves(name, floats) : floats)
    return this.#add({ name: type === this.precision ? name : `${name}.${type}`, type, shape, data })
  }

  /** Whole numbers, such as a shape: a list, or a scalar. */
  integers(values: readonly number[] | number): string {
    const list = typeof values === 'number' ? [values] : values
    const data = bytesOf(BigInt64Array.from(list, BigInt))
    const name = `${typeof values === 'number' ? 'scalar' : 'list'}:${list.map(String).join(',')}`
    return this.#add({ name, type: 'int64', shape: typeof values === 'number' ? [] : [list.length], data })
  }

  /** To the precision of products. */
  half(x: string): string {
    return this.precision === 'float16' ? this.cast(x, 'float16') : x
  }

  /** To float32. */
  full(x: string): string {
    return this.precision === 'float16' ? this.cast(x, 'float32') : x
  }

  cast(x: string, to: DataType): string {
    return this.op('Cast', [x], { to: DATA_TYPES[to] })
  }

  reshape(x: string, shape: readonly number[] | string): string {
    return this.op('Reshape', [x, typeof shape === 'string' ? shape : this.integers(shape)])
  }

  transpose(x: string, perm: readonly number[]): string {
    return this.op('Transpose', [x], { perm })
  }

  concat(parts: readonly string[], axis: number): string {
    return parts.length === 1 ? parts[0]! : this.op('Concat', parts, { axis })
  }

  /** x[begin:end] along an axis. A negative end counts from the end. */
  slice(x: string, axis: number, begin: number, end: number): string {
    return this.op('Slice', [x, ...[begin, end, axis].map((n) => this.integers([n]))])
  }

  /** x * sigmoid(x). */
  silu(x: string): string {
    return this.op('Mul', [x, this.op('Sigmoid', [x])])
  }

  #node(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, Attribute>>,
  ): readonly string[] {
    const base = this.#scoped(op)
    const number = this.#names.get(base) ?? 0
    this.#names.set(base, number + 1)
    const name = number === 0 ? base : `${base}_${number}`
    const outputs = Array.from({ length: count }, (_, i) => `${name}:${i}`)
    this.nodes.push({ op, name, inputs, outputs, attributes })
    return outputs
  }

  #scoped(name: string): string {
    return this.#scope === '' ? name : `${this.#scope}.${name}`
  }

  #add(tensor: Tensor): string {
    if (!this.#tensors.has(tensor.name)) this.#tensors.set(tensor.name, tensor)
    return tensor.name
  }
}

function bytesOf(values: Float32Array | Uint16Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function halves(name: string, values: Float32Array): Uint16Array {
  const half = toHalf(values)
  const at = half.findIndex((bits) => (bits & 0x7c00) === 0x7c00)
  if (at < 0) return half
  throw new FlowError(
    'ERR_CHECKPOINT_TENSOR',
    `weight ${quoted(name)} has the value ${values[at]}, which float16 does not hold: export with float32`,
  )
}
