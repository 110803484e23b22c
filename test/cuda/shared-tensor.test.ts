import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { SharedTensor, Tensor } from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { traced } from '../support/host-trace.js'

useEmulator()
process.env['EMULATOR_IPC'] = '1'
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })

/** test/support/share-tensors.mjs */
let decoder: ChildProcess

beforeAll(async () => {
  decoder = fork(fileURLToPath(new URL('../support/share-tensors.mjs', import.meta.url)))
  await once(decoder, 'message')
})
afterAll(() => decoder.kill())
afterEach(() => {
  vi.unstubAllEnvs()
})

/** Lets the other process do a job. */
async function ask<Answer>(job: string, more: object = {}, of = decoder): Promise<Answer> {
  const answer = once(of, 'message')
  of.send({ job, ...more })
  const [message] = (await answer) as unknown as readonly [Answer]
  return message
}

let made = 0

/** A tensor of the other process: its number there, and what it shares. */
async function make(shape: readonly number[], dtype: string, values?: ArrayLike<number>) {
  const shared = await ask<SharedTensor>('make', { shape, dtype, values: values && Array.from(values) })
  return { index: made++, shared }
}

describe('a tensor of another process', () => {
  it('is a frame and a result, without a byte over the bus', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const size = [a.height, a.width, 3]
    const [first, second] = [await make(size, 'uint8', a.data), await make(size, 'uint8', b.data)]
    const result = await make([2, a.height, a.width], 'float32')
    const frames = [first, second].map(({ shared }) => ({
      ...a,
      data: model.openShared(shared) as Tensor<'uint8'>,
    }))
    using into = model.openShared(result.shared) as Tensor<'float32'>
    expect(into).toMatchObject({ shape: [2, a.height, a.width], dtype: 'float32', device: 'cuda:0' })
    for (let round = 0; round < 3; round++) {
      const { events } = await traced(() => model.flow(frames[0]!, frames[1]!, { into }))
      const copies = events.filter(({ what }) => what.startsWith('to-'))
      if (round > 0) expect(copies).toEqual([])
    }
    expect(
      sameBits(Float32Array.from(await ask<number[]>('read', { index: result.index })), expected.data),
    ).toBe(true)
    for (const { data } of frames) data.dispose()
  })

  it('is opened once, with its slices, and closed with the last of them', async () => {
    await using model = await load()
    const values = Array.from({ length: 24 }, (_, i) => i)
    const { index, shared } = await make([4, 6], 'float32', values)
    const part = await ask<SharedTensor>('slice', { index, begin: 1, end: 3 })
    expect(JSON.parse(JSON.stringify(part))).toEqual({ ...shared, shape: [2, 6], offset: shared.offset + 24 })
    const { events } = await traced(async () => {
      const whole = model.openShared(shared)
      const again = model.openShared(structuredClone(shared))
      const slice = model.openShared(part)
      expect(again.pointer).toBe(whole.pointer)
      expect(slice.pointer).toBe(whole.pointer + 24n)
      expect([...(await slice.toHost())]).toEqual(values.slice(6, 18))
      whole.dispose()
      again.dispose()
      await slice.copyFrom(new Float32Array(12).fill(7))
      slice.dispose()
      await model.features(a) // comes after the work that closes
    })
    const opened = events.filter(({ what }) => what === 'open')
    const closed = events.filter(({ what }) => what === 'close')
    expect(new Set(opened.map(({ address }) => address)).size).toBe(1)
    expect(closed).toHaveLength(opened.length)
    expect(events.at(-1)!.what).not.toBe('open')
    // Closing it leaves the other process's memory as it is.
    expect(await ask('read', { index })).toEqual([
      ...values.slice(0, 6),
      ...Array(12).fill(7),
      ...values.slice(18),
    ])
    const { result: reopened } = await traced(() => model.openShared(shared))
    expect((await reopened.toHost())[23]).toBe(23)
    reopened.dispose()
  })

  it('that is read only stays so', async () => {
    await using model = await load()
    const { shared } = await make([4], 'float32')
    using tensor = model.openShared({ ...shared, readOnly: true })
    expect(() => tensor.copyFromSync(new Float32Array(4))).toThrow(flowError('ERR_ARGUMENT', 'read only'))
    using map = await model.features(a)
    expect(map.tensor.share()).toMatchObject({ readOnly: true, shape: [7, 10, 64], dtype: 'float32' })
  })

  it('is not passed on under its new address', async () => {
    await using model = await load()
    const { shared } = await make([4], 'float32')
    using tensor = model.openShared(shared)
    expect(() => tensor.share()).toThrow(flowError('ERR_ARGUMENT', "another process's"))
  })
})

