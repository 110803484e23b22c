import { afterEach, describe, expect, it, vi } from 'vitest'
import { whileBusy } from '../support/busy.js'
import { runScript } from '../support/child.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { traced } from '../support/host-trace.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
const VALUES = Float32Array.from({ length: 24 }, (_, i) => i + 1)

afterEach(() => vi.unstubAllEnvs())

describe('a tensor on the device', () => {
  it('is one block of device memory, of zeros', async () => {
    await using model = await load()
    const { result: tensor, events, onDevice } = await traced(() => model.createTensor([4, 2, 3]))
    expect(events).toEqual([])
    expect(onDevice).toMatchObject([{ what: 'device-alloc', bytes: 96 }])
    expect(tensor).toMatchObject({ device: 'cuda:0', strides: [6, 3, 1], data: null })
    expect(`0x${tensor.pointer.toString(16)}`).toBe(onDevice[0]!.address)
    expect(await tensor.toHost()).toEqual(new Float32Array(24))
    tensor.dispose()
  })

  it('crosses the bus once, with its own bytes', async () => {
    await using model = await load()
    using tensor = model.createTensor([4, 2, 3])
    const there = await traced(() => tensor.copyFrom(VALUES))
    expect(there.events).toMatchObject([{ what: 'to-device', bytes: 96 }])
    const back = await traced(() => tensor.toHost())
    expect(back.events).toMatchObject([{ what: 'to-host', bytes: 96 }])
    expect(back.result).toEqual(VALUES)
    const part = await traced(() => tensor.slice(1, 3).toHostSync())
    expect(part.events).toMatchObject([{ what: 'to-host', bytes: 48 }])
    expect(part.result).toEqual(VALUES.subarray(6, 18))
  })

  it('is copied to another one on the device alone, of another model too', async () => {
    await using model = await load()
    await using other = await load()
    using tensor = model.createTensor([4, 2, 3])
    await tensor.copyFrom(VALUES)
    for (const one of [model, other]) {
      using copy = one.createTensor([2, 2, 3])
      const { events } = await traced(() => copy.copyFrom(tensor.slice(2)))
      expect(events).toEqual([])
      expect(await copy.toHost()).toEqual(VALUES.subarray(12))
    }
  })

  it('is freed once it is disposed, and its slices too', async () => {
    await using model = await load()
    const tensor = model.createTensor([4, 2, 3])
    const slice = tensor.slice(1)
    const address = `0x${tensor.pointer.toString(16)}`
    const kept = await traced(async () => {
      tensor.dispose()
      await slice.toHost()
    })
    expect(kept.onDevice).toEqual([])
    const { onDevice } = await traced(async () => {
      slice.dispose()
      await model.features(a) // comes after the work that frees
    })
    expect(onDevice.filter(({ what }) => what === 'device-free')).toMatchObject([{ address }])
  })

  it('is freed after the calls that use it', async () => {
    await using model = await load()
    const { onDevice } = await traced(async () => {
      const { made } = await whileBusy(model, () => {
        const tensor = model.createTensor([4, 2, 3])
        const calls = [tensor.copyFrom(VALUES).then(() => new Float32Array()), tensor.toHost()]
        tensor.dispose()
        return calls
      })
      expect(await made[1]).toEqual(VALUES)
      await model.features(a)
    })
    const ours = onDevice.filter(({ what, bytes }) => what === 'device-alloc' && bytes === 96)
    for (const { address } of ours)
      expect(onDevice).toContainEqual({ what: 'device-free', address, bytes: 0 })
  })

  it('outlives its model, and is then copied by another', async () => {
    const model = await load()
    const tensor = await model.createTensor([4, 2, 3]).copyFrom(VALUES)
    await model.dispose()
    await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_DISPOSED', 'model'))
    await using other = await load()
    using copy = other.createTensor([4, 2, 3])
    expect(await (await copy.copyFrom(tensor)).toHost()).toEqual(VALUES)
    const address = `0x${tensor.pointer.toString(16)}`
    const { onDevice } = await traced(() => tensor.dispose())
    expect(onDevice).toMatchObject([{ what: 'device-free', address }])
  })

  it('that there is no room for is ERR_OUT_OF_MEMORY, and the model works on', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_FAIL', 'cuMemAlloc:1')
    expect(() => model.createTensor([4])).toThrow(flowError('ERR_OUT_OF_MEMORY'))
    vi.unstubAllEnvs()
    expect(() => model.createTensor([2 ** 20, 2 ** 25])).toThrow(flowError('ERR_OUT_OF_MEMORY', 'GPU'))
    expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
    model.createTensor([4]).dispose()
  })

  it('is not for a model on the CPU', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    using tensor = model.createTensor([4])
    using other = cpu.createTensor([4])
    expect(() => other.copyFromSync(tensor)).toThrow(flowError('ERR_ARGUMENT', 'another device'))
    expect(other.copyFromSync(VALUES.slice(0, 4)).toHostSync()).toEqual(VALUES.slice(0, 4))
  })
})

