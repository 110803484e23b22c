import fc from 'fast-check'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import {
  FlowField,
  FlowModel,
  type NoFlow,
  Tensor,
  type TensorArrays,
  type TensorDType,
  type TensorOptions,
} from '../../lib/index.js'
import { whileBusy } from '../support/busy.js'
import { flowError, sameBits } from '../support/compare.js'
import { loadTiny, noiseFrame, tinyFrames, withFolder } from '../support/fixtures.js'
import { withFlow } from '../support/streams.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'

const [a, b] = await tinyFrames()

const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  uint8: Uint8Array,
} as const

/** Values that are all different, as far as the type has so many. */
function counted<D extends TensorDType>(dtype: D, count: number): TensorArrays[D] {
  return new ARRAYS[dtype](count).map((_, i) => i + 1) as TensorArrays[D]
}

describe('a tensor that a model makes', () => {
  it.each(Object.keys(ARRAYS) as TensorDType[])(
    'of %s holds zeros, then what is copied to it',
    async (dtype) => {
      await using model = await loadTiny()
      using tensor = model.createTensor([3, 4, 5], dtype)
      expect(tensor).toMatchObject({
        shape: [3, 4, 5],
        strides: [20, 5, 1],
        dtype,
        device: 'cpu',
        readOnly: false,
      })
      expect(tensor.data).toBeInstanceOf(ARRAYS[dtype])
      expect(await tensor.toHost()).toEqual(new ARRAYS[dtype](60))
      const values = counted(dtype, 60)
      expect(await tensor.copyFrom(values)).toBe(tensor)
      expect(tensor.data).toEqual(values)
      expect(tensor.toHostSync()).toEqual(values)
      using other = model.createTensor([3, 4, 5], dtype)
      expect(other.copyFromSync(tensor)).toBe(other)
      const into = new ARRAYS[dtype](60)
      expect(await other.toHost({ into })).toBe(into)
      expect(into).toEqual(values)
    },
  )

  it('is float32 where nothing is said, and of one value at least', async () => {
    await using model = await loadTiny()
    using tensor = model.createTensor([1])
    expect(tensor).toMatchObject({ shape: [1], strides: [1], dtype: 'float32' })
    expect(tensor.data).toHaveLength(1)
  })

  it('is where its pointer says, also over memory of the caller', async () => {
    await using model = await loadTiny()
    const memory = new Float32Array(new SharedArrayBuffer(4 * 100), 16, 6)
    using tensor = model.createTensor([2, 3], 'float32', { data: memory })
    using parts = model.createTensor([96], 'float32', { data: new Float32Array(memory.buffer, 16) })
    expect(tensor.pointer).toBe(parts.pointer)
    expect(tensor.slice(1).pointer - tensor.pointer).toBe(12n)
    memory[4] = 5
    expect(await tensor.toHost()).toEqual(Float32Array.of(0, 0, 0, 0, 5, 0))
    await tensor.copyFrom(Float32Array.of(1, 2, 3, 4, 5, 6))
    expect(memory).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6))
  })

  it('in shared memory is the same in another thread', async () => {
    await using model = await loadTiny()
    using tensor = model.createTensor([4], 'uint8', { data: new Uint8Array(new SharedArrayBuffer(4)) })
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      workerData.set([7, 8, 9, 10])
      parentPort.postMessage('written')`
    const worker = new Worker(code, { eval: true, workerData: tensor.data })
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await worker.terminate()
    expect(tensor.toHostSync()).toEqual(Uint8Array.of(7, 8, 9, 10))
  })

  it('has slices over the same memory, which outlive it', async () => {
    await using model = await loadTiny()
    const tensor = model.createTensor([4, 2, 3])
    tensor.data!.set(counted('float32', 24))
    const slice = tensor.slice(1, 3)
    const part = slice.slice(1)
    expect(slice).toMatchObject({ shape: [2, 2, 3], strides: [6, 3, 1] })
    expect(part.shape).toEqual([1, 2, 3])
    tensor.dispose()
    slice.dispose()
    expect(part.toHostSync()).toEqual(counted('float32', 24).subarray(12, 18))
    part.data!.fill(0)
    expect(part.toHostSync()).toEqual(new Float32Array(6))
  })

  it('runs its copies after the calls that were made before', async () => {
    await using model = await loadTiny()
    using tensor = model.createTensor([3], 'uint8')
    const { made } = await whileBusy(model, async () => [
      tensor.copyFrom(Uint8Array.of(1, 2, 3)).then(() => undefined),
      tensor.toHost(),
      tensor.copyFrom(Uint8Array.of(4, 5, 6)).then(() => undefined),
    ])
    expect(await made[1]).toEqual(Uint8Array.of(1, 2, 3))
    await made[2]
    expect(tensor.data).toEqual(Uint8Array.of(4, 5, 6))
  })

  it('can cancel a copy that has not started', async () => {
    await using model = await loadTiny()
    let tensor: Tensor<'uint8'> | undefined
    const { made } = await whileBusy(model, () => {
      tensor = model.createTensor([3], 'uint8')
      const abort = new AbortController()
      const calls = [
        tensor.copyFrom(Uint8Array.of(1, 2, 3), { signal: abort.signal }),
        tensor.toHost({ signal: abort.signal }),
      ]
      abort.abort()
      return calls.map((call) => call.catch((error: unknown) => error))
    })
    for (const error of await Promise.all(made)) expect(error).toMatchObject({ code: 'ERR_ABORTED' })
    expect(tensor!.toHostSync()).toEqual(new Uint8Array(3))
  })

  it('keeps its values when the model is disposed, and is then copied no more', async () => {
    const model = await loadTiny()
    const tensor = model.createTensor([2]).copyFromSync(Float32Array.of(1, 2))
    await model.dispose()
    expect(tensor.data).toEqual(Float32Array.of(1, 2))
    expect(tensor.pointer).toBeGreaterThan(0n)
    for (const call of [() => tensor.toHost(), () => tensor.copyFrom(new Float32Array(2))])
      await expect(call()).rejects.toThrow(flowError('ERR_DISPOSED'))
    expect(() => model.createTensor([2])).toThrow(flowError('ERR_DISPOSED'))
    tensor.dispose()
  })

  it('throws once it is disposed, but its data stay what they are', async () => {
    await using model = await loadTiny()
    using other = model.createTensor([2])
    const tensor = model.createTensor([2]).copyFromSync(Float32Array.of(1, 2))
    const { data } = tensor
    expect(tensor.disposed).toBe(false)
    tensor.dispose()
    tensor.dispose()
    expect(tensor.disposed).toBe(true)
    for (const use of [
      () => tensor.data,
      () => tensor.pointer,
      () => tensor.slice(0),
      () => tensor.toHostSync(),
      () => tensor.copyFromSync(new Float32Array(2)),
      () => other.copyFromSync(tensor),
    ])
      expect(use).toThrow(flowError('ERR_DISPOSED', 'tensor'))
    expect(data).toEqual(Float32Array.of(1, 2))
  })

  it('takes values from memory that shrinks meanwhile, and is not made over it', async () => {
    await using model = await loadTiny()
    // TypeScript's library of ES2022 does not know it yet.
    type Resizable = ArrayBuffer & { resize(bytes: number): void }
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => Resizable
    const buffer = new Resizable(3, { maxByteLength: 4096 })
    const values = new Uint8Array(buffer)
    values.set([1, 2, 3])
    expect(() => model.createTensor([3], 'uint8', { data: values })).toThrow(
      flowError('ERR_ARGUMENT', 'data', 'resizable'),
    )
    using tensor = model.createTensor([3], 'uint8')
    const copied = tensor.copyFrom(values)
    const read = tensor.toHost({ into: values })
    buffer.resize(1)
    await copied
    expect(tensor.data).toEqual(Uint8Array.of(1, 2, 3))
    await expect(read).rejects.toThrow(flowError('ERR_ARGUMENT', 'into', 'resized'))
  })

  it('of any shape gives back what was copied to any slice of it', async () => {
    await using model = await loadTiny()
    const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(
        shapes,
        fc.constantFrom(...(Object.keys(ARRAYS) as TensorDType[])),
        fc.nat(),
        fc.nat(),
        (shape, dtype, x, y) => {
          using tensor = model.createTensor(shape, dtype)
          const count = shape.reduce((product, side) => product * side, 1)
          const [side] = shape as [number]
          const [begin, end] = [Math.min(x % side, y % side), Math.max(x % side, y % side) + 1]
          const inner = count / side
          const expected = new ARRAYS[dtype](count)
          const values = counted(dtype, (end - begin) * inner)
          expected.set(values, begin * inner)
          using slice = tensor.slice(begin, end)
          expect(slice.copyFromSync(values).toHostSync()).toEqual(values)
          expect(tensor.toHostSync()).toEqual(expected)
        },
      ),
    )
  })
})

describe('bad input to a tensor', () => {
  it.each<[unknown, unknown, unknown, string]>([
    [[], 'float32', {}, 'shape'],
    [[2, 0], 'float32', {}, 'shape'],
    [[2, -1], 'float32', {}, 'shape'],
    [[1.5], 'float32', {}, 'shape'],
    [['2'], 'float32', {}, 'shape'],
    [[1, 1, 1, 1, 1, 1, 1, 1, 1], 'float32', {}, 'shape'],
    [12, 'float32', {}, 'shape'],
    [undefined, 'float32', {}, 'shape'],
    [[2], 'float64', {}, 'dtype'],
    [[2], null, {}, 'dtype'],
    [[2], 'toString', {}, 'dtype'],
    [[2], 'float32', null, 'options'],
    [[2], 'float32', { on: 'gpu' }, 'on'],
    [[2], 'float32', { data: new Float32Array(3) }, '3 values'],
    [[2], 'float32', { data: new Uint8Array(2) }, 'Float32Array'],
    [[2], 'uint8', { data: [1, 2] }, 'Uint8Array'],
  ])('%o of %s with %o is refused, and the model works on', async (shape, dtype, options, said) => {
    await using model = await loadTiny()
    const make = () =>
      model.createTensor(shape as number[], dtype as 'float32', options as TensorOptions<'float32'>)
    expect(make).toThrow(flowError('ERR_ARGUMENT', said))
    expect((await model.flow(a, b)).width).toBe(160)
  })

  it.each([[[2 ** 30, 2 ** 30]], [[2 ** 40, 2 ** 40, 2 ** 40]]])(
    '%o is more than there is',
    async (shape) => {
      await using model = await loadTiny()
      expect(() => model.createTensor(shape)).toThrow(flowError('ERR_OUT_OF_MEMORY'))
    },
  )

  it('is refused by every copy, and the tensor is what it was', async () => {
    await using model = await loadTiny()
    using tensor = model.createTensor([4, 2]).copyFromSync(counted('float32', 8))
    using narrow = model.createTensor([8])
    using bytes = model.createTensor([4, 2], 'uint8')
    const gone = new Float32Array(8)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    const bad: [() => unknown, string][] = [
      [() => tensor.copyFromSync(new Float32Array(7)), '7 values'],
      [() => tensor.copyFromSync(new Float64Array(8) as never), 'Float32Array'],
      [() => tensor.copyFromSync(narrow), '8 of float32'],
      [() => tensor.copyFromSync(bytes as never), '4 x 2 of uint8'],
      [() => tensor.copyFromSync(null as never), 'Float32Array'],
      [() => tensor.copyFromSync(gone), '0 values'],
      [() => tensor.copyFromSync(tensor), 'overlap'],
      [() => tensor.slice(0, 3).copyFromSync(tensor.slice(1)), 'overlap'],
      [() => tensor.toHostSync({ into: tensor.data! }), 'overlap'],
      [() => tensor.toHostSync({ into: new Float32Array(9) }), '9 values'],
      [() => tensor.toHostSync({ into: new Uint8Array(8) as never }), 'Float32Array'],
      [() => tensor.slice(2, 2), '2'],
      [() => tensor.slice(-1), '-1'],
      [() => tensor.slice(0, 5), '5'],
      [() => tensor.slice(0.5), '0.5'],
    ]
    for (const [call, said] of bad) expect(call).toThrow(flowError('ERR_ARGUMENT', said))
    expect(tensor.toHostSync()).toEqual(counted('float32', 8))
  })

  it('is memory that was transferred under a tensor', async () => {
    await using model = await loadTiny()
    using tensor = model.createTensor([2])
    structuredClone(tensor.data!.buffer, { transfer: [tensor.data!.buffer as ArrayBuffer] })
    expect(() => tensor.pointer).toThrow(flowError('ERR_ARGUMENT'))
    expect(() => tensor.data).toThrow(flowError('ERR_ARGUMENT', 'transferred'))
    expect(() => tensor.toHostSync()).toThrow(flowError('ERR_ARGUMENT'))
    expect((await model.flow(a, b)).width).toBe(160)
  })
})

describe("a feature map's tensor", () => {
  const features = (model: FlowModel, seed: number) => model.featuresSync(noiseFrame(160, 112, seed))

  it('has the bytes of read(), without a copy', async () => {
    await using model = await loadTiny()
    using map = await model.features(a)
    const { tensor } = map
    expect(tensor).toBeInstanceOf(Tensor)
    expect(tensor).toMatchObject({
      shape: [7, 10, 64],
      strides: [640, 64, 1],
      dtype: 'float32',
      device: 'cpu',
      readOnly: true,
    })
    const values = await map.read()
    expect(sameBits(tensor.data!, values)).toBe(true)
    expect(sameBits(await tensor.toHost(), values)).toBe(true)
    const row = tensor.slice(2, 3)
    expect(sameBits(row.data!, values.subarray(2 * 640, 3 * 640))).toBe(true)
    expect(row.pointer - tensor.pointer).toBe(BigInt(4 * 2 * 640))
    expect(row.data!.buffer).toBe(tensor.data!.buffer)
  })

  it('has no gaps, of a backbone as wide as ViT-B and ViT-L too', async () => {
    await withFolder(async (folder) => {
      const [backbone, head] = [join(folder, 'backbone.safetensors'), join(folder, 'head.safetensors')]
      writeBackbone('tiny_wide', backbone)
      writeHead('tiny', head, 256)
      await using model = await FlowModel.load({ backbone, head, device: 'cpu', size: 'native' })
      using map = await model.features(a)
      using other = await model.features(b)
      const { data, strides } = map.tensor
      expect(strides).toEqual([2560, 256, 1])
      expect(data).toHaveLength(7 * 10 * 256)
      expect(sameBits(data!, await map.read())).toBe(true)
      expect(new Set(data!.subarray(0, 256)).size).toBeGreaterThan(100)
      const flow = await model.flowFromFeatures(map, other)
      expect(sameBits(flow.data, (await model.flow(a, b)).data)).toBe(true)
    })
  })

  it('is the same each time, until it is disposed', async () => {
    await using model = await loadTiny()
    using map = await model.features(a)
    const { tensor } = map
    expect(map.tensor).toBe(tensor)
    const { data, pointer } = tensor
    tensor.dispose()
    const again = map.tensor
    expect(again).not.toBe(tensor)
    expect(again.pointer).toBe(pointer)
    expect(sameBits(again.data!, data!)).toBe(true)
  })

  it('keeps the features when the map is disposed, whatever comes after', async () => {
    await using model = await loadTiny()
    const map = features(model, 1)
    const values = map.readSync()
    const { tensor } = map
    map.dispose()
    expect(() => map.tensor).toThrow(flowError('ERR_DISPOSED', 'map'))
    for (let seed = 2; seed < 12; seed++) features(model, seed).dispose()
    expect(sameBits(tensor.toHostSync(), values)).toBe(true)
    const data = tensor.data!
    tensor.dispose()
    for (let seed = 2; seed < 12; seed++) features(model, seed).dispose()
    expect(sameBits(data, values)).toBe(true)
  })

  it('keeps the features when the model is disposed', async () => {
    const model = await loadTiny()
    const map = await model.features(a)
    const values = await map.read()
    const { tensor } = map
    const other = await model.features(b)
    await model.dispose()
    expect(sameBits(tensor.data!, values)).toBe(true)
    await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_DISPOSED', 'model'))
    expect(() => other.tensor).toThrow(flowError('ERR_DISPOSED', 'model'))
  })

  it('is not written to', async () => {
    await using model = await loadTiny()
    using map = await model.features(a)
    const values = await map.read()
    expect(() => map.tensor.copyFromSync(new Float32Array(7 * 10 * 64))).toThrow(
      flowError('ERR_ARGUMENT', 'read only'),
    )
    expect(() => map.tensor.slice(1).copyFromSync(new Float32Array(6 * 10 * 64))).toThrow(
      flowError('ERR_ARGUMENT', 'read only'),
    )
    expect(sameBits(await map.read(), values)).toBe(true)
  })

  it('can be copied to a tensor, of another model too', async () => {
    await using model = await loadTiny()
    await using other = await loadTiny()
    using map = await model.features(a)
    for (const one of [model, other]) {
      using copy = one.createTensor(map.tensor.shape)
      await copy.copyFrom(map.tensor)
      expect(sameBits(copy.data!, await map.read())).toBe(true)
    }
  })

  it("serves the features of a stream's frames", async () => {
    await using model = await loadTiny()
    using stream = model.stream({ features: true })
    const kept = []
    for (const frame of [a, b, a, b]) {
      const { features: map } = (await stream.push(frame))!
      kept.push({ tensor: map!.tensor, values: await map!.read() })
      map!.dispose()
    }
    for (const { tensor, values } of kept) expect(sameBits(tensor.data!, values)).toBe(true)
    expect(sameBits(kept[0]!.values, kept[2]!.values)).toBe(true)
    expect(sameBits(kept[0]!.values, kept[1]!.values)).toBe(false)
  })
})

describe('results as tensors', () => {
  const wanted = { backward: true, occlusion: true, confidence: true } as const
  const device = { on: 'device' } as const

  it('are those of the other calls', async () => {
    await using model = await loadTiny()
    using from = await model.features(a)
    using to = await model.features(b)
    const flow = await model.flow(a, b)
    const into = model.createTensor([2, a.height, a.width])
    for (const call of [
      () => model.flow(a, b, { into }),
      () => model.flowSync(a, b, { into }),
      () => model.flowFromFeatures(from, to, { into, output: device }),
      () => model.flowFromFeaturesSync(from, to, { into, output: 'frame' }),
    ]) {
      into.data!.fill(0)
      expect(await call()).toBe(into)
      expect(sameBits(into.data!, flow.data)).toBe(true)
    }
    for (const call of [
      () => model.flow(a, b, { output: device }),
      () => model.flowSync(a, b, { output: device }),
      () => model.flowFromFeatures(from, to, { output: device }),
      async () => (await model.advance(from, b, { output: device })).flow,
      () => model.advanceSync(from, b, { output: device }).flow,
    ]) {
      using tensor = await call()
      expect(tensor).toMatchObject({ shape: [2, a.height, a.width], dtype: 'float32' })
      expect(sameBits(tensor.toHostSync(), flow.data)).toBe(true)
    }
    const maps = await model.flowMaps(a, b, wanted)
    for (const call of [
      () => model.flowMaps(a, b, { ...wanted, output: device }),
      () => model.flowMapsSync(a, b, { ...wanted, output: device }),
      () => model.flowMapsFromFeatures(from, to, { ...wanted, into }),
      () => model.flowMapsFromFeaturesSync(from, to, { ...wanted, output: device }),
    ]) {
      const tensors = await call()
      expect(tensors.occlusion!.shape).toEqual([a.height, a.width])
      expect(sameBits(tensors.flow.toHostSync(), maps.flow.data)).toBe(true)
      expect(sameBits(tensors.backward!.toHostSync(), maps.backward!.data)).toBe(true)
      expect(tensors.occlusion!.toHostSync()).toEqual(maps.occlusion!.data)
      expect(sameBits(tensors.confidence!.toHostSync(), maps.confidence!.data)).toBe(true)
    }
    const picture = await model.flowPicture(a, b)
    for (const call of [
      () => model.flowPicture(a, b, { output: device }),
      () => model.flowPictureFromFeaturesSync(from, to, { output: device }),
    ]) {
      const tensor = await call()
      expect(tensor.shape).toEqual([a.height, a.width, 3])
      expect(tensor.toHostSync()).toEqual(picture.data)
    }
  })

  it('have the size that is asked for, and are only those that are', async () => {
    await using model = await loadTiny()
    const size = [30, 47] as const
    const flow = await model.flow(a, b, { output: size })
    const maps = await model.flowMaps(a, b, { output: { on: 'device', size }, occlusion: true })
    expect(Object.keys(maps)).toEqual(['flow', 'occlusion'])
    expect(maps.flow.shape).toEqual([2, 30, 47])
    expect(sameBits(maps.flow.data!, flow.data)).toBe(true)
  })

  it.each<[object, string]>([
    [{ output: { on: 'gpu' } }, "'device'"],
    [{ output: {} }, "'device'"],
    [{ output: { on: 'device', size: [0, 1] } }, 'output'],
    [{ output: { on: 'device', size: 'large' } }, 'output'],
  ])('%o is refused', async (options, said) => {
    await using model = await loadTiny()
    expect(() => model.flowSync(a, b, options as object)).toThrow(flowError('ERR_ARGUMENT', said))
    expect(() => model.flowMapsSync(a, b, options as object)).toThrow(flowError('ERR_ARGUMENT', said))
    expect(() => model.flowPictureSync(a, b, options as object)).toThrow(flowError('ERR_ARGUMENT', said))
    expect(model.flowSync(a, b).width).toBe(160)
  })

  it('go to no tensor that does not fit', async () => {
    await using model = await loadTiny()
    using map = await model.features(a)
    const disposed = model.createTensor([2, 112, 160])
    disposed.dispose()
    for (const [into, code, said] of [
      [model.createTensor([2, 112, 161]), 'ERR_ARGUMENT', '2 x 112 x 161'],
      [model.createTensor([2 * 112 * 160]), 'ERR_ARGUMENT', '2 x 112 x 160'],
      [model.createTensor([2, 112, 160], 'uint8'), 'ERR_ARGUMENT', 'uint8'],
      [map.tensor, 'ERR_ARGUMENT', 'read only'],
      [disposed, 'ERR_DISPOSED', 'tensor'],
    ] as const) {
      const options = { into: into as Tensor<'float32'> }
      expect(() => model.flowSync(a, b, options)).toThrow(flowError(code, said))
      await expect(model.flowMaps(a, b, options)).rejects.toThrow(flowError(code, said))
    }
    expect(model.flowSync(a, b).width).toBe(160)
  })
})

describe('a stream whose results are tensors', () => {
  const wanted = { backward: true, occlusion: true, confidence: true } as const
  const output = { on: 'device' } as const
  const frames = [a, b, b, noiseFrame(a.width, a.height, 3), noiseFrame(48, 32, 4), noiseFrame(48, 32, 5)]

  it.each([false, true])('gives the values of a stream of fields, with reuse: %s', async (reuse) => {
    await using model = await loadTiny()
    using fields = model.stream({ ...wanted, features: true })
    using tensors = model.stream({ ...wanted, features: true, output, reuse })
    for (const frame of frames) {
      const expected = await fields.push(frame)
      const result = await tensors.push(frame)
      using _one = expected!.features!
      using _two = result!.features!
      if (expected!.flow === null) {
        expect(result).toMatchObject({ flow: null, reason: (expected as NoFlow).reason })
        continue
      }
      const { flow, backward, occlusion, confidence, duplicate } = withFlow(result)
      expect(flow).toBeInstanceOf(Tensor)
      expect(flow.shape).toEqual([2, frame.height, frame.width])
      expect(duplicate).toBe(withFlow(expected).duplicate) // the CPU compares frames: all memory is the host's
      const bits = withFlow(expected)
      expect(sameBits(flow.data!, bits.flow.data)).toBe(true)
      expect(sameBits(backward!.data!, bits.backward!.data)).toBe(true)
      expect(occlusion!.data).toEqual(bits.occlusion!.data)
      expect(sameBits(confidence!.data!, bits.confidence!.data)).toBe(true)
    }
    expect(tensors.stats()).toMatchObject({ computed: fields.stats().computed, duplicates: 1 })
  })

  it('has the size that is asked for', async () => {
    await using model = await loadTiny()
    using stream = model.stream({ output: { on: 'device', size: [20, 30] } })
    await stream.push(a)
    const { flow } = withFlow(await stream.push(b))
    expect(sameBits(flow.data!, (await model.flow(a, b, { output: [20, 30] })).data)).toBe(true)
  })

  it('refuses what does not fit, and works on', async () => {
    await using model = await loadTiny()
    expect(() => model.stream({ output: { on: 'gpu' } as never })).toThrow(flowError('ERR_ARGUMENT', 'gpu'))
    using stream = model.stream({ output })
    using fields = model.stream()
    const expected = await model.flow(a, b)
    using good = model.createTensor([2, a.height, a.width])
    using small = model.createTensor([2, a.height, 7])
    const gone = model.createTensor([2, a.height, a.width])
    gone.dispose()
    const field = new FlowField(a.width, a.height)
    await stream.push(a)
    await fields.push(a)
    for (const [into, code, said] of [
      [small, 'ERR_ARGUMENT', 'into'],
      [gone, 'ERR_DISPOSED', 'disposed'],
      [field, 'ERR_ARGUMENT', 'Tensor'],
      [null, 'ERR_ARGUMENT', 'Tensor'],
    ] as const) {
      await expect(stream.push(b, { into: into as never })).rejects.toThrow(flowError(code, said))
      expect(() => stream.pushSync(b, { into: into as never })).toThrow(flowError(code, said))
    }
    await expect(fields.push(b, { into: good as never })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'FlowField'),
    )
    await expect(model.flow(a, b, { output, into: field as never })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'Tensor'),
    )
    const { flow } = withFlow(await stream.push(b, { into: good }))
    expect(flow).toBe(good)
    expect(sameBits(good.data!, expected.data)).toBe(true)
  })
})

describe('a frame that is a tensor', () => {
  it('is read as any other, of any format', async () => {
    await using model = await loadTiny()
    const flow = await model.flow(a, b)
    const data = model.createTensor([a.height, a.width, 3], 'uint8').copyFromSync(a.data)
    const frame = { data, width: a.width, height: a.height }
    expect(sameBits((await model.flow(frame, b)).data, flow.data)).toBe(true)
    expect(sameBits(model.flowSync(frame, b).data, flow.data)).toBe(true)
    const nv12 = { width: 160, height: 74, format: 'nv12', stride: 160 } as const
    const bytes = a.data.slice(0, 160 * 111)
    const expected = await model.features({ ...nv12, data: bytes })
    const tensor = model.createTensor([bytes.length], 'uint8', { data: bytes })
    const features = await model.features({ ...nv12, data: tensor })
    expect(sameBits(await features.read(), await expected.read())).toBe(true)
  })

  it('is refused if it is of another type, size or disposed', async () => {
    await using model = await loadTiny()
    const shape = { width: 10, height: 10 }
    const disposed = model.createTensor([300], 'uint8')
    disposed.dispose()
    for (const [data, code, said] of [
      [model.createTensor([300]), 'ERR_FRAME', 'float32'],
      [model.createTensor([299], 'uint8'), 'ERR_FRAME', '299'],
      [disposed, 'ERR_DISPOSED', 'tensor'],
    ] as const)
      expect(() => model.featuresSync({ ...shape, data: data as Tensor<'uint8'> })).toThrow(
        flowError(code, said),
      )
    expect(model.flowSync(a, b).width).toBe(160)
  })
})
