import fc from 'fast-check'
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DLPackCapsule, TensorDType } from '../../lib/index.js'
import { whileBusy } from '../support/busy.js'
import { codeBlocks, ROOT } from '../docs/pages.js'
import { runScript } from '../support/child.js'
import { flowError, sameBits } from '../support/compare.js'
import { expectNoLeak } from '../support/dlpack-leaks.js'
import { loadTiny, noiseFrame, tinyFrames, withFolder } from '../support/fixtures.js'
import { loadNativeModule, type MadeTensor } from '../support/native-module.js'
import { randomFrom } from '../support/random.mjs'

const native = loadNativeModule()
const [a, b] = await tinyFrames()
const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array | Uint8Array) =>
  new Uint8Array(buffer, byteOffset, byteLength)
const floats = (count: number) => Float32Array.from({ length: count }, (_, i) => i + 1)
const uint8 = { code: 1, bits: 8 } as const

/** The tensors of each test are counted for themselves: the garbage collector may delete those of earlier ones at any time. */
let group = 0
beforeEach(() => group++)
const make = (tensor: MadeTensor) => native.make({ group, ...tensor })
/** Every deleter ran at most once, and on its thread. */
afterEach(() => expect(native.counts(group)).toMatchObject({ elsewhere: 0, twice: 0 }))

/** How many tensors of this test were not deleted yet. */
function outstanding(): number {
  const { made, deleted } = native.counts(group)
  return made - deleted
}

describe('a tensor of the package in another native module', () => {
  it('is a second head on the features of one pass', async () => {
    await using model = await loadTiny()
    using map = await model.features(a)
    const random = randomFrom(7)
    const weights = Float32Array.from({ length: map.dim }, () => random.next() - 0.5)
    const scores = native.probe(map.tensor.toDLPack(), weights)
    const features = await map.read()
    expect(scores).toHaveLength(7 * 10)
    for (const [patch, score] of scores.entries()) {
      const expected = weights.reduce((sum, weight, c) => sum + weight * features[patch * map.dim + c]!, 0)
      expect(score).toBeCloseTo(expected, 4)
    }
  })

  it('is as DLPack says it, over the same memory', async () => {
    await using model = await loadTiny()
    const types = { float32: [2, 32], float16: [2, 16], bfloat16: [4, 16], uint8: [1, 8] } as const
    for (const [dtype, [code, bits]] of Object.entries(types)) {
      using tensor = model.createTensor([4, 2, 3], dtype as TensorDType)
      using slice = tensor.slice(1, 3)
      const { handle, ...taken } = native.take(slice.toDLPack())
      expect(taken).toEqual({
        version: 1,
        flags: 0,
        pointer: slice.pointer,
        deviceType: 1,
        deviceId: 0,
        code,
        bits,
        lanes: 1,
        shape: [2, 2, 3],
        strides: [6, 3, 1],
      })
      bytesOf(slice.data!)[5] = 77
      expect(native.byteAt(handle, 5)).toBe(77)
      native.letGo(handle, 'here')
    }
    using map = await model.features(a)
    const features = native.take(map.tensor.toDLPack())
    expect(features).toMatchObject({ flags: 1, pointer: map.tensor.pointer, strides: [640, 64, 1] })
    native.letGo(features.handle, 'here')
  })

  it.each(['here', 'elsewhere'] as const)(
    'keeps its memory until its deleter is called %s, whatever comes before',
    async (thread) => {
      const model = await loadTiny()
      const map = await model.features(a)
      const values = bytesOf(map.readSync())
      const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(7)
      const own = model.createTensor([5], 'uint8')
      own.data!.fill(9)
      const taken = [
        native.take(map.tensor.toDLPack()),
        native.take(own.toDLPack()),
        native.take(model.createTensor([3], 'uint8', { data: shared }).toDLPack()),
      ] as const
      map.tensor.dispose()
      map.dispose()
      structuredClone(own.data!.buffer, { transfer: [own.data!.buffer as ArrayBuffer] })
      own.dispose()
      for (let seed = 0; seed < 10; seed++) (await model.features(noiseFrame(160, 112, seed))).dispose()
      await model.dispose()
      for (let i = 0; i < values.length; i += 97) expect(native.byteAt(taken[0].handle, i)).toBe(values[i])
      expect(native.byteAt(taken[1].handle, 4)).toBe(9)
      expect(native.byteAt(taken[2].handle, 2)).toBe(7)
      for (const { handle } of taken) native.letGo(handle, thread)
    },
  )

  it('is taken once', async () => {
    await using model = await loadTiny()
    using tensor = model.createTensor([2])
    const capsule = tensor.toDLPack()
    const { handle } = native.take(capsule)
    expect(() => native.take(capsule)).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining('taken before') }),
    )
    expect(() => model.fromDLPack(capsule)).toThrow(flowError('ERR_ARGUMENT', 'taken before'))
    native.letGo(handle, 'here')
    for (const other of [native.otherExternal(), {}, 5, undefined, null])
      expect(() => native.take(other as DLPackCapsule)).toThrow(
        expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining('is none') }),
      )
  })

  it('is not made of a disposed one, or of memory that is gone', async () => {
    const model = await loadTiny()
    const [disposed, gone, kept] = [model.createTensor([2]), model.createTensor([2]), model.createTensor([2])]
    disposed.dispose()
    structuredClone(gone.data!.buffer, { transfer: [gone.data!.buffer as ArrayBuffer] })
    expect(() => disposed.toDLPack()).toThrow(flowError('ERR_DISPOSED', 'tensor'))
    expect(() => gone.toDLPack()).toThrow(flowError('ERR_ARGUMENT', 'transferred'))
    await model.dispose()
    native.letGo(native.take(kept.toDLPack()).handle, 'here')
  })
})

