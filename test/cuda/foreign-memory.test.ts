import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { CudaArray, CudaArrayFrame, CudaArraySource, PointerFrame, Tensor } from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { loadForeign } from '../support/foreign-memory.js'
import { traced } from '../support/host-trace.js'

useEmulator()
const [a, b] = await tinyFrames()
const shape = { width: a.width, height: a.height, format: 'rgb' } as const
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
const foreign = loadForeign()

afterEach(() => vi.unstubAllEnvs())

/** Memory of another module with these bytes. */
function placed(bytes: Uint8Array, before = 0): bigint {
  const address = foreign.allocate(before + bytes.length, 0) + BigInt(before)
  foreign.write(address, bytes)
  return address
}

describe('a frame in memory of another module', () => {
  it('is read where it lies, from any address, of any format', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const first = { ...shape, pointer: placed(a.data) }
    const second = { ...shape, pointer: placed(b.data, 5) }
    for (let round = 0; round < 3; round++) {
      const { result, events } = await traced(() => model.flow(first, second))
      expect(events.filter(({ what }) => what === 'to-device')).toEqual([])
      expect(sameBits(result.data, expected.data)).toBe(true)
    }
    expect(sameBits(model.flowSync(first, second).data, expected.data)).toBe(true)
    const nv12 = { width: 160, height: 74, format: 'nv12' } as const
    const bytes = a.data.slice(0, 160 * 111)
    const features = await model.features({ ...nv12, pointer: placed(bytes) })
    expect(
      sameBits(await features.read(), await (await model.features({ ...nv12, data: bytes })).read()),
    ).toBe(true)
    const padded = { ...shape, width: 77, stride: 3 * a.width }
    const part = await model.features({ ...padded, pointer: first.pointer })
    expect(
      sameBits(await part.read(), await (await model.features({ ...padded, data: a.data })).read()),
    ).toBe(true)
  })

  it('goes through a stream', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    using stream = model.stream()
    await stream.push({ ...shape, pointer: placed(a.data) })
    const result = await stream.push({ ...shape, pointer: placed(b.data) })
    expect(sameBits(result!.flow!.data, expected.data)).toBe(true)
  })

  it('is refused where the model cannot read it, and the model works on', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const expected = await model.flow(a, b)
    const freed = placed(a.data)
    foreign.release(freed)
    vi.stubEnv('EMULATOR_DEVICES', '2')
    const elsewhere = foreign.allocate(a.data.length, 1)
    using host = model.createTensor([a.data.length + 1000], 'uint8', { on: 'host' })
    const short = placed(a.data.subarray(1))
    const locked = foreign.allocateHost(a.data.length, 0)
    const good = placed(a.data)
    for (const [pointer, said] of [
      [freed, 'freed'],
      [4096n, 'never allocated'],
      [elsewhere, 'GPU 1'],
      [locked, 'the host'],
      [short, `${a.data.length - 1} bytes`],
      [good + 1n, `${a.data.length} are needed`],
    ] as const) {
      await expect(model.flow({ ...shape, pointer }, b)).rejects.toThrow(
        flowError('ERR_ARGUMENT', 'pointer', said),
      )
      expect(() => model.featuresSync({ ...shape, pointer })).toThrow(flowError('ERR_ARGUMENT', said))
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
    }
    await expect(cpu.flow({ ...shape, pointer: good }, b)).rejects.toThrow(flowError('ERR_ARGUMENT', 'CPU'))
    const own = await model.features({ ...shape, pointer: host.pointer })
    expect(own.dim).toBe(64) // page-locked memory of a model is known
    for (const [frame, said] of [
      [{ ...shape, pointer: 0n }, 'address'],
      [{ ...shape, pointer: -1n }, 'address'],
      [{ ...shape, pointer: 2n ** 64n }, 'address'],
      [{ ...shape, pointer: 4096 }, 'bigint'],
      [{ ...shape, pointer: undefined }, 'bigint'],
      [{ ...shape, pointer: good, data: a.data }, 'one of them'],
      [{ ...shape, pointer: good, format: undefined }, 'format'],
      [{ ...shape, pointer: good, stride: 3 }, 'stride'],
      [{ ...shape, pointer: good, planes: [] }, 'planes'],
    ] as const)
      expect(() => model.featuresSync(frame as unknown as PointerFrame)).toThrow(flowError('ERR_FRAME', said))
  })
})

