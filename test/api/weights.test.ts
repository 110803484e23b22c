import { closeSync, openSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { readHead } from '../../lib/checkpoint/head.js'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import type { Source } from '../../lib/checkpoint/source.js'
import type { DType, StoredTensor, Weight } from '../../lib/checkpoint/tensor.js'
import { loadAddon } from '../../lib/native/addon.js'
import type { NativeModel, NativeModelOptions, NativeRequest } from '../../lib/native/contract.js'
import { checkFrame } from '../../lib/frame.js'
import { sameBits } from '../support/compare.js'
import { fixture, TINY, tinyFrames, withFolder } from '../support/fixtures.js'

/** How one tensor is stored: its elements, the distance between them, and where the first is. */
interface Stored {
  readonly bytes: Uint8Array
  readonly dtype: DType
  readonly strides: readonly number[]
  readonly negated?: boolean
}
type Store = (values: Float32Array, shape: readonly number[]) => Stored

/** The flow of the tiny model whose head's tensors are read from `headPath` and stored by `store` in a file of its own. */
async function flowWithHead(folder: string, headPath: string, store: Store): Promise<Float32Array> {
  const [backboneFile, headFile] = [openCheckpoint(TINY.backbone), openCheckpoint(headPath)]
  const [backbone, head] = [readBackbone(backboneFile), readHead(headFile)]
  const path = join(folder, 'weights.bin')
  const { weights, bytes } = restore(head.weights, store)
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  const file: Source = { path, fd, size: bytes.length }
  const native = new (loadAddon().NativeModel)({
    backbone: backbone.config,
    head: head.config,
    backboneWeights: backbone.weights,
    headWeights: weights.map((weight) => ({
      ...weight,
      parts: weight.parts.map((tensor) => ({ file, tensor: { ...tensor, file } })),
    })),
    ropePeriods: 'float32',
    device: 'cpu',
    precision: 'auto',
    wait: 'auto',
    threads: 1,
  })
  try {
    await native.load(() => {})
    return await flow(native)
  } finally {
    native.disposeSync()
    for (const open of [backboneFile, headFile]) open.close()
    closeSync(fd)
  }
}

async function flow(native: NativeModel): Promise<Float32Array> {
  const frames = await tinyFrames()
  const [a, b] = frames.map((frame) => checkFrame(frame, 'frame'))
  const out = new Float32Array(2 * 160 * 112)
  native.run({ from: a!, to: b!, gridHeight: 7, gridWidth: 10, height: 112, width: 160, flow: out })
  return out
}

/** Reads weights as numbers and stores them anew, one behind the other with a gap between them. */
function restore(weights: readonly Weight[], store: Store) {
  const chunks: Uint8Array[] = []
  let offset = 0
  const append = (bytes: Uint8Array) => {
    chunks.push(bytes)
    offset += bytes.length
  }
  const restored = weights.map(({ name, shape, parts }) => ({
    name,
    shape,
    parts: parts.map((part): Omit<StoredTensor, 'file'> => {
      if ('zeros' in part) throw new Error('a head has no zeros')
      append(Buffer.alloc(12, 0xff))
      const {
        bytes,
        dtype,
        strides,
        negated = false,
      } = store(readAsFloats(part.file, part.tensor), part.tensor.shape)
      const stored = { name: part.tensor.name, dtype, shape: part.tensor.shape, strides, offset, negated }
      append(bytes)
      return stored
    }),
  }))
  return { weights: restored, bytes: Buffer.concat(chunks) }
}

function readAsFloats(file: Source, { dtype, shape, offset }: StoredTensor): Float32Array {
  const values = new Float32Array(shape.reduce((product, n) => product * n, 1))
  const bytes = Buffer.alloc(values.length * (dtype === 'float32' ? 4 : 2))
  readSync(file.fd, bytes, 0, bytes.length, offset)
  for (let i = 0; i < values.length; i++) {
    if (dtype === 'float32') values[i] = bytes.readFloatLE(4 * i)
    else if (dtype === 'float16') values[i] = fromHalf(bytes.readUInt16LE(2 * i))
    else values[i] = Buffer.from([0, 0, bytes[2 * i]!, bytes[2 * i + 1]!]).readFloatLE(0)
  }
  return values
}

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = (bits & 1023) / 1024
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15))
}

function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1))
}

function toBytes(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer)
}

function doubles(values: Float32Array): Uint8Array {
  return new Uint8Array(Float64Array.from(values).buffer)
}

const contiguous: Store = (values, shape) => ({
  bytes: toBytes(values),
  dtype: 'float32',
  strides: rowMajor(shape),
})

/** Stores the axes in another order, `step` elements apart. */
function permuted(order: (axes: number) => readonly number[], step: number): Store {
  return (values, shape) => {
    const axes = order(shape.length)
    const inOrder = rowMajor(axes.map((axis) => shape[axis]!))
    const strides = shape.map((_, axis) => inOrder[axes.indexOf(axis)]! * step)
    const from = rowMajor(shape)
    const stored = new Float32Array(values.length * step).fill(Number.NaN)
    for (let i = 0; i < values.length; i++) {
      const at = shape.reduce((sum, n, axis) => sum + (Math.floor(i / from[axis]!) % n) * strides[axis]!, 0)
      stored[at] = values[i]!
    }
    return { bytes: toBytes(stored), dtype: 'float32', strides }
  }
}