describe('a tensor of another native module', () => {
  it('is a frame, where it lies', async () => {
    await using model = await loadTiny()
    const expected = await model.flow(a, b)
    const frame = (bytes: Uint8Array, rest: Partial<MadeTensor> = {}) =>
      model.fromDLPack(make({ bytes, shape: [a.height, a.width, 3], ...uint8, ...rest }), 'uint8')
    const shape = { width: a.width, height: a.height }
    using first = frame(a.data)
    using second = frame(b.data, { byteOffset: 5 })
    expect(first).toMatchObject({
      shape: [a.height, a.width, 3],
      dtype: 'uint8',
      device: 'cpu',
      readOnly: false,
    })
    const [from, to] = [
      { ...shape, data: first },
      { ...shape, data: second },
    ]
    expect(sameBits((await model.flow(from, to)).data, expected.data)).toBe(true)
    expect(sameBits(model.flowSync(from, to).data, expected.data)).toBe(true)
    using stream = model.stream()
    await stream.push(from)
    expect(sameBits((await stream.push(to))!.flow!.data, expected.data)).toBe(true)
    first.dispose()
    second.dispose()
    expect(outstanding()).toBe(0)
  })

  it('is a frame of padded rows, by its stride', async () => {
    await using model = await loadTiny()
    const stride = 3 * a.width + 20
    const bytes = new Uint8Array(stride * a.height)
    for (let y = 0; y < a.height; y++)
      bytes.set(a.data.subarray(3 * a.width * y, 3 * a.width * (y + 1)), stride * y)
    const made = { bytes, shape: [a.height, a.width, 3], strides: [stride, 3, 1], ...uint8 }
    using data = model.fromDLPack(make(made), 'uint8')
    const frame = { data, width: a.width, height: a.height, format: 'rgb', stride } as const
    const expected = model.featuresSync(a).readSync()
    expect(sameBits(model.featuresSync(frame).readSync(), expected)).toBe(true)
    expect(() => model.featuresSync({ ...frame, stride: undefined })).toThrow(
      flowError('ERR_FRAME', 'stride'),
    )
    expect(data.toHostSync()).toEqual(new Uint8Array(a.data))
  })

  it('takes results and copies', async () => {
    await using model = await loadTiny()
    const expected = await model.flow(a, b)
    const bytes = new Uint8Array(8 * a.width * a.height)
    // An address that is a multiple of 4, and of no more.
    const into = model.fromDLPack(make({ bytes, shape: [2, a.height, a.width], byteOffset: 4 }), 'float32')
    expect(await model.flow(a, b, { into })).toBe(into)
    expect(sameBits(into.toHostSync(), expected.data)).toBe(true)
    expect(sameBits(into.data!, expected.data)).toBe(true)
    using half = model.fromDLPack(
      make({ bytes: bytesOf(Uint16Array.of(1, 2, 3, 4)), shape: [2, 2], code: 4, bits: 16 }),
      'bfloat16',
    )
    expect(half.slice(1).copyFromSync(Uint16Array.of(8, 9)).data).toEqual(Uint16Array.of(8, 9))
    expect(half.toHostSync()).toEqual(Uint16Array.of(1, 2, 8, 9))
  })

  it('with gaps takes no results', async () => {
    await using model = await loadTiny()
    const pixels = a.width * a.height
    const shape = [2, a.height, a.width]
    const strides = [pixels + 8, a.width, 1]
    using into = model.fromDLPack(make({ bytes: new Uint8Array(8 * pixels + 32), shape, strides }), 'float32')
    expect(() => model.flowSync(a, b, { into })).toThrow(flowError('ERR_ARGUMENT', 'into', 'side by side'))
    expect(into.toHostSync()).toEqual(new Float32Array(2 * pixels))
  })

  it('is read only, if its flags say so; a copy is one as any other', async () => {
    await using model = await loadTiny()
    const bytes = bytesOf(floats(4))
    for (const [flags, readOnly] of [
      [0, false],
      [1, true],
      [2, false],
      [3, true],
    ] as const) {
      using tensor = model.fromDLPack(make({ bytes, shape: [4], flags }), 'float32')
      expect(tensor.readOnly).toBe(readOnly)
      expect(tensor.toHostSync()).toEqual(floats(4))
      const write = () => tensor.copyFromSync(floats(4))
      if (readOnly) expect(write).toThrow(flowError('ERR_ARGUMENT', 'read only'))
      else write()
    }
    const picture = { bytes: new Uint8Array(8 * 160 * 112), shape: [2, 112, 160], flags: 1 }
    using into = model.fromDLPack(make(picture), 'float32')
    expect(() => model.flowSync(a, b, { into })).toThrow(flowError('ERR_ARGUMENT', 'read only'))
  })

  it('is deleted once it, its slices and its calls are done, at once and on this thread', async () => {
    await using model = await loadTiny()
    const bytes = bytesOf(floats(6))
    const tensor = model.fromDLPack(make({ bytes, shape: [3, 2] }), 'float32')
    const slice = tensor.slice(1)
    tensor.dispose()
    tensor.dispose()
    expect(outstanding()).toBe(1)
    expect(slice.toHostSync()).toEqual(Float32Array.of(3, 4, 5, 6))
    slice.dispose()
    expect(outstanding()).toBe(0)
    expect(() => tensor.toHostSync()).toThrow(flowError('ERR_DISPOSED'))

    const { made } = await whileBusy(model, () => {
      const used = model.fromDLPack(make({ bytes, shape: [6] }), 'float32')
      const read = used.toHost() as Promise<Float32Array>
      used.dispose()
      expect(outstanding()).toBe(1)
      return [read]
    })
    expect(await made[0]).toEqual(floats(6))
    await model.features(a)
    expect(outstanding()).toBe(0)
  })

  it('that is kept by an array or another capsule is deleted after these', async () => {
    await using model = await loadTiny()
    const bytes = bytesOf(floats(6))
    const tensor = model.fromDLPack(make({ bytes, shape: [6], flags: 1 }), 'float32')
    const again = native.take(tensor.toDLPack())
    expect(again).toMatchObject({ pointer: tensor.pointer, flags: 1 })
    tensor.dispose()
    expect(outstanding()).toBe(1)
    native.letGo(again.handle, 'elsewhere') // the deleter comes back to this thread
    while (outstanding() > 0) await new Promise(setImmediate)
  })

  it('outlives its model, and another one copies it', async () => {
    const model = await loadTiny()
    const tensor = model.fromDLPack(make({ bytes: bytesOf(floats(4)), shape: [4] }), 'float32')
    const unused = make({ bytes: bytesOf(floats(4)), shape: [4] })
    await model.dispose()
    expect(() => model.fromDLPack(unused)).toThrow(flowError('ERR_DISPOSED', 'model'))
    await using other = await loadTiny()
    expect(other.createTensor([4]).copyFromSync(tensor).toHostSync()).toEqual(floats(4))
    tensor.dispose()
    other.fromDLPack(unused).dispose()
    expect(outstanding()).toBe(0)
  })

  it('may be one of the package itself', async () => {
    await using model = await loadTiny()
    using map = await model.features(a)
    using tensor = model.fromDLPack(map.tensor.toDLPack(), 'float32')
    expect(tensor).toMatchObject({ pointer: map.tensor.pointer, readOnly: true, shape: [7, 10, 64] })
    expect(sameBits(tensor.toHostSync(), map.readSync())).toBe(true)
  })

  it.each<[string, Partial<MadeTensor>, string]>([
    ['of a newer major version', { major: 2 }, 'DLPack 2.0'],
    ['of an older major version', { major: 0 }, 'DLPack 0.0'],
    ['of float64', { bits: 64 }, 'float64'],
    ['of int8', { code: 0, bits: 8 }, 'int8'],
    ['of an unknown type', { code: 99 }, 'type 99'],
    ['of vectors', { lanes: 4 }, 'vectors of 4'],
    ['of another type than is asked for', { code: 4, bits: 16 }, 'bfloat16, not of float32'],
    ['on a device of another kind', { deviceType: 10 }, 'type 10'],
    ['on a GPU', { deviceType: 2 }, 'CPU'],
    ['in managed memory', { deviceType: 13 }, 'CPU'],
    ['without data', { noData: true }, 'no address'],
    ['that is empty', { shape: [0, 3] }, 'shape'],
    ['of a negative side', { shape: [2, -3] }, 'shape'],
    ['of no axes', { shape: [] }, '0 axes'],
    ['of too many axes', { shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] }, '9 axes'],
    ['larger than memory', { shape: [2 ** 50, 2 ** 50] }, 'no memory has'],
    ['at an odd address', { byteOffset: 1 }, 'multiple of 4'],
    ['of overlapping rows', { strides: [2, 1] }, 'overlap'],
    ['that is broadcast', { strides: [0, 1] }, 'overlap'],
    ['that goes backwards', { strides: [-3, 1] }, 'positive'],
    ['that is transposed', { strides: [1, 2] }, 'transposed'],
    ['with two gaps', { strides: [10, 3] }, 'gaps'],
  ])('%s is refused, keeps its capsule, and the model works on', async (_name, rest, said) => {
    await using model = await loadTiny()
    const capsule = make({ bytes: bytesOf(floats(6)), shape: [2, 3], ...rest })
    for (let round = 0; round < 2; round++)
      expect(() => model.fromDLPack(capsule, 'float32')).toThrow(flowError('ERR_ARGUMENT', said))
    expect(outstanding()).toBe(1) // it is deleted with its capsule
    expect(capsule).toBeDefined() // which is not collected before
    expect(model.flowSync(a, b).width).toBe(160)
  })

  it.each([[undefined], [null], [5], ['capsule'], [{}], [Symbol()], [new Float32Array(2)]])(
    '%o is no capsule',
    async (value) => {
      await using model = await loadTiny()
      expect(() => model.fromDLPack(value as unknown as DLPackCapsule)).toThrow(
        flowError('ERR_ARGUMENT', 'capsule'),
      )
    },
  )

  it('is no capsule if it is an external of something else', async () => {
    await using model = await loadTiny()
    expect(() => model.fromDLPack(native.otherExternal())).toThrow(flowError('ERR_ARGUMENT', 'is none'))
  })

  it('has the values that its strides say, or is refused', async () => {
    await using model = await loadTiny()
    const axes = fc.array(fc.record({ side: fc.integer({ min: 1, max: 4 }), gap: fc.nat(3) }), {
      minLength: 1,
      maxLength: 5,
    })
    const seen = { read: 0, refused: 0 }
    fc.assert(
      fc.property(axes, fc.nat(9), fc.boolean(), (sides, byteOffset, sideways) => {
        const shape = sides.map(({ side }) => side)
        const strides = shape.map(() => 0)
        let next = 1
        for (const [i, { side, gap }] of [...sides.entries()].reverse()) {
          strides[i] = next + (gap === 0 ? 1 : 0)
          next = side * strides[i]!
        }
        if (sideways) for (const list of [shape, strides]) list.reverse()
        const extent = shape.reduce((last, side, i) => last + (side - 1) * strides[i]!, 1)
        const values = Uint8Array.from({ length: extent }, (_, i) => i)
        const capsule = make({ bytes: values, shape, strides, ...uint8, byteOffset })
        const offsets = offsetsOf(shape, strides)
        if (!areRows(offsets)) {
          expect(() => model.fromDLPack(capsule)).toThrow(flowError('ERR_ARGUMENT', 'strides: '))
          seen.refused++
          return
        }
        const tensor = model.fromDLPack(capsule, 'uint8')
        const expected = Uint8Array.from(offsets, (offset) => values[offset]!)
        expect(tensor.toHostSync()).toEqual(expected)
        const [side] = shape as [number]
        using last = tensor.slice(side - 1)
        expect(last.toHostSync()).toEqual(expected.slice(-expected.length / side))
        tensor.dispose()
        seen.read++
      }),
      { seed: 22, numRuns: 500 },
    )
    expect(seen.read).toBeGreaterThan(100)
    expect(seen.refused).toBeGreaterThan(50)
  })
})

