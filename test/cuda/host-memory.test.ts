import { afterEach, describe, expect, it, vi } from 'vitest'
import { type FlowField, type FlowModel, type Frame, PIXEL_FORMATS } from '../../lib/index.js'
import { runScript } from '../support/child.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { made, madeCopy, traced } from '../support/host-trace.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
const FIELD_BYTES = 8 * a.width * a.height

afterEach(() => vi.unstubAllEnvs())

/** Both frames in memory that the model made. */
async function madeFrames(model: FlowModel) {
  const [first, firstAddress] = await madeCopy(model, a)
  const [second, secondAddress] = await madeCopy(model, b)
  return { first, second, firstAddress, secondAddress }
}

describe('a field that a model makes', () => {
  it('is written by the device itself, with the bits of an ordinary one', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const [field, address] = await made(() => model.createField(a.width, a.height))
    expect(field.data.every((value) => value === 0)).toBe(true)
    for (let round = 0; round < 4; round++) {
      field.data.fill(0)
      const { result, events } = await traced(() => model.flow(a, b, { into: field }))
      expect(result).toBe(field)
      expect(sameBits(field.data, expected.data)).toBe(true)
      expect(events.filter(({ what }) => what === 'to-host')).toEqual([
        { what: 'to-host', address, bytes: FIELD_BYTES },
      ])
      const ordinary = await traced(() => model.flow(a, b))
      expect(ordinary.events.some(({ what }) => what === 'to-host')).toBe(true)
      expect(ordinary.events.some((event) => event.address === address)).toBe(false)
      expect(sameBits(ordinary.result.data, expected.data)).toBe(true)
    }
  })

  it('serves every call that fills a field, at every size', async () => {
    await using model = await load()
    using from = await model.features(a)
    using to = await model.features(b)
    for (const output of [
      [112, 160],
      [33, 47],
    ] as const) {
      const expected = await model.flow(a, b, { output })
      const [into, address] = await made(() => model.createField(output[1], output[0]))
      for (const call of [
        () => model.flow(a, b, { output, into }),
        () => model.flowSync(a, b, { output, into }),
        () => model.flowFromFeatures(from, to, { output, into }),
        () => model.flowFromFeaturesSync(from, to, { output, into }),
      ]) {
        into.data.fill(0)
        const { events } = await traced<FlowField>(call)
        expect(events.filter(({ what }) => what === 'to-host')).toMatchObject([{ address }])
        expect(sameBits(into.data, expected.data)).toBe(true)
      }
    }
  })

  it('outlives its model, and serves another', async () => {
    const model = await load()
    const expected = await model.flow(a, b)
    const [field, address] = await made(() => model.createField(a.width, a.height))
    await model.flow(a, b, { into: field })
    const { events } = await traced(() => model.dispose())
    expect(events.some((event) => event.address === address)).toBe(false)
    expect(sameBits(field.data, expected.data)).toBe(true)
    await using other = await load()
    field.data.fill(0)
    const call = await traced(() => other.flow(a, b, { into: field }))
    expect(call.events.filter(({ what }) => what === 'to-host')).toMatchObject([{ address }])
    expect(sameBits(field.data, expected.data)).toBe(true)
    await using cpu = await loadTiny()
    await cpu.flow(a, b, { into: field })
    expect(sameBits(field.data, (await cpu.flow(a, b)).data)).toBe(true)
  })

  it('can be copied to another thread, and stays what it is', async () => {
    await using model = await load()
    const field = await model.flow(a, b, { into: model.createField(a.width, a.height) })
    const copy = structuredClone(field.data)
    expect(sameBits(copy, field.data)).toBe(true)
    try {
      structuredClone(field.data, { transfer: [field.data.buffer as ArrayBuffer] })
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' }) // Node 20 copies
    }
    expect(sameBits(copy, field.data)).toBe(true)
  })
})

