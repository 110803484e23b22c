import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FlowModel, PointerFrame } from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { loadForeign } from '../support/foreign-memory.js'

useEmulator()
const [a, b] = await tinyFrames()
const shape = { width: a.width, height: a.height, format: 'rgb' } as const
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
const foreign = loadForeign()
const ORDERS = ['late', '1', '2', '3']

afterEach(() => vi.unstubAllEnvs())

/** A frame that a module is about to write on its stream. */
function written({ data }: { readonly data: Uint8Array }, stream: bigint): PointerFrame {
  const pointer = foreign.allocate(data.length, 0)
  foreign.write(
    pointer,
    data.map(() => 9),
  )
  foreign.queueWrite(pointer, data, stream)
  return { ...shape, pointer, stream }
}

const sameBytes = (x: Uint8Array, y: Uint8Array) => Buffer.compare(x, y) === 0
const withoutStream = (frame: PointerFrame): PointerFrame => ({ ...frame, stream: undefined })

describe('a stream of another module', () => {
  it.each(ORDERS)('writes frames that a call reads, in the order %s', async (order) => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_STREAMS', order)
    const stream = foreign.createStream(0)
    const calls: readonly ((first: PointerFrame, second: PointerFrame) => Promise<Float32Array>)[] = [
      async (...frames) => (await model.flow(...frames)).data,
      async (...frames) => model.flowSync(...frames).data,
      async (first, second) => {
        using video = model.stream()
        await video.push(first)
        return (await video.push(second))!.flow!.data
      },
    ]
    for (let round = 0; round < 3; round++)
      for (const call of calls)
        expect(sameBits(await call(written(a, stream), written(b, stream)), expected.data)).toBe(true)
    foreign.destroyStream(stream)
  })

  it.each([...ORDERS, 'destroyed'])(
    'is done with a tensor before another one has its memory: %s',
    async (order) => {
      await using model = await load()
      vi.stubEnv('EMULATOR_STREAMS', order === 'destroyed' ? 'late' : order)
      const stream = foreign.createStream(0)
      const tensor = model.createTensor([a.data.length], 'uint8', { stream })
      await tensor.copyFrom(a.data)
      const read = new Uint8Array(a.data.length)
      foreign.queueRead(tensor.pointer, read, stream)
      if (order === 'destroyed') foreign.destroyStream(stream)
      tensor.dispose()
      using next = model.createTensor([a.data.length], 'uint8') // zeros
      await next.copyFrom(b.data)
      if (order !== 'destroyed') foreign.finishStream(stream)
      expect(sameBytes(read, a.data)).toBe(true)
      if (order !== 'destroyed') foreign.destroyStream(stream)
    },
  )

  it('goes with an array of the CUDA array interface', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    const stream = foreign.createStream(0)
    const array = (frame: { readonly data: Uint8Array }) => {
      const data = [written(frame, stream).pointer, false] as const
      return { shape: [shape.height, shape.width, 3], typestr: '|u1', version: 3, data, stream }
    }
    expect(sameBits((await model.flow(array(a), array(b))).data, expected.data)).toBe(true)
    using tensor = model.createTensor(array(a))
    expect(sameBytes((await tensor.toHost()) as Uint8Array, a.data)).toBe(true)
    for (const wrong of [0, 0n, -1, 1.5, 'x', 2n ** 64n])
      expect(() => model.createTensor({ ...array(a), stream: wrong as bigint })).toThrow(
        flowError('ERR_ARGUMENT', 'stream'),
      )
    foreign.destroyStream(stream)
  })

  it('that is not named is not waited for', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    const stream = foreign.createStream(0)
    const flow = await model.flow(withoutStream(written(a, stream)), withoutStream(written(b, stream)))
    expect(sameBits(flow.data, expected.data)).toBe(false)
  })

  it.each([0n, 1n, 2n])('may be the default stream of handle %s', async (stream) => {
    await using model = await load()
    const expected = await model.features(a)
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    const features = await model.features(written(a, stream))
    expect(sameBits(await features.read(), await expected.read())).toBe(true)
  })

  it.each(ORDERS)('and tensors are in order: copies, frames, results, in the order %s', async (order) => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_STREAMS', order)
    const stream = foreign.createStream(0)
    const bytes = a.data.length
    using theirs = model.createTensor([bytes], 'uint8', { pointer: foreign.allocate(bytes, 0), stream })
    using ours = model.createTensor([bytes], 'uint8', { stream })
    using copy = model.createTensor([bytes], 'uint8')
    for (const tensor of [theirs, ours]) {
      foreign.queueWrite(tensor.pointer, a.data, stream)
      expect(sameBytes(await tensor.toHost(), a.data)).toBe(true)
      foreign.queueWrite(tensor.pointer, b.data, stream)
      expect(sameBytes(tensor.toHostSync(), b.data)).toBe(true)
      foreign.queueWrite(tensor.pointer, a.data, stream)
      await copy.copyFrom(tensor)
      expect(sameBytes(await copy.toHost(), a.data)).toBe(true)
      foreign.queueWrite(tensor.pointer, a.data, stream)
      using part = tensor.slice(10, 20)
      expect([...(await part.toHost())]).toEqual([...a.data.subarray(10, 20)])
      foreign.queueWrite(tensor.pointer, a.data, stream)
      const flow = await model.flow({ ...shape, data: tensor }, b)
      expect(sameBits(flow.data, expected.data)).toBe(true)
      foreign.queueWrite(tensor.pointer, b.data, stream)
      await tensor.copyFrom(a.data) // comes after the write
      expect(sameBytes(await tensor.toHost(), a.data)).toBe(true)
    }
    const values = 2 * a.width * a.height
    using into = model.createTensor([2, a.height, a.width], 'float32', {
      pointer: foreign.allocate(4 * values, 0),
      stream,
    })
    foreign.queueWrite(into.pointer, new Uint8Array(4 * values), stream)
    await model.flow(a, b, { into }) // comes after the write
    expect(sameBits(await into.toHost(), expected.data)).toBe(true)
  })

  it('that the model cannot wait for is refused, and the model works on', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const expected = await model.flow(a, b)
    const pointer = foreign.allocate(a.data.length, 0)
    foreign.write(pointer, a.data)
    vi.stubEnv('EMULATOR_DEVICES', '2')
    const [elsewhere, captured, gone] = [1, 0, 0].map((device) => foreign.createStream(device))
    foreign.destroyStream(gone!)
    foreign.beginCapture(captured!)
    for (const [stream, said] of [
      [elsewhere!, 'another GPU'],
      [captured!, 'captured'],
      [gone!, 'no handle'],
      [12345n, 'no handle'],
    ] as const) {
      const frame = { ...shape, pointer, stream }
      await expect(model.flow(frame, b)).rejects.toThrow(flowError('ERR_ARGUMENT', 'stream', said))
      expect(() => model.featuresSync(frame)).toThrow(flowError('ERR_ARGUMENT', said))
      using tensor = model.createTensor([a.data.length], 'uint8', { pointer, stream })
      await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_ARGUMENT', said))
      expect(() => tensor.copyFromSync(a.data)).toThrow(flowError('ERR_ARGUMENT', said))
      await works(model)
    }
    foreign.endCapture(captured!)
    const frame = { ...shape, pointer, stream: captured! }
    expect(sameBits((await model.flow(frame, b)).data, expected.data)).toBe(true)
    await expect(cpu.flow(frame, b)).rejects.toThrow(flowError('ERR_ARGUMENT', 'CPU'))
    for (const stream of [-1n, 2n ** 64n, 5, null] as const) {
      const options = { pointer, stream: stream as bigint }
      expect(() => model.createTensor([4], 'uint8', options)).toThrow(flowError('ERR_ARGUMENT', 'stream'))
      expect(() => model.featuresSync({ ...shape, ...options })).toThrow(flowError('ERR_FRAME', 'stream'))
    }
    const given = { ...a, stream: captured! }
    expect(() => model.featuresSync(given)).toThrow(flowError('ERR_FRAME', 'pointer'))
    for (const options of [{ on: 'host' }, { data: new Uint8Array(4) }] as const)
      expect(() => model.createTensor([4], 'uint8', { ...options, stream: captured! })).toThrow(
        flowError('ERR_ARGUMENT', 'stream'),
      )
    expect(() => cpu.createTensor([4], 'uint8', { stream: captured! })).toThrow(
      flowError('ERR_ARGUMENT', 'stream'),
    )

    async function works(model: FlowModel): Promise<void> {
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
    }
  })

  it('costs no new events, once a model has as many as its calls use', async () => {
    await using model = await load()
    const stream = foreign.createStream(0)
    await model.flow(written(a, stream), written(b, stream))
    vi.stubEnv('EMULATOR_FAIL', 'cuEventCreate:1+')
    for (let round = 0; round < 5; round++) await model.flow(written(a, stream), written(b, stream))
  })
})