it("the guide's addon gives a frame, and computes with its features", async () => {
  const [block] = codeBlocks('docs/guide/tensors.md').filter(({ language }) => language === 'c')
  const require = createRequire(import.meta.url)
  const { include_dir } = require('node-api-headers') as { readonly include_dir: string }
  await withFolder(async (folder) => {
    const file = join(folder, 'guide.node')
    const args = ['-std=c99', '-shared', '-fPIC', '-I', join(ROOT, 'include'), '-isystem', include_dir]
    const compiled = spawnSync(process.env['CC'] ?? 'cc', [...args, '-x', 'c', '-o', file, '-'], {
      input: block!.code,
      encoding: 'utf8',
    })
    expect(compiled.stderr).toBe('')
    const addon = require(file) as {
      meanOfPatches(features: DLPackCapsule): Float32Array
      nextFrame(): DLPackCapsule
    }
    await using model = await loadTiny()
    using data = model.fromDLPack(addon.nextFrame(), 'uint8')
    expect(data.shape).toEqual([480, 640, 3])
    data.data!.set(noiseFrame(640, 480, 3).data)
    using map = await model.features({ data, width: 640, height: 480 })
    const means = addon.meanOfPatches(map.tensor.toDLPack())
    const values = await map.read()
    expect(means).toHaveLength(30 * 40)
    for (const [patch, mean] of means.entries()) {
      const features = values.subarray(patch * map.dim, (patch + 1) * map.dim)
      expect(mean).toBeCloseTo(features.reduce((sum, value) => sum + value) / map.dim, 5)
    }
  })
})

