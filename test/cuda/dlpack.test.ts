import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { flowError, sameBits } from '../support/compare.js'
import { expectNoLeak } from '../support/dlpack-leaks.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { loadForeign } from '../support/foreign-memory.js'
import { traced } from '../support/host-trace.js'
import { loadNativeModule, type MadeTensor } from '../support/native-module.js'
import { randomFrom } from '../support/random.mjs'

useEmulator()
const native = loadNativeModule()
const foreign = loadForeign()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
const uint8 = { code: 1, bits: 8 } as const
const onGpu = { onGpu: true, deviceType: 2 } as const
const hex = (pointer: bigint) => `0x${pointer.toString(16)}`

let group = 0
beforeEach(() => group++)
const make = (tensor: MadeTensor) => native.make({ group, ...tensor })
afterEach(() => {
  vi.unstubAllEnvs()
  expect(native.counts(group)).toMatchObject({ elsewhere: 0, twice: 0 })
})

function outstanding(): number {
  const { made, deleted } = native.counts(group)
  return made - deleted
}

describe('a tensor of the package in another native module', () => {
  it('is a second head on the features of one pass, which stay on the device', async () => {
    await using model = await load()
    using map = await model.features(a)
    const random = randomFrom(7)
    const weights = Float32Array.from({ length: map.dim }, () => random.next() - 0.5)
    const { result: capsule, events } = await traced(() => map.tensor.toDLPack())
    expect(events).toEqual([])
    const scores = native.probe(capsule, weights)
    const features = await map.read()
    for (const [patch, score] of scores.entries()) {
      const expected = weights.reduce((sum, weight, c) => sum + weight * features[patch * map.dim + c]!, 0)
      expect(score).toBeCloseTo(expected, 4)
    }
  })

  it('says where its memory is, and keeps it', async () => {
    const model = await load()
    const [tensor, host] = [model.createTensor([4, 3]), model.createTensor([4], 'uint8', { on: 'host' })]
    const slice = tensor.slice(1)
    const { pointer } = slice
    const taken = native.take(slice.toDLPack())
    slice.dispose()
    expect(taken).toMatchObject({ pointer, deviceType: 2, deviceId: 0, shape: [3, 3], strides: [3, 1] })
    const pinned = native.take(host.toDLPack())
    expect(pinned).toMatchObject({ pointer: host.pointer, deviceType: 3, deviceId: 0 })
    host.data![3] = 7
    const ordinary = native.take(model.createTensor([4], 'uint8', { data: new Uint8Array(4) }).toDLPack())
    expect(ordinary).toMatchObject({ deviceType: 1 })
    const address = hex(tensor.pointer)
    const { onDevice } = await traced(async () => {
      tensor.dispose()
      host.dispose()
      await model.dispose()
    })
    expect(onDevice).not.toContainEqual({ what: 'device-free', address, bytes: 0 })
    expect(native.byteAt(pinned.handle, 3)).toBe(7)
    const { onDevice: after } = await traced(() => native.letGo(taken.handle, 'here'))
    expect(after).toContainEqual({ what: 'device-free', address, bytes: 0 })
    native.letGo(pinned.handle, 'elsewhere')
    native.letGo(ordinary.handle, 'elsewhere')
  })
})