const channelsLast = (axes: number) => (axes === 4 ? [0, 2, 3, 1] : Array.from({ length: axes }, (_, i) => i))
const reversed = (axes: number) => Array.from({ length: axes }, (_, i) => axes - 1 - i)

describe('weights are read to the bit', () => {
  it.each<[string, Store]>([
    ['channels last', permuted(channelsLast, 1)],
    ['transposed', permuted(reversed, 1)],
    [
      'as doubles',
      (values, shape) => ({ bytes: doubles(values), dtype: 'float64', strides: rowMajor(shape) }),
    ],
    [
      'with the other sign, and the neg bit',
      (values, shape) => ({
        bytes: toBytes(values.map((value) => -value)),
        dtype: 'float32',
        strides: rowMajor(shape),
        negated: true,
      }),
    ],
    ['with gaps between their elements', permuted(reversed, 3)],
  ])('where they are stored %s', async (_, store) => {
    await withFolder(async (folder) => {
      const expected = await flowWithHead(folder, TINY.head, contiguous)
      expect(sameBits(await flowWithHead(folder, TINY.head, store), expected)).toBe(true)
    })
  })

  it.each(['head_fp16.pth', 'head_bf16.pth'])('from the 16 bits of %s', async (name) => {
    await withFolder(async (folder) => {
      const expected = await flowWithHead(folder, fixture(`tiny/${name}`), contiguous)
      const [backboneFile, headFile] = [
        openCheckpoint(TINY.backbone),
        openCheckpoint(fixture(`tiny/${name}`)),
      ]
      const [backbone, head] = [readBackbone(backboneFile), readHead(headFile)]
      const native = new (loadAddon().NativeModel)({
        backbone: backbone.config,
        head: head.config,
        backboneWeights: backbone.weights,
        headWeights: head.weights,
        ropePeriods: 'float32',
        device: 'cpu',
        precision: 'auto',
        wait: 'auto',
        threads: 1,
      })
      await native.load(() => {})
      expect(sameBits(await flow(native), expected)).toBe(true)
      await native.dispose()
      for (const file of [backboneFile, headFile]) file.close()
    })
  })
})