describe('a frame of the CUDA array interface', () => {
  const array = (pointer: bigint | number, more: Partial<CudaArray> = {}): CudaArray => ({
    shape: [a.height, a.width, 3],
    typestr: '|u1',
    data: [pointer, true],
    version: 3,
    ...more,
  })

  it('is read where it lies, in every way to write it', async () => {
    await using model = await load()
    const expected = await (await model.features(a)).read()
    const pointer = placed(a.data)
    const strides = [3 * a.width, 3, 1]
    for (const frame of [
      array(pointer),
      array(Number(pointer)),
      array(pointer, { strides, stream: null, mask: null }),
      array(pointer, { strides: null, version: 2 }),
      { __cuda_array_interface__: array(pointer) },
      { ...array(pointer), format: 'rgb' } as const,
    ]) {
      const { result, events } = await traced(() => model.features(frame))
      expect(events.filter(({ what }) => what === 'to-device')).toEqual([])
      expect(sameBits(await result.read(), expected)).toBe(true)
      expect(sameBits(await model.featuresSync(frame).read(), expected)).toBe(true)
    }
    using stream = model.stream()
    await stream.push(array(pointer))
    const result = await stream.push(array(placed(b.data)))
    expect(sameBits(result!.flow!.data, (await model.flow(a, b)).data)).toBe(true)
  })

  it('may have any pitch and number of channels', async () => {
    await using model = await load()
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          height: fc.integer({ min: 1, max: 40 }),
          width: fc.integer({ min: 1, max: 40 }),
          gap: fc.integer({ min: 0, max: 9 }),
          kind: fc.constantFrom(
            ['gray', undefined],
            ['gray', 1],
            ['rgb', 3],
            ['bgr', 3],
            ['rgba', 4],
            ['argb', 4],
          ) as fc.Arbitrary<readonly ['gray' | 'rgb' | 'bgr' | 'rgba' | 'argb', number | undefined]>,
          // NumPy gives axes of one index any stride.
          free: fc.constantFrom(0, 7, 1000),
        }),
        async ({ height, width, gap, kind: [format, channels], free }) => {
          const row = width * (channels ?? 1)
          const stride = row + gap
          const data = noiseFrame(stride, height, height + width).data.slice(0, stride * (height - 1) + row)
          const pointer = placed(data)
          const shape = [height, width, ...(channels === undefined ? [] : [channels])]
          const tight = [stride, channels ?? 1, 1].slice(0, shape.length)
          const strides = tight.map((step, axis) => (shape[axis] === 1 ? free : step))
          const ordinary = { data, width, height, format, stride }
          const size = [32, 32] as const
          using left = model.featuresSync({ ...array(pointer, { shape, strides }), format }, { size })
          using right = model.featuresSync(ordinary, { size })
          expect(sameBits(left.readSync(), right.readSync())).toBe(true)
          foreign.release(pointer)
        },
      ),
      { numRuns: 30, seed: 22 },
    )
  })

  it('is refused with a reason if it is no frame, and the model works on', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const pointer = placed(a.data)
    const row = 3 * a.width
    for (const [frame, code, said] of [
      [array(pointer, { version: 1 }), 'ERR_FRAME', 'version'],
      [array(pointer, { version: 4 }), 'ERR_FRAME', 'version'],
      [array(pointer, { version: undefined as never }), 'ERR_FRAME', 'version'],
      [array(pointer, { typestr: '<f4' }), 'ERR_FRAME', 'typestr'],
      [array(pointer, { typestr: 1 as never }), 'ERR_FRAME', 'typestr'],
      [array(pointer, { mask: {} as never }), 'ERR_FRAME', 'mask'],
      [array(pointer, { shape: [a.height] }), 'ERR_FRAME', 'shape'],
      [array(pointer, { shape: [a.height, a.width, 2] }), 'ERR_FRAME', 'shape'],
      [array(pointer, { shape: [1, a.height, a.width, 3] }), 'ERR_FRAME', 'shape'],
      [array(pointer, { shape: [0, a.width, 3] }), 'ERR_FRAME', 'positive'],
      [array(pointer, { shape: [1.5, a.width, 3] }), 'ERR_FRAME', 'positive'],
      [array(pointer, { shape: 'abc' as never }), 'ERR_FRAME', 'shape'],
      [array(pointer, { shape: [70_000, 1, 3] }), 'ERR_FRAME', '65535'],
      [array(pointer, { strides: [row, 3] }), 'ERR_FRAME', 'strides'],
      [array(pointer, { strides: [row, 3, 1.5] }), 'ERR_FRAME', 'strides'],
      [array(pointer, { strides: [-row, 3, 1] }), 'ERR_FRAME', 'negative'],
      [array(pointer, { strides: [row, 3, -1] }), 'ERR_FRAME', 'negative'],
      [array(pointer, { strides: [row - 1, 3, 1] }), 'ERR_FRAME', 'overlap'],
      [array(pointer, { strides: [0, 3, 1] }), 'ERR_FRAME', 'overlap'],
      [array(pointer, { strides: [row, 4, 1] }), 'ERR_FRAME', 'side by side'],
      [array(pointer, { strides: [a.width, 1, a.width * a.height] }), 'ERR_FRAME', 'side by side'],
      [array(pointer, { strides: [2 ** 32, 3, 1] }), 'ERR_FRAME', 'stride'],
      [array(0), 'ERR_FRAME', 'address'],
      [array(-1n), 'ERR_FRAME', 'address'],
      [array(2 ** 60), 'ERR_FRAME', 'address'],
      [array(pointer, { data: pointer as never }), 'ERR_FRAME', 'readOnly'],
      [{ ...array(pointer), format: 'nv12' }, 'ERR_FRAME', 'format'],
      [{ ...array(pointer), format: 'rgba' }, 'ERR_FRAME', 'format'],
      [{ __cuda_array_interface__: null }, 'ERR_FRAME', 'typestr'],
      [{ __cuda_array_interface__: { typestr: '|u1' } }, 'ERR_FRAME', 'version'],
      [array(pointer + 1n), 'ERR_ARGUMENT', 'are needed'],
      [array(pointer, { strides: [row + 1, 3, 1] }), 'ERR_ARGUMENT', 'are needed'],
      [array(4096), 'ERR_ARGUMENT', 'never allocated'],
    ] as const) {
      const given = frame as unknown as CudaArrayFrame
      expect(() => model.featuresSync(given)).toThrow(flowError(code, said))
      await expect(model.flow(given, b)).rejects.toThrow(flowError(code, said))
    }
    await expect(cpu.features(array(pointer))).rejects.toThrow(flowError('ERR_ARGUMENT', 'CPU'))
    expect((await model.features(array(pointer))).dim).toBe(64)
  })
})