describe('a tensor of another native module', () => {
  it('is a frame on the device, and takes results there: nothing crosses the bus', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const frame = (bytes: Uint8Array) => ({
      data: model.fromDLPack(make({ bytes, shape: [a.height, a.width, 3], ...uint8, ...onGpu }), 'uint8'),
      width: a.width,
      height: a.height,
    })
    const [from, to] = [frame(a.data), frame(b.data)]
    expect(from.data).toMatchObject({ device: 'cuda:0', data: null })
    const bytes = new Uint8Array(8 * a.width * a.height)
    const into = model.fromDLPack(make({ bytes, shape: [2, a.height, a.width], ...onGpu }), 'float32')
    const { events } = await traced(() => model.flow(from, to, { into }))
    expect(events.filter(({ what }) => what === 'to-device' || what === 'to-host')).toEqual([])
    expect(sameBits(await into.toHost(), expected.data)).toBe(true)
    expect(sameBits(model.flowSync(from, to).data, expected.data)).toBe(true)
    for (const tensor of [from.data, to.data, into]) tensor.dispose()
    expect(outstanding()).toBe(0)
  })

  it("is read from the host's memory and from managed memory, too", async () => {
    await using model = await load()
    const bytes = Uint8Array.from({ length: 24 }, (_, i) => i)
    for (const rest of [{}, { deviceType: 3 }, onGpu, { onGpu: true, deviceType: 13 } as const]) {
      using tensor = model.fromDLPack(make({ bytes, shape: [4, 6], ...uint8, ...rest, byteOffset: 7 }))
      expect(tensor.device).toBe('onGpu' in rest ? 'cuda:0' : 'cpu')
      expect(await tensor.toHost()).toEqual(bytes)
      using copy = model.createTensor([4, 6], 'uint8')
      expect(await (await copy.copyFrom(tensor as never)).toHost()).toEqual(bytes)
    }
    const gaps = { shape: [3, 4], strides: [6, 1] } as const
    using tensor = model.fromDLPack(make({ bytes, ...gaps, ...uint8, ...onGpu }))
    expect([...(await tensor.toHost())]).toEqual([0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15])
  })

  it('is deleted after the calls that use it', async () => {
    await using model = await load()
    const bytes = a.data
    const frame = () => model.fromDLPack(make({ bytes, shape: [bytes.length], ...uint8, ...onGpu }), 'uint8')
    const [first, second] = [frame(), frame()]
    const shape = { width: a.width, height: a.height, format: 'rgb' } as const
    const flow = model.flow({ ...shape, data: first }, { ...shape, data: second })
    first.dispose()
    second.dispose()
    expect(outstanding()).toBe(2)
    await flow
    expect(outstanding()).toBe(0)
  })

  it('is refused where the model cannot compute in it, and the model works on', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const bytes = new Uint8Array(16)
    const kept: unknown[] = [] // a capsule that nobody has any more deletes its tensor
    for (const [rest, said] of [
      [{ deviceType: 2 }, 'never allocated'], // memory of malloc
      [{ ...onGpu, shape: [17] }, '16 bytes'],
      [{ ...onGpu, shape: [4], strides: [8] }, '25 are needed'],
      [{ ...onGpu, byteOffset: 8, shape: [17] }, '17 are needed'],
    ] as const) {
      const capsule = make({ bytes, shape: [16], ...uint8, ...rest })
      kept.push(capsule)
      expect(() => model.fromDLPack(capsule)).toThrow(flowError('ERR_ARGUMENT', said))
      expect((await model.flow(a, b)).width).toBe(160)
    }
    const capsule = make({ bytes, shape: [16], ...uint8, ...onGpu })
    expect(() => cpu.fromDLPack(capsule)).toThrow(flowError('ERR_ARGUMENT', 'CPU'))
    using tensor = model.fromDLPack(capsule, 'uint8')
    using other = cpu.createTensor([16], 'uint8')
    expect(() => other.copyFromSync(tensor)).toThrow(flowError('ERR_ARGUMENT', 'another device'))
    expect(outstanding()).toBe(5)
    expect(kept).toHaveLength(4)
  })

  it.each(['late', '1', '2', '3'])('is in order with the stream that is named, %s', async (order) => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_STREAMS', order)
    const stream = foreign.createStream(0)
    const empty = new Uint8Array(a.data.length)
    const borrow = (options: { readonly stream?: bigint }) =>
      model.fromDLPack(make({ bytes: empty, shape: [empty.length], ...uint8, ...onGpu }), 'uint8', options)
    using tensor = borrow({ stream })
    foreign.queueWrite(tensor.pointer, a.data, stream)
    const frame = { width: a.width, height: a.height, format: 'rgb', data: tensor } as const
    expect(sameBits((await model.flow(frame, b)).data, expected.data)).toBe(true)
    foreign.queueWrite(tensor.pointer, b.data, stream)
    using part = tensor.slice(10, 20)
    expect([...part.toHostSync()]).toEqual([...b.data.subarray(10, 20)])
    // Nobody waits for a stream that is not named. So the test would see it if `stream` were not used.
    using unnamed = borrow({})
    foreign.queueWrite(unnamed.pointer, a.data, stream)
    if (order === 'late') expect(Buffer.compare(await unnamed.toHost(), empty)).toBe(0)
    foreign.finishStream(stream)
    foreign.destroyStream(stream)
  })

  it('is refused with a stream that cannot be waited for, and the capsule keeps it', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const stream = foreign.createStream(0)
    const onHost = make({ bytes: new Uint8Array(4), shape: [4], ...uint8 })
    for (const one of [model, cpu])
      expect(() => one.fromDLPack(onHost, 'uint8', { stream })).toThrow(
        flowError('ERR_ARGUMENT', 'stream', 'host'),
      )
    const capsule = make({ bytes: new Uint8Array(4), shape: [4], ...uint8, ...onGpu })
    for (const wrong of [-1n, 2n ** 64n, 5, null])
      expect(() => model.fromDLPack(capsule, 'uint8', { stream: wrong as bigint })).toThrow(
        flowError('ERR_ARGUMENT', 'stream'),
      )
    expect(() => model.fromDLPack(capsule, 'uint8', stream as never)).toThrow(
      flowError('ERR_ARGUMENT', 'options'),
    )
    foreign.destroyStream(stream)
    expect(outstanding()).toBe(2)
    using gone = model.fromDLPack(capsule, 'uint8', { stream })
    await expect(gone.toHost()).rejects.toThrow(flowError('ERR_ARGUMENT', 'stream', 'no handle'))
    expect(model.fromDLPack(onHost).device).toBe('cpu')
    expect((await model.flow(a, b)).width).toBe(160)
  })

  it('is refused on another GPU', async () => {
    vi.stubEnv('EMULATOR_DEVICES', '2')
    await using model = await loadTiny({ device: 'cuda:1', precision: 'fp16' })
    const capsule = make({ bytes: new Uint8Array(4), shape: [4], ...uint8, ...onGpu })
    expect(() => model.fromDLPack(capsule)).toThrow(flowError('ERR_ARGUMENT', 'GPU 0', 'GPU 1'))
  })

  it('that its owner has freed is refused by every call, and the model works on', async () => {
    await using model = await load()
    const capsule = make({ bytes: new Uint8Array(16), shape: [4], ...onGpu })
    const tensor = model.fromDLPack(capsule, 'float32')
    const again = native.take(tensor.toDLPack())
    expect(again).toMatchObject({ pointer: tensor.pointer, deviceType: 2 })
    native.freeUnder(tensor.pointer)
    await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_ARGUMENT', 'freed'))
    expect(() => tensor.copyFromSync(new Float32Array(4))).toThrow(flowError('ERR_ARGUMENT', 'freed'))
    expect(() => tensor.toDLPack()).toThrow(flowError('ERR_ARGUMENT', 'freed'))
    tensor.dispose()
    expect(outstanding()).toBe(1)
    native.letGo(again.handle, 'here')
    await model.features(a) // comes after the work that lets go
    while (outstanding() > 0) await new Promise(setImmediate)
  })
})

it('3,000 tensors in each state, both ways, leave no memory behind', () => expectNoLeak('cuda', 3000))
