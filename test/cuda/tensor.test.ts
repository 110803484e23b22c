import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { readFile } from 'node:fs/promises'
import {
  FlowField,
  type FlowModel,
  type FlowOptions,
  type FrameSource,
  type StreamResult,
  type Tensor,
  type TensorFrame,
  type TensorMaps,
} from '../../lib/index.js'
import { whileBusy } from '../support/busy.js'
import { runScript } from '../support/child.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { type HostEvent, traced } from '../support/host-trace.js'
import { withFlow } from '../support/streams.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
const VALUES = Float32Array.from({ length: 24 }, (_, i) => i + 1)

/** What went over the bus. Memory that a test before forgot may be freed at any time. */
const copies = ({ events }: { readonly events: readonly HostEvent[] }) =>
  events.filter(({ what }) => what === 'to-device' || what === 'to-host')
const allocated = ({ onDevice }: { readonly onDevice: readonly HostEvent[] }) =>
  onDevice.filter(({ what }) => what === 'device-alloc')
const hex = (pointer: bigint) => `0x${pointer.toString(16)}`

afterEach(() => vi.unstubAllEnvs())

describe('a tensor on the device', () => {
  it('is one block of device memory, of zeros', async () => {
    await using model = await load()
    const made = await traced(() => model.createTensor([4, 2, 3]))
    const { result: tensor } = made
    expect(copies(made)).toEqual([])
    const onDevice = allocated(made)
    expect(onDevice).toMatchObject([{ what: 'device-alloc', bytes: 96 }])
    expect(tensor).toMatchObject({ device: 'cuda:0', strides: [6, 3, 1], data: null })
    expect(hex(tensor.pointer)).toBe(onDevice[0]!.address)
    expect(await tensor.toHost()).toEqual(new Float32Array(24))
    tensor.dispose()
  })

  it('crosses the bus once, with its own bytes', async () => {
    await using model = await load()
    using tensor = model.createTensor([4, 2, 3])
    const there = await traced(() => tensor.copyFrom(VALUES))
    expect(copies(there)).toMatchObject([{ what: 'to-device', bytes: 96 }])
    const back = await traced(() => tensor.toHost())
    expect(copies(back)).toMatchObject([{ what: 'to-host', bytes: 96 }])
    expect(back.result).toEqual(VALUES)
    const part = await traced(() => tensor.slice(1, 3).toHostSync())
    expect(copies(part)).toMatchObject([{ what: 'to-host', bytes: 48 }])
    expect(part.result).toEqual(VALUES.subarray(6, 18))
  })

  it('is copied to another one on the device alone, of another model too', async () => {
    await using model = await load()
    await using other = await load()
    using tensor = model.createTensor([4, 2, 3])
    await tensor.copyFrom(VALUES)
    for (const one of [model, other]) {
      using copy = one.createTensor([2, 2, 3])
      expect(copies(await traced(() => copy.copyFrom(tensor.slice(2))))).toEqual([])
      expect(await copy.toHost()).toEqual(VALUES.subarray(12))
    }
  })

  it('gives its memory to the next one of its size once it is disposed, and its slices too', async () => {
    await using model = await load()
    const tensor = await model.createTensor([4, 2, 3]).copyFrom(VALUES)
    const slice = tensor.slice(1)
    const { pointer } = tensor
    tensor.dispose()
    using other = model.createTensor([4, 2, 3])
    expect(other.pointer).not.toBe(pointer)
    expect(await slice.toHost()).toEqual(VALUES.subarray(6))
    const { result: next, onDevice } = await traced(() => {
      slice.dispose()
      return model.createTensor([24])
    })
    expect(next.pointer).toBe(pointer)
    expect(onDevice).toEqual([])
    expect(await next.toHost()).toEqual(new Float32Array(24))
    next.dispose()
  })

  it('gives it to none before the calls that use it are done', async () => {
    await using model = await load()
    let pointer = 0n
    const { made } = await whileBusy(model, () => {
      const tensor = model.createTensor([4, 2, 3])
      pointer = tensor.pointer
      const calls = [tensor.copyFrom(VALUES).then(() => new Float32Array()), tensor.toHost()]
      tensor.dispose()
      expect(model.createTensor([4, 2, 3]).pointer).not.toBe(pointer)
      return calls
    })
    expect(await made[1]).toEqual(VALUES)
    await model.features(a) // the calls are answered
    expect(model.createTensor([4, 2, 3]).pointer).toBe(pointer)
  })

  it('frees nothing while tensors come and go, and keeps little of what no tensor has', async () => {
    await using model = await load()
    const most = model.info.gpu!.memory / 16
    const steady = await traced(() => {
      for (let i = 0; i < 1000; i++) {
        using small = model.createTensor([1000 + (i % 3)])
        small.slice(1).dispose()
        model.createTensor([64, 64], 'uint8').dispose()
      }
    })
    expect(allocated(steady)).toHaveLength(4)
    expect(steady.onDevice).toHaveLength(4)
    // 540 MiB, each of a size of its own, so that none serves another.
    const { onDevice } = await traced(async () => {
      for (let i = 0; i < 60; i++) model.createTensor([(9 << 20) + i], 'uint8').dispose()
      await model.features(a) // comes after the work that frees
    })
    const live = new Map<string, number>()
    for (const { what, address, bytes } of onDevice) {
      if (what === 'device-alloc') live.set(address, bytes)
      else live.delete(address)
    }
    expect([...live.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(most)
    expect(onDevice.some(({ what }) => what === 'device-free')).toBe(true)
  })

  it('takes what no tensor has if the GPU has no more', async () => {
    await using model = await load()
    model.createTensor([1 << 20]).dispose()
    vi.stubEnv('EMULATOR_FAIL', 'cuMemAlloc:1')
    const { result: tensor, onDevice } = await traced(() => model.createTensor([(1 << 20) + 1]))
    expect(onDevice.some(({ what }) => what === 'device-free')).toBe(true)
    expect(allocated({ onDevice })).toMatchObject([{ bytes: 4 * ((1 << 20) + 1) }])
    tensor.dispose()
  })

  it('of any shape gives back what was copied to any slice of it, whose memory was used before', async () => {
    await using model = await load()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }).chain((shape) =>
          fc.record({
            shape: fc.constant(shape),
            dtype: fc.constantFrom('float32', 'uint8'),
            begin: fc.integer({ min: 0, max: shape[0]! - 1 }),
            length: fc.integer({ min: 1, max: shape[0]! }),
          }),
        ),
        async ({ shape, dtype, begin, length }) => {
          const end = Math.min(shape[0]!, begin + length)
          using tensor = model.createTensor(shape, dtype)
          const row = shape.slice(1).reduce((product, side) => product * side, 1)
          const values = Array.from({ length: row * (end - begin) }, (_, i) => i + 1)
          using part = tensor.slice(begin, end)
          await part.copyFrom((dtype === 'uint8' ? Uint8Array : Float32Array).from(values))
          const zeros = (rows: number) => Array<number>(rows * row).fill(0)
          const expected = [...zeros(begin), ...values, ...zeros(shape[0]! - end)]
          expect([...(await tensor.toHost())]).toEqual(expected.map((v) => (dtype === 'uint8' ? v & 255 : v)))
        },
      ),
      { numRuns: 60, seed: 22 },
    )
  })

  it('is not given on if another process may look at it', async () => {
    vi.stubEnv('EMULATOR_IPC', '1')
    await using model = await load()
    const tensor = model.createTensor([12345])
    const { pointer } = tensor
    tensor.share()
    const { onDevice } = await traced(async () => {
      tensor.dispose()
      await model.features(a) // comes after the work that frees
    })
    expect(onDevice).toContainEqual({ what: 'device-free', address: hex(pointer), bytes: 0 })
  })

  it('outlives its model, and is then copied by another', async () => {
    const model = await load()
    const tensor = await model.createTensor([4, 2, 3]).copyFrom(VALUES)
    await model.dispose()
    await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_DISPOSED', 'model'))
    await using other = await load()
    using copy = other.createTensor([4, 2, 3])
    expect(await (await copy.copyFrom(tensor)).toHost()).toEqual(VALUES)
    const { pointer } = tensor
    tensor.dispose()
    expect(other.createTensor([4, 2, 3]).pointer).toBe(pointer)
  })

  it('that there is no room for is ERR_OUT_OF_MEMORY, and the model works on', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    vi.stubEnv('EMULATOR_FAIL', 'cuMemAlloc:1+')
    expect(() => model.createTensor([4321])).toThrow(flowError('ERR_OUT_OF_MEMORY'))
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
    const allocations = events.filter(({ what }) => what === 'alloc')
    expect(allocations).toMatchObject([{ bytes: 96 }])
    const { address } = allocations[0]!
    expect(host.device).toBe('cpu')
    expect(hex(host.pointer)).toBe(address)
    host.data!.set(VALUES)
    using device = model.createTensor([4, 2, 3])
    const there = await traced(() => device.copyFrom(host))
    expect(copies(there)).toEqual([{ what: 'to-device', address, bytes: 96 }])
    host.data!.fill(0)
    const back = await traced(() => host.copyFrom(device))
    expect(copies(back)).toEqual([{ what: 'to-host', address, bytes: 96 }])
    expect(host.data).toEqual(VALUES)
  })
})

