import { readFileSync, readSync, writeFileSync } from 'node:fs'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { writeZip } from '../checkpoint/helpers.js'
import { dict, pickle, tensor } from '../checkpoint/pickle-writer.js'
import { fixture } from './fixtures.js'

// Checkpoints as people have them, made from one small model: test/fixtures/wild holds it and the flow that an independent
// implementation in PyTorch computes with it, and Python objects as CPython 3.11 pickles them.

export const WILD = {
  backbone: fixture('wild/backbone.safetensors'),
  head: fixture('wild/head.safetensors'),
} as const

/** Pickled Python objects by name, without the opcodes of begin and end; of protocols 4 and 5 all of them in one dict. */
export const PYTHON_OBJECTS = JSON.parse(readFileSync(fixture('wild/python-objects.json'), 'utf8')) as {
  protocol2: Record<string, string>
  protocol4: string
  protocol5: string
}

export interface PlainTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}
export type PlainTensors = ReadonlyMap<string, PlainTensor>

/** The tensors of a safetensors file of float32. */
export function plainTensors(path: string): PlainTensors {
  const file = openCheckpoint(path)
  try {
    return new Map(
      [...file.tensors].map(
        ([
          name,
          {
            shape,
            file: { fd },
            offset,
          },
        ]) => {
          const data = new Float32Array(shape.reduce((product, n) => product * n, 1))
          readSync(fd, new Uint8Array(data.buffer), 0, data.byteLength, offset)
          return [name, { shape, data }]
        },
      ),
    )
  } finally {
    file.close()
  }
}

/** The same tensors under other names; those without a name are left out. */
export function renamed(tensors: PlainTensors, rename: (name: string) => string | undefined): PlainTensors {
  const entries = [...tensors].map(([name, tensor]) => [rename(name), tensor] as const)
  return new Map(entries.filter((entry): entry is [string, PlainTensor] => entry[0] !== undefined))
}

/** Other values under the same names: a model that must not be taken. */
export function spoiled(tensors: PlainTensors): PlainTensors {
  return new Map(
    [...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.map((x) => x / 2 + 0.1) }]),
  )
}

export function joined(...all: readonly PlainTensors[]): PlainTensors {
  return new Map(all.flatMap((tensors) => [...tensors]))
}

export function writeSafetensors(path: string, tensors: PlainTensors): string {
  const header: Record<string, unknown> = {}
  let at = 0
  for (const [name, { shape, data }] of tensors)
    header[name] = { dtype: 'F32', shape, data_offsets: [at, (at += data.byteLength)] }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(
    path,
    Buffer.concat([length, text, ...[...tensors.values()].map(({ data }) => bytesOf(data))]),
  )
  return path
}

/** The storages of a file of torch.save: give state dicts to the pickle by `add`, then write it. */
export class TorchFile {
  private readonly storages: Record<string, Buffer> = {}

  /** The pickle of one tensor whose storage holds `bytes`. */
  storage(bytes: Buffer): string {
    const key = String(Object.keys(this.storages).length)
    this.storages[`m/data/${key}`] = bytes
    return key
  }

  /** The pickle of a state dict. */
  add(tensors: PlainTensors): Buffer {
    return dict(
      Object.fromEntries([...tensors].map(([name, { shape, data }]) => [name, this.tensor(shape, data)])),
    )
  }

  tensor(shape: readonly number[], data: Float32Array): Buffer {
    const key = this.storage(bytesOf(data))
    return tensor({ key, count: data.length, shape, strides: rowMajor(shape) })
  }

  write(path: string, root: Buffer): string {
    return writeZip(path, { 'm/data.pkl': pickle(root), ...this.storages })
  }
}

export function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1))
}

function bytesOf(data: Float32Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
