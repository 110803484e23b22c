// A pickler of the few things that the tests need, opcode by opcode (protocol 2, as torch.save writes).

export const op = {
  proto: Buffer.from([0x80, 2]),
  stop: Buffer.from('.'),
  mark: Buffer.from('('),
  none: Buffer.from('N'),
  emptyDict: Buffer.from('}'),
  emptyList: Buffer.from(']'),
  emptyTuple: Buffer.from(')'),
  tuple: Buffer.from('t'),
  setItem: Buffer.from('s'),
  setItems: Buffer.from('u'),
  append: Buffer.from('a'),
  reduce: Buffer.from('R'),
  build: Buffer.from('b'),
  persistentId: Buffer.from('Q'),
  true: Buffer.from([0x88]),
  false: Buffer.from([0x89]),
  get: (i: number) => Buffer.from([0x68, i]),
  put: (i: number) => Buffer.from([0x71, i]),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
}

export function pickle(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([op.proto, ...parts, op.stop])
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const head = Buffer.alloc(5)
  head.write('X')
  head.writeUInt32LE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** LONG1 of eight bytes. */
export function int(value: number): Buffer {
  const bytes = Buffer.alloc(10)
  bytes.set([0x8a, 8])
  bytes.writeBigInt64LE(BigInt(value), 2)
  return bytes
}

export function tuple(...items: readonly Buffer[]): Buffer {
  return Buffer.concat([op.mark, ...items, op.tuple])
}

export function dict(items: Readonly<Record<string, Buffer>>): Buffer {
  const pairs = Object.entries(items).flatMap(([key, value]) => [text(key), value])
  return Buffer.concat([op.emptyDict, op.mark, ...pairs, op.setItems])
}

export interface TensorSpec {
  readonly key: string
  readonly count: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset?: number
  readonly type?: string
  /** PyTorch's metadata of a view: `{ neg: true }`. */
  readonly metadata?: Buffer
}

export function tensor({
  key,
  count,
  shape,
  strides,
  offset = 0,
  type = 'FloatStorage',
  metadata,
}: TensorSpec): Buffer {
  const storage = tuple(text('storage'), op.global('torch', type), text(key), text('cpu'), int(count))
  return Buffer.concat([
    op.global('torch._utils', '_rebuild_tensor_v2'),
    tuple(
      Buffer.concat([storage, op.persistentId]),
      int(offset),
      tuple(...shape.map(int)),
      tuple(...strides.map(int)),
      op.false,
      Buffer.concat([op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce]),
      ...(metadata === undefined ? [] : [metadata]),
    ),
    op.reduce,
  ])
}

/** A call of a global with these arguments. */
export function call(module: string, name: string, ...args: readonly Buffer[]): Buffer {
  return Buffer.concat([op.global(module, name), tuple(...args), op.reduce])
}