describe('a tensor of the CUDA array interface', () => {
  it('is over the array, and takes results', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const pointer = placed(new Uint8Array(8 * a.width * a.height))
    const shape = [2, a.height, a.width]
    const array: CudaArray = { shape, typestr: '<f4', data: [pointer, false], version: 3 }
    using tensor = model.createTensor({ __cuda_array_interface__: array }) as Tensor<'float32'>
    expect(tensor).toMatchObject({ shape, dtype: 'float32', pointer, readOnly: false })
    await model.flow(a, b, { into: tensor })
    const bytes = new Uint8Array(8 * a.width * a.height)
    foreign.read(pointer, bytes)
    expect(sameBits(new Float32Array(bytes.buffer), expected.data)).toBe(true)
    expect(model.createTensor({ ...array, typestr: '<f2' }).dtype).toBe('float16')
    expect(model.createTensor({ ...array, typestr: '|u1' }).dtype).toBe('uint8')
    const fixed = model.createTensor({ ...array, data: [pointer, true] }) as Tensor<'float32'>
    await expect(model.flow(a, b, { into: fixed })).rejects.toThrow(flowError('ERR_ARGUMENT', 'read only'))
    expect(() => fixed.copyFromSync(tensor)).toThrow(flowError('ERR_ARGUMENT', 'read only'))
    const [plane, row] = [4 * a.width * a.height, 4 * a.width]
    model.createTensor({ ...array, strides: [plane, row, 4] }).dispose()
    for (const [more, said] of [
      [{ strides: [plane, row + 4, 4] }, 'side by side'],
      [{ strides: [plane, 4, row] }, 'side by side'],
      [{ strides: [-plane, row, 4] }, 'negative'],
      [{ typestr: '>f4' }, 'typestr'],
      [{ typestr: 'toString' }, 'typestr'],
      [{ version: 0 }, 'version'],
      [{ data: [pointer + 2n, false] }, 'multiple of 4'],
      [{ data: [pointer + 4n, false] }, 'are needed'],
    ] as const)
      expect(() => model.createTensor({ ...array, ...more } as CudaArraySource)).toThrow(
        flowError('ERR_ARGUMENT', said),
      )
  })
})