it('10,200 tensors in each state, both ways, leave no memory behind', () => expectNoLeak('cpu', 10_200))

it('every tensor is deleted once, on its thread, when its environment ends', async () => {
  const { code, signal, stdout, stderr } = await runScript('dlpack-environments.mjs')
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  const counts = JSON.parse(stdout) as Record<string, { made: number; deleted: number }>
  for (const end of ['terminate', 'exit', 'return']) {
    expect(counts[end]!.made).toBeGreaterThan(5 * 20)
    expect(counts[end]).toMatchObject({ deleted: counts[end]!.made, elsewhere: 0, twice: 0 })
  }
})

/** Where the values of a strided tensor are, in their order. */
function offsetsOf(shape: readonly number[], strides: readonly number[]): number[] {
  let offsets = [0]
  for (const [axis, side] of shape.entries())
    offsets = offsets.flatMap((offset) => Array.from({ length: side }, (_, i) => offset + i * strides[axis]!))
  return offsets
}

/** Whether they are rows of values side by side, all as far from each other, which do not overlap. */
function areRows(offsets: readonly number[]): boolean {
  return offsets.some((_, i) => {
    const length = i + 1
    const step = offsets[length] ?? length
    const at = (index: number) => Math.floor(index / length) * step + (index % length)
    return step >= length && offsets.every((offset, index) => offset === at(index))
  })
}