describe('the addon, whatever is passed to it,', () => {
  it('refuses it instead of crashing', async () => {
    const { NativeModel, addressOf } = loadAddon()
    const nonsense: unknown[] = [
      undefined,
      null,
      {},
      [],
      'x',
      -1,
      1e99,
      Number.NaN,
      () => {},
      new Uint8Array(2),
    ]
    const Constructor = NativeModel as unknown as new (options: unknown) => NativeModel
    for (const value of nonsense) expect(() => new Constructor(value)).toThrow()

    const [backboneFile, headFile] = [openCheckpoint(TINY.backbone), openCheckpoint(TINY.head)]
    const [backbone, head] = [readBackbone(backboneFile), readHead(headFile)]
    const options: NativeModelOptions = {
      backbone: backbone.config,
      head: head.config,
      backboneWeights: backbone.weights,
      headWeights: head.weights,
      ropePeriods: 'float32',
      device: 'cpu',
      precision: 'auto',
      wait: 'auto',
      threads: 1,
    }
    for (const value of nonsense) {
      expect(() => new Constructor({ ...options, backbone: value })).toThrow()
      expect(() => new Constructor({ ...options, headWeights: [value] })).toThrow()
      const pixels = (mean: unknown) => ({ mean, std: [1, 1, 1] })
      for (const normalization of [value, pixels(value), pixels([0, 0, value])])
        if (normalization !== undefined)
          expect(() => new Constructor({ ...options, normalization })).toThrow()
    }
    const native = new NativeModel(options)
    const frame = (await tinyFrames())[0]
    const good = checkFrame(frame, 'frame')
    const out = new Float32Array(2 * 16 * 16)
    const request: NativeRequest = {
      from: good,
      to: good,
      gridHeight: 1,
      gridWidth: 1,
      height: 16,
      width: 16,
      flow: out,
    }
    await expect(native.submit(request, 0)).rejects.toThrow('not loaded')
    await native.load(() => {})

    // Every method that takes an argument, so that a new one is tried as well.
    const withoutArguments =
      'constructor load cancelLoad dispose disposeSync describe tensorRT cancelBuild'.split(' ')
    const methods = Object.getOwnPropertyNames(NativeModel.prototype).filter(
      (name) => !withoutArguments.includes(name),
    )
    expect(methods.sort().join(' ')).toBe(
      'adopt allocate allocateDevice borrow buildPlan cancel features openShared release run share submit toDLPack usePlan',
    )
    const anything = native as unknown as Record<string, (...args: unknown[]) => unknown>
    for (const value of nonsense) {
      for (const name of methods.filter((name) => !name.startsWith('allocate')))
        expect(() => anything[name]!(value, value)).toThrow()
      if (value !== 2) expect(anything['allocate']!(value)).toBeUndefined() // ordinary memory serves as well
      if (!(value instanceof Uint8Array)) expect(() => addressOf(value as Uint8Array)).toThrow()
      expect(() => anything['submit']!(request, value)).toThrow()
    }
    // Every field of a request, with every value that it cannot have.
    const maps = {
      backward: new Float32Array(2 * 16 * 16),
      occlusion: new Uint8Array(16 * 16),
      confidence: new Float32Array(16 * 16),
      picture: new Uint8Array(3 * 16 * 16),
      similarity: new Float32Array(1),
    }
    const optional = new Set([...Object.keys(maps), 'to', 'keepFrom', 'keepTo', 'flow', 'features', 'trace'])
    const full = { ...request, ...maps, keepFrom: 1, keepTo: 2, features: out, trace: false }
    for (const field of [...Object.keys(full), 'colors'].filter((name) => name !== 'trace'))
      for (const value of nonsense) {
        if (value === undefined && optional.has(field)) continue
        expect(() => anything['run']!({ ...full, [field]: value }), `${field}: ${String(value)}`).toThrow()
      }
    for (const bad of [
      { ...good, data: frame.data.subarray(1) },
      { ...good, planes: [{ offset: 0, stride: 481 }] },
      { ...good, planes: [{ offset: 1, stride: 480 }] },
      { ...good, planes: [{ offset: -1, stride: 480 }] },
      { ...good, planes: [{ offset: 2 ** 53 - 1, stride: 2 ** 31 - 1 }] },
      { ...good, planes: [{ offset: 0, stride: 479 }] },
      { ...good, planes: [] },
      { ...good, planes: [...good.planes, ...good.planes] },
      { ...good, height: 113 },
      { ...good, channels: good.channels.subarray(1) },
      { ...good, toRgb: good.channels },
      { ...good, toRgb: Int32Array.of(0, 0, 1, 1, 1, 1) },
      { ...good, toRgb: Int32Array.of(0, 2 ** 30, 1, 1, 1, 1) },
    ])
      expect(() => native.run({ ...request, to: bad })).toThrow()
    // The place of a channel is within its plane, whatever the numbers are.
    for (const [at] of good.channels.entries())
      for (const value of [-1, 3, 17, 2 ** 31 - 1, -(2 ** 31)]) {
        if (good.channels[at] === value) continue
        const channels = Int32Array.from(good.channels)
        channels[at] = value
        for (const toRgb of [undefined, Int32Array.of(16, 2 ** 20, 1, 1, 1, 1)])
          expect(
            () => native.run({ ...request, to: { ...good, channels, toRgb } }),
            `${at}: ${value}`,
          ).toThrow()
      }
    // Rows of a copy are within both memories, whatever the numbers are.
    const copy = {
      from: new Uint8Array(8),
      to: new Uint8Array(8),
      rows: 2,
      rowBytes: 4,
      fromStep: 4,
      toStep: 4,
    }
    native.run({ copy })
    for (const field of Object.keys(copy))
      for (const value of [...nonsense, { pointer: 4096n, bytes: 8 }, { pointer: 0n, bytes: 8 }, copy.from]) {
        if (field === 'from' && value === copy.from) continue
        const bad = { copy: { ...copy, [field]: value } }
        // With steps of less than a row, rows overlap.
        if (!['rows', 'rowBytes'].includes(field) || value !== 2)
          expect(() => anything['run']!(bad)).toThrow()
      }
    for (const bad of [
      { rows: 3 },
      { rowBytes: 5 },
      { fromStep: 5 },
      { toStep: 2 ** 53 - 1 },
      { rows: 2 ** 53 - 1 },
    ])
      expect(() => native.run({ copy: { ...copy, ...bad } })).toThrow('rows of a copy')
    for (const range of [{ pointer: 4096n, bytes: 2048 }, { pointer: 4096, bytes: 2048 }, { pointer: 4096n }])
      for (const bad of [{ flow: range }, { to: { ...good, data: range } }])
        expect(() => anything['run']!({ ...request, ...bad })).toThrow()
    expect(() => native.run({ ...request, flow: out.subarray(1) })).toThrow('length')
    expect(() => native.run({ ...request, gridHeight: 0 })).toThrow('grid height')
    expect(() => native.run({ ...request, from: 1, to: 2 })).toThrow('feature map')
    expect(() => native.run({ from: 1, features: out })).toThrow('feature map')
    native.run({ from: good, gridHeight: 1, gridWidth: 1, keepFrom: 7 })
    await expect(native.submit({ from: 7, features: out }, 0)).rejects.toThrow('length')
    expect(() => native.run({ from: 7, features: new Float32Array(0) })).toThrow('memory')
    expect(() => native.run({ from: good, gridHeight: 1, gridWidth: 1, keepFrom: 7 })).toThrow('in use')

    // and is none the worse for it
    native.run(request)
    expect(out.some((value) => value !== 0)).toBe(true)
    native.disposeSync()
    for (const file of [backboneFile, headFile]) file.close()
  })
})