describe("a tensor in the host's memory", () => {
  it('is page-locked, and the device copies it directly', async () => {
    await using model = await load()
    const { result: host, events } = await traced(() =>
      model.createTensor([4, 2, 3], 'float32', { on: 'host' }),
    )
    expect(events).toMatchObject([{ what: 'alloc', bytes: 96 }])
    const { address } = events[0]!
    expect(host.device).toBe('cpu')
    expect(`0x${host.pointer.toString(16)}`).toBe(address)
    host.data!.set(VALUES)
    using device = model.createTensor([4, 2, 3])
    const there = await traced(() => device.copyFrom(host))
    expect(there.events).toEqual([{ what: 'to-device', address, bytes: 96 }])
    host.data!.fill(0)
    const back = await traced(() => host.copyFrom(device))
    expect(back.events).toEqual([{ what: 'to-host', address, bytes: 96 }])
    expect(host.data).toEqual(VALUES)
  })
})

describe("a feature map's tensor", () => {
  it('is where the engine has them: making it moves nothing', async () => {
    await using model = await load()
    using map = await model.features(a)
    const values = await map.read()
    const { result: tensor, events, onDevice } = await traced(() => map.tensor)
    expect([events, onDevice]).toEqual([[], []])
    expect(tensor).toMatchObject({ shape: [7, 10, 64], device: 'cuda:0', readOnly: true, data: null })
    const read = await traced(() => tensor.toHost())
    expect(read.events).toMatchObject([{ what: 'to-host', bytes: 4 * 7 * 10 * 64 }])
    expect(sameBits(read.result, values)).toBe(true)
    expect(sameBits(tensor.slice(2, 4).toHostSync(), values.subarray(2 * 640, 4 * 640))).toBe(true)
    using copy = model.createTensor(tensor.shape)
    const onGpu = await traced(() => copy.copyFrom(tensor))
    expect(onGpu.events).toEqual([])
    expect(sameBits(await copy.toHost(), values)).toBe(true)
  })

  it('keeps the features when the map is disposed, and then the model', async () => {
    const model = await load()
    const map = await model.features(a)
    const values = await map.read()
    const { tensor } = map
    map.dispose()
    for (let seed = 1; seed < 10; seed++) model.featuresSync(noiseFrame(160, 112, seed)).dispose()
    expect(sameBits(await tensor.toHost(), values)).toBe(true)
    await model.dispose()
    await using other = await load()
    using copy = other.createTensor(tensor.shape)
    expect(sameBits(await (await copy.copyFrom(tensor)).toHost(), values)).toBe(true)
    tensor.dispose()
  })
})

it('tensors that nobody disposes, and many that are, leave no memory behind', async () => {
  const { code, signal, stdout, stderr } = await runScript('forget-tensors.mjs')
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  const { disposed, forgotten, features } = JSON.parse(stdout) as Record<
    string,
    { made: number; freed: number }
  >
  expect(disposed).toEqual({ made: 10_000, freed: 10_000 })
  expect(forgotten).toEqual({ made: 200, freed: 200 })
  expect(features!.made).toBeLessThan(20) // the slots of features are used again
})