describe('what is refused with a reason', () => {
  it('is a handle that is damaged, of another GPU, or gone; and the model works on', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const expected = await model.flow(a, b)
    const { index, shared } = await make([4, 6], 'float32')
    const zeros = '0'.repeat(128)
    for (const [damaged, said] of [
      [null, 'object'],
      ['text', 'object'],
      [{}, 'version'],
      [{ ...shared, version: 2 }, 'version'],
      [{ ...shared, gpu: 7 }, 'gpu'],
      [{ ...shared, gpu: 'GPU-00000000-0000-0000-0000-000000000000' }, 'computes on GPU-656d756c'],
      [{ ...shared, allocation: shared.allocation.slice(2) }, '128'],
      [{ ...shared, allocation: undefined }, '128'],
      [{ ...shared, allocation: zeros }, 'cannot be opened'],
      [{ ...shared, allocation: 'f'.repeat(128) }, 'cannot be opened'],
      [{ ...shared, offset: -4 }, 'offset'],
      [{ ...shared, offset: 2 }, 'multiple of 4'],
      [{ ...shared, offset: 4 }, 'behind the end'],
      [{ ...shared, offset: 2 ** 52 }, 'behind the end'],
      [{ ...shared, shape: [5, 6] }, 'behind the end'],
      [{ ...shared, shape: [2 ** 30, 2 ** 30] }, 'too many'],
      [{ ...shared, shape: [] }, 'shape'],
      [{ ...shared, dtype: 'float64' }, 'dtype'],
      [{ ...shared, readOnly: undefined }, 'readOnly'],
    ] as const) {
      const { events } = await traced(async () => {
        expect(() => model.openShared(damaged as SharedTensor)).toThrow(flowError('ERR_ARGUMENT', said))
      })
      const count = (what: string) => events.filter((event) => event.what === what).length
      expect(count('close')).toBe(count('open'))
    }
    expect(() => cpu.openShared(shared)).toThrow(flowError('ERR_DEVICE', 'SharedArrayBuffer'))
    await ask('dispose', { index })
    expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
  })

  it('is memory of the host, of this process, or of a model that was disposed', async () => {
    const model = await load()
    await using cpu = await loadTiny()
    for (const tensor of [
      cpu.createTensor([4]),
      model.createTensor([4], 'float32', { on: 'host' }),
      model.createTensor([4], 'float32', { data: new Float32Array(4) }),
    ])
      expect(() => tensor.share()).toThrow(flowError('ERR_ARGUMENT', 'SharedArrayBuffer'))
    using tensor = model.createTensor([4])
    const shared = tensor.share()
    expect(() => model.openShared(shared)).toThrow(flowError('ERR_ARGUMENT', 'this process'))
    const gone = model.createTensor([4])
    gone.dispose()
    expect(() => gone.share()).toThrow(flowError('ERR_DISPOSED', 'tensor'))
    await model.dispose()
    expect(() => tensor.share()).toThrow(flowError('ERR_DISPOSED', 'model'))
    expect(() => model.openShared(shared)).toThrow(flowError('ERR_DISPOSED', 'model'))
  })

  it('is memory of a process that has ended', async () => {
    await using model = await load()
    const other = fork(fileURLToPath(new URL('../support/share-tensors.mjs', import.meta.url)))
    await once(other, 'message')
    const shared = await ask<SharedTensor>('make', { shape: [4], dtype: 'float32' }, other)
    using open = model.openShared(shared)
    other.kill('SIGKILL')
    await once(other, 'exit')
    await expect(open.toHost()).resolves.toHaveLength(4) // what was opened stays
    open.dispose()
    await model.features(a) // comes after the work that closes
    expect(() => model.openShared(shared)).toThrow(flowError('ERR_ARGUMENT', 'has ended'))
  })

  it('is everything where the driver shares nothing', async () => {
    const { shared } = await make([4], 'float32')
    await using model = await load()
    using tensor = model.createTensor([4])
    vi.stubEnv('EMULATOR_IPC', '0')
    expect(() => tensor.share()).toThrow(flowError('ERR_DEVICE', 'NOT_SUPPORTED'))
    expect(() => model.openShared(shared)).toThrow(flowError('ERR_DEVICE', 'NOT_SUPPORTED'))
    vi.unstubAllEnvs()
    vi.stubEnv('EMULATOR_FAIL', 'cuIpcGetMemHandle:1,cuIpcOpenMemHandle:1:2')
    expect(() => tensor.share()).toThrow(flowError('ERR_DEVICE', 'cuIpcGetMemHandle'))
    expect(() => model.openShared(shared)).toThrow(flowError('ERR_OUT_OF_MEMORY'))
    vi.unstubAllEnvs()
    // Memory that was allocated while nothing could be shared is, for this driver, not of cuMemAlloc.
    vi.stubEnv('EMULATOR_IPC', '0')
    using other = model.createTensor([5])
    vi.unstubAllEnvs()
    expect(() => other.share()).toThrow(flowError('ERR_ARGUMENT', 'cuMemAlloc'))
  })
})