describe("a feature map's tensor", () => {
  it('is where the engine has them: making it moves nothing', async () => {
    await using model = await load()
    using map = await model.features(a)
    const values = await map.read()
    const looked = await traced(() => map.tensor)
    const { result: tensor } = looked
    expect([copies(looked), allocated(looked)]).toEqual([[], []])
    expect(tensor).toMatchObject({ shape: [7, 10, 64], device: 'cuda:0', readOnly: true, data: null })
    const read = await traced(() => tensor.toHost())
    expect(copies(read)).toMatchObject([{ what: 'to-host', bytes: 4 * 7 * 10 * 64 }])
    expect(sameBits(read.result, values)).toBe(true)
    expect(sameBits(tensor.slice(2, 4).toHostSync(), values.subarray(2 * 640, 4 * 640))).toBe(true)
    using copy = model.createTensor(tensor.shape)
    const onGpu = await traced(() => copy.copyFrom(tensor))
    expect(copies(onGpu)).toEqual([])
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

describe('results on the device', () => {
  const wanted = { backward: true, occlusion: true, confidence: true } as const
  const output = { on: 'device' } as const

  it('and frames there cross no bus, in a graph too, with the bits of ordinary ones', async () => {
    await using model = await load()
    const maps = await model.flowMaps(a, b, wanted)
    const picture = await model.flowPicture(a, b)
    const [first, second] = [a, b].map((frame) => ({
      ...frame,
      data: model.createTensor([frame.data.length], 'uint8').copyFromSync(frame.data),
    })) as [TensorFrame, TensorFrame]
    const into = model.createTensor([2, a.height, a.width])
    await model.flow(first, second, { into }) // allocates buffers of the engine
    let replays = 0
    for (let round = 0; round < 3; round++) {
      const call = await traced(() => model.flow(first, second, { into }))
      expect([copies(call), allocated(call)]).toEqual([[], []])
      replays += call.replays
      expect(sameBits(await into.toHost(), maps.flow.data)).toBe(true)
    }
    expect(replays).toBeGreaterThan(0)
    const all = await traced(() => model.flowMaps(first, second, { ...wanted, into }))
    expect(copies(all)).toEqual([])
    expect(sameBits(await all.result.flow.toHost(), maps.flow.data)).toBe(true)
    expect(sameBits(await all.result.backward!.toHost(), maps.backward!.data)).toBe(true)
    expect(await all.result.occlusion!.toHost()).toEqual(maps.occlusion!.data)
    expect(sameBits(await all.result.confidence!.toHost(), maps.confidence!.data)).toBe(true)
    const drawn = await traced(() => model.flowPicture(first, second, { output }))
    expect(copies(drawn)).toEqual([])
    expect(await drawn.result.toHost()).toEqual(picture.data)
    const features = await traced(() => model.features(first))
    expect(copies(features)).toEqual([])
    const step = await traced(() => model.advance(features.result, second, { output }))
    expect(copies(step)).toEqual([])
    expect(sameBits(await step.result.flow.toHost(), maps.flow.data)).toBe(true)
  })

  it('of frames in page-locked memory to page-locked memory: each byte once', async () => {
    await using model = await load()
    const data = [a, b].map((frame) =>
      model.createTensor([frame.data.length], 'uint8', { on: 'host' }).copyFromSync(frame.data),
    )
    const [first, second] = data.map((tensor) => ({ ...a, data: tensor })) as [TensorFrame, TensorFrame]
    const into = model.createTensor([2, a.height, a.width], 'float32', { on: 'host' })
    await model.flow(first, second, { into })
    expect(copies(await traced(() => model.flow(first, second, { into })))).toEqual([
      { what: 'to-device', address: hex(data[0]!.pointer), bytes: a.data.length },
      { what: 'to-device', address: hex(data[1]!.pointer), bytes: b.data.length },
      { what: 'to-host', address: hex(into.pointer), bytes: 8 * a.width * a.height },
    ])
  })

  it('go to a slice that is aligned, and to no other', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    using ring = model.createTensor([6, a.height, a.width])
    for (const turn of [2, 0, 1]) {
      using into = ring.slice(2 * turn, 2 * turn + 2)
      const { events } = await traced(() => model.flow(a, b, { into }))
      expect(events.filter(({ what }) => what === 'to-host')).toEqual([])
    }
    for (const turn of [0, 1, 2])
      expect(sameBits(await ring.slice(2 * turn, 2 * turn + 2).toHost(), expected.data)).toBe(true)
    using odd = model.createTensor([5, 3, 3])
    const options = { output: [3, 3] } as const
    const small = await model.flow(a, b, options)
    await expect(model.flow(a, b, { ...options, into: odd.slice(1, 3) })).rejects.toThrow(
      flowError('ERR_ARGUMENT', '16 bytes'),
    )
    await model.flow(a, b, { ...options, into: odd.slice(0, 2) })
    expect(sameBits((await odd.toHost()).subarray(0, 18), small.data)).toBe(true)
    expect((await odd.toHost()).subarray(18)).toEqual(new Float32Array(27))
  })

  it('are not for a model on another device', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const into = model.createTensor([2, a.height, a.width])
    const data = model.createTensor([a.data.length], 'uint8')
    const said = flowError('ERR_ARGUMENT', 'another device')
    await expect(cpu.flow(a, b, { into })).rejects.toThrow(said)
    await expect(cpu.flow({ ...a, data }, b)).rejects.toThrow(said)
    expect(sameBits((await cpu.flow(a, b)).data, (await cpu.flow(a, b)).data)).toBe(true)
  })

  it('and frames there outlast a disposal during the call', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const { made } = await whileBusy(model, () => {
      const data = model.createTensor([a.data.length], 'uint8')
      const into = model.createTensor([2, a.height, a.width])
      const kept = into.slice(0)
      const calls = [
        data.copyFrom(a.data).then(() => new Float32Array()),
        model.flow({ ...a, data }, b, { into }).then(() => kept.toHost()),
      ]
      data.dispose()
      into.dispose()
      return calls
    })
    expect(sameBits((await made[1])!, expected.data)).toBe(true)
  })

  it('takes frames into a stream', async () => {
    await using model = await load()
    using ordinary = model.stream()
    using stream = model.stream()
    for (const frame of [a, b, b, a]) {
      const expected = await ordinary.push(frame)
      const data = model.createTensor([frame.data.length], 'uint8').copyFromSync(frame.data)
      const { result, events } = await traced(() => stream.push({ ...frame, data }))
      expect(events.filter(({ what }) => what === 'to-device')).toEqual([])
      expect(result?.flow === undefined).toBe(expected?.flow === undefined)
      // A duplicate is told from bytes on the host alone.
      if (result?.flow && expected?.flow && !('duplicate' in expected && expected.duplicate))
        expect(sameBits(result.flow.data, expected.flow.data)).toBe(true)
    }
  })
})

describe('a stream with results on the device', () => {
  const wanted = { backward: true, occlusion: true, confidence: true } as const
  const frames = [a, b, noiseFrame(a.width, a.height, 3), a, b, noiseFrame(a.width, a.height, 4)]
  const onDevice = (model: FlowModel) =>
    frames.map((frame) => ({
      ...frame,
      data: model.createTensor([frame.data.length], 'uint8').copyFromSync(frame.data),
    }))

  it('moves nothing over the bus, and with reuse allocates nothing after its first frames', async () => {
    await using model = await load()
    using ordinary = model.stream(wanted)
    using stream = model.stream({ ...wanted, output: { on: 'device' }, reuse: true })
    const given = onDevice(model)
    const pointers = new Set<bigint>()
    for (let round = 0; round < 5; round++) {
      let captures = 0
      for (const [i, frame] of given.entries()) {
        const step = await traced(() => stream.push(frame))
        const expected = await ordinary.push(frames[i]!)
        // The first frames fill tables for this size, and each of six results is allocated once. Memory of other tests may be
        // released at any time.
        if (round * given.length + i > 6) expect([copies(step), allocated(step)]).toEqual([[], []])
        captures += step.captures
        if (round === 0 && i === 0) continue
        const { flow, backward, occlusion, confidence } = withFlow(step.result)
        const bits = withFlow(expected)
        pointers.add(flow.pointer)
        expect(sameBits(await flow.toHost(), bits.flow.data)).toBe(true)
        expect(sameBits(await backward!.toHost(), bits.backward!.data)).toBe(true)
        expect(await occlusion!.toHost()).toEqual(bits.occlusion!.data)
        expect(sameBits(await confidence!.toHost(), bits.confidence!.data)).toBe(true)
      }
      // Six frames, six results and three slots of features: each graph fits again after six turns, and is recorded then.
      if (round > 2) expect(captures).toBe(0)
    }
    expect(pointers.size).toBe(6)
  })

  it('replays one graph for each result if the frames take turns with them', async () => {
    await using model = await load()
    using stream = model.stream({ output: { on: 'device' }, reuse: true })
    const [first] = onDevice(model)
    const round = async () => {
      for (let i = 0; i < 30; i++) await stream.push(first!)
    }
    await round()
    const steady = await traced(round)
    expect(steady).toMatchObject({ captures: 0, replays: 30, events: [] })
    expect(allocated(steady)).toEqual([])
  })

  it('gives them by every way out of it, and to the tensor of a push', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    using stream = model.stream({ output: { on: 'device' } })
    const given = onDevice(model).slice(0, 2)
    const results: StreamResult<TensorMaps>[] = []
    for await (const result of stream.from(given)) results.push(result)
    using into = model.createTensor([2, a.height, a.width])
    stream.reset()
    stream.pushSync(given[0]!)
    const step = await traced(() => stream.pushSync(given[1]!, { into }))
    expect([copies(step), allocated(step)]).toEqual([[], []])
    results.push(step.result!)
    for (const result of results)
      expect(sameBits(await withFlow(result).flow.toHost(), expected.data)).toBe(true)
    expect(withFlow(step.result).flow).toBe(into)
    // Bytes on the device are not compared. So are frames on the host, if the results are on the device.
    expect(withFlow(await stream.push(b))).toMatchObject({ duplicate: false })
    expect(withFlow(await stream.push(b))).toMatchObject({ duplicate: false })
  })

  it('disposes tensors of another size when it would write them again, and no sooner', async () => {
    await using model = await load()
    using stream = model.stream({ ...wanted, output: { on: 'device' }, reuse: true })
    const push = async (width: number, height: number, count: number) => {
      const results: TensorMaps[] = []
      for (let i = 0; i < count; i++) {
        const result = await stream.push(noiseFrame(width, height, i))
        if (result?.flow) results.push(result)
      }
      return results
    }
    const large = await push(160, 112, 7)
    const last = large.at(-1)!
    const values = await last.flow.toHost()
    const small = await push(96, 64, 5) // four flows
    expect(sameBits(await last.flow.toHost(), values)).toBe(true)
    small.push(...(await push(96, 64, 3)))
    const tensors = (results: readonly TensorMaps[]) =>
      results.flatMap(({ flow, backward, occlusion, confidence }) => [
        flow,
        backward!,
        occlusion!,
        confidence!,
      ])
    expect(tensors(large).every(({ disposed }) => disposed)).toBe(true)
    expect(tensors(small).some(({ disposed }) => disposed)).toBe(false)
    expect(new Set(small.map(({ flow }) => flow)).size).toBe(6)
    stream.close()
    expect(small.at(-1)!.flow.disposed).toBe(false)
  })

  it('makes new tensors instead of those that were disposed', async () => {
    await using model = await load()
    using stream = model.stream({ output: { on: 'device' }, reuse: true })
    await stream.push(a)
    for (let i = 0; i < 8; i++) {
      const frame = frames[i % 2 === 0 ? 1 : 0]!
      const { flow } = withFlow(await stream.push(frame))
      const expected = await model.flow(i % 2 === 0 ? a : b, frame)
      expect(sameBits(await flow.toHost(), expected.data)).toBe(true)
      if (i % 3 === 0) flow.dispose()
    }
  })
})