describe('a frame that a model makes', () => {
  it('is read by the device itself, with the bits of an ordinary one', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const { first, second, firstAddress, secondAddress } = await madeFrames(model)
    for (let round = 0; round < 4; round++) {
      const { result, events } = await traced(() => model.flow(first, second))
      expect(sameBits(result.data, expected.data)).toBe(true)
      expect(events.filter(({ what }) => what === 'to-device')).toEqual([
        { what: 'to-device', address: firstAddress, bytes: first.data.length },
        { what: 'to-device', address: secondAddress, bytes: second.data.length },
      ])
      const swapped = await traced(() => model.flow(second, first))
      expect(swapped.events.filter(({ what }) => what === 'to-device')).toMatchObject([
        { address: secondAddress },
        { address: firstAddress },
      ])
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
    }
  })

  it.each(PIXEL_FORMATS)('of format %s is resized as an ordinary one', async (format) => {
    await using model = await load()
    const [width, height] = [61, 39]
    const [frame, address] = await made(() => model.createFrame({ width, height, format }))
    frame.data.set(noiseFrame(100, 80, 1).data.subarray(0, frame.data.length))
    const ordinary: Frame = { ...frame, data: frame.data.slice() }
    const size = [48, 80] as const
    const expected = await model.flow(ordinary, ordinary, { size })
    for (let round = 0; round < 3; round++) {
      const { result, events } = await traced(() => model.flow(frame, frame, { size }))
      expect(sameBits(result.data, expected.data)).toBe(true)
      expect(events.filter((event) => event.address === address)).toHaveLength(2)
      await model.flow(a, b) // other taps
    }
  })

  it('needs no page-locked memory but its own, and a field none but its own', async () => {
    await using model = await load()
    const { first, second } = await madeFrames(model)
    const into = model.createField(a.width, a.height)
    const { events } = await traced(() => model.flow(first, second, { into }))
    expect(events.filter(({ what }) => what === 'alloc')).toEqual([])
  })

  it('may be used in part', async () => {
    await using model = await load()
    const { first, second } = await madeFrames(model)
    const stride = 3 * a.width
    const parts: ((frame: Frame) => Frame)[] = [
      (frame) => ({ ...frame, height: 48, data: frame.data.subarray(0, stride * 48) }),
      (frame) => ({ ...frame, height: 48, data: frame.data.subarray(stride * 9, stride * 57) }),
      (frame) => ({ ...frame, width: 77, stride, format: 'rgb' }),
      (frame) => ({ ...frame, width: 77, height: 50, stride, format: 'rgb', data: frame.data.subarray(303) }),
    ]
    for (const part of parts) {
      const expected = await model.flow(part(a), part(b))
      expect(sameBits((await model.flow(part(first), part(second))).data, expected.data)).toBe(true)
    }
  })
})

describe('want of page-locked memory', () => {
  it('is ERR_OUT_OF_MEMORY, leaves the model alive, and passes', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    for (const make of [
      () => model.createField(20, 10),
      () => model.createFrame({ width: 20, height: 10 }),
    ]) {
      vi.stubEnv('EMULATOR_FAIL', 'cuMemHostAlloc:1')
      expect(make).toThrow(flowError('ERR_OUT_OF_MEMORY', 'page-locked'))
      vi.unstubAllEnvs()
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
      make()
    }
    expect(() => model.createField(2 ** 20, 2 ** 26)).toThrow(flowError('ERR_OUT_OF_MEMORY'))
  })

  it('of a staging buffer leaves what needs none', async () => {
    await using model = await load()
    const { first, second } = await madeFrames(model)
    const into = model.createField(a.width, a.height)
    vi.stubEnv('EMULATOR_FAIL', 'cuMemHostAlloc:1+')
    await expect(model.flow(a, b)).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY'))
    await model.flow(first, second, { into })
    await expect(model.flow(first, second)).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY'))
    vi.unstubAllEnvs()
    expect(sameBits((await model.flow(a, b)).data, into.data)).toBe(true)
  })
})

describe('memory that nobody refers to any more', () => {
  const run = (how: string) =>
    runScript('forget-fields.mjs', [how]).then(({ code, signal, stdout, stderr }) => {
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
      return JSON.parse(stdout) as Readonly<Record<'made' | 'freed' | 'late', number>>
    })

  it('is freed while the model lives', async () => {
    const { made: all, freed } = await run('live')
    expect(all).toBe(200)
    expect(freed).toBe(all)
  })

  it('is freed when the model is gone, and not before', async () => {
    const { made: all, freed } = await run('disposed')
    expect(all).toBe(20)
    expect(freed).toBe(all)
  })

  it('is freed although nobody asks for it: its size counts', async () => {
    const { made: all, freed } = await run('pressure')
    expect(freed).toBeGreaterThan(all / 2)
  })

  it('is freed at the end of the process, and of a worker thread whose calls use it', async () => {
    const { made: all, freed, late } = await run('workers')
    expect(all).toBe(24)
    expect(late).toBe(0)
    expect(freed).toBe(all)
  })
})