describe('a tensor over memory of another module', () => {
  it('takes results, and copies', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const bytes = new Uint8Array(8 * a.width * a.height)
    const pointer = placed(bytes)
    using into = model.createTensor([2, a.height, a.width], 'float32', { pointer })
    expect(into).toMatchObject({ device: 'cuda:0', pointer })
    const { events } = await traced(() => model.flow(a, b, { into }))
    expect(events.filter(({ what }) => what === 'to-host')).toEqual([])
    foreign.read(pointer, bytes)
    expect(sameBits(new Float32Array(bytes.buffer), expected.data)).toBe(true)
    using part = model.createTensor([5], 'float32', { pointer: pointer + 400n })
    expect(await part.toHost()).toEqual(expected.data.slice(100, 105))
    await part.copyFrom(Float32Array.of(1, 2, 3, 4, 5))
    foreign.read(pointer, bytes)
    expect([...new Float32Array(bytes.buffer, 400, 5)]).toEqual([1, 2, 3, 4, 5])
  })

  it('that was freed is refused by every call, and the model works on', async () => {
    await using model = await load()
    const pointer = placed(new Uint8Array(64))
    using tensor = model.createTensor([4], 'float32', { pointer })
    expect(await tensor.toHost()).toHaveLength(4)
    foreign.release(pointer)
    await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_ARGUMENT', 'freed'))
    expect(() => tensor.copyFromSync(new Float32Array(4))).toThrow(flowError('ERR_ARGUMENT', 'freed'))
    await expect(model.flow(a, b, { output: [1, 2], into: tensor as never })).rejects.toThrow(
      flowError('ERR_ARGUMENT'),
    )
    expect((await model.flow(a, b)).width).toBe(160)
  })

  it('is not made where it cannot be', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const pointer = placed(new Uint8Array(64))
    for (const [options, said] of [
      [{ pointer: pointer + 2n }, 'multiple of 4'],
      [{ pointer: pointer + 52n }, '12 bytes'],
      [{ pointer: 64n }, 'never allocated'],
      [{ pointer: 0n }, 'address'],
      [{ pointer: 64 as never }, 'bigint'],
      [{ pointer, data: new Float32Array(4) }, 'one of them'],
    ] as const)
      expect(() => model.createTensor([4], 'float32', options)).toThrow(
        flowError('ERR_ARGUMENT', 'pointer', said),
      )
    expect(() => cpu.createTensor([4], 'float32', { pointer })).toThrow(flowError('ERR_ARGUMENT', 'CPU'))
  })
})