describe('the bytes of the table in docs/guide/tensors.md', async () => {
  const page = await readFile(new URL('../../docs/guide/tensors.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| ([^|]+) \| ([^|]+) \| (2 F|0) +\| (R|0) +\|$/gm)].map(([, ...cells]) =>
    cells.map((cell) => cell.trim()),
  )
  const F = a.data.length
  const R = 8 * a.width * a.height
  const bytes: Readonly<Record<string, number>> = { '2 F': 2 * F, R, 0: 0 }

  it('are of seven rows', () => expect(rows).toHaveLength(7))

  it.each(rows)('%s, %s: %s and %s', async (frames, flow, toDevice, toHost) => {
    await using model = await load()
    const tensors = (on: 'host' | 'device') =>
      [a, b].map((frame) => ({
        ...frame,
        data: model.createTensor([F], 'uint8', { on }).copyFromSync(frame.data),
      }))
    const made = () =>
      [a, b].map((frame) => {
        const copy = model.createFrame(frame)
        copy.data.set(frame.data)
        return copy
      })
    const inputs: Readonly<Record<string, readonly (readonly FrameSource[])[]>> = {
      'ordinary arrays': [[a, b]],
      '`createFrame`, or a tensor on the host': [made(), tensors('host')],
      // foreign-memory.test.ts has those with a pointer.
      'tensors on the GPU, or a `pointer`': [tensors('device')],
    }
    const size = [2, a.height, a.width]
    const outputs: Readonly<Record<string, readonly (FlowField | Tensor<'float32'> | undefined)[]>> = {
      'an ordinary field': [undefined, new FlowField(a.width, a.height)],
      '`createField`, or such a tensor': [
        model.createField(a.width, a.height),
        model.createTensor(size, 'float32', { on: 'host' }),
      ],
      'a tensor on the GPU': [model.createTensor(size)],
    }
    using from = await model.features(a)
    using to = await model.features(b)
    const pairs = frames === 'feature maps' ? [[from, to]] : inputs[frames!]!
    for (const into of outputs[flow!]!)
      for (const pair of pairs) {
        const call = () =>
          frames === 'feature maps'
            ? model.flowFromFeatures(from, to, { into } as FlowOptions)
            : model.flow(...(pair as [FrameSource, FrameSource]), { into } as FlowOptions)
        await call() // tables for this size
        const { events } = await traced<unknown>(call)
        const sum = (way: string) =>
          events.filter(({ what }) => what === way).reduce((total, event) => total + event.bytes, 0)
        expect([sum('to-device'), sum('to-host')]).toEqual([bytes[toDevice!], bytes[toHost!]])
      }
  })
})

it('the memory of a disposed tensor, which the next one gets, is refused by its address', async () => {
  await using model = await loadTiny({ device: 'cuda', precision: 'fp16' })
  const tensor = model.createTensor([1000], 'uint8')
  const { pointer } = tensor
  tensor.dispose()
  expect(() => model.createTensor([10], 'uint8', { pointer })).toThrow(flowError('ERR_ARGUMENT', 'disposed'))
  using next = model.createTensor([1000], 'uint8')
  expect(next.pointer).toBe(pointer)
  using part = model.createTensor([10], 'uint8', { pointer })
  expect([...(await part.toHost())]).toEqual(Array.from({ length: 10 }, () => 0))
})

it('tensors that nobody disposes, and many that are, leave no memory behind', async () => {
  const { code, signal, stdout, stderr } = await runScript('forget-tensors.mjs')
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  interface Counts {
    readonly made: number
    readonly freed: number
  }
  const { disposed, forgotten, features } = JSON.parse(stdout) as {
    readonly disposed: Counts
    readonly forgotten: number
    readonly features: Counts
  }
  expect(disposed).toEqual({ made: 1, freed: 0 })
  expect(forgotten).toBe(0)
  expect(features.made).toBeLessThan(20) // the slots of features are used again
})
