import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FlowField, FlowModel, LoadOptions } from '../../lib/index.js'
import { runScript } from '../support/child.js'
import { flowError, sameBits } from '../support/compare.js'
import { EMULATOR, useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame } from '../support/fixtures.js'
import { holding, made, madeCopy, traced } from '../support/host-trace.js'

// Results of a frame go to the host while the next one is computed, if it waits already.

useEmulator()
const SIZE = 32
const frames = [1, 2, 3, 4, 5, 6].map((seed) => noiseFrame(SIZE, SIZE, seed))
const load = (options: LoadOptions = {}) => loadTiny({ device: 'cuda', precision: 'fp32', ...options })

afterEach(() => vi.unstubAllEnvs())

/** The flow to each frame from the one before, one call at a time. */
async function flowsOf(model: FlowModel, sequence = frames): Promise<readonly (FlowField | undefined)[]> {
  using stream = model.stream()
  const flows: (FlowField | undefined)[] = []
  for (const frame of sequence) flows.push((await stream.push(frame))?.flow ?? undefined)
  return flows
}

/** Pushes all frames at once, so that each waits while the one before is computed. */
async function pushAll(model: FlowModel): Promise<readonly (FlowField | undefined)[]> {
  using stream = model.stream()
  const results = await Promise.all(frames.map((frame) => stream.push(frame)))
  return results.map((result) => result?.flow ?? undefined)
}

function expectSame(
  actual: readonly (FlowField | undefined)[],
  expected: readonly (FlowField | undefined)[],
) {
  expect(actual.map((flow) => flow !== undefined)).toEqual(expected.map((flow) => flow !== undefined))
  for (const [i, flow] of actual.entries())
    if (flow !== undefined) expect(sameBits(flow.data, expected[i]!.data)).toBe(true)
}

it('the result of a frame goes out while the next frame is computed, and the frame after it comes in', async () => {
  await using model = await load()
  const inputs: Awaited<ReturnType<typeof madeCopy>>[] = []
  for (const frame of frames) inputs.push(await madeCopy(model, frame))
  const outputs: (readonly [FlowField, string])[] = []
  for (const _ of frames) outputs.push(await made(() => model.createField(SIZE, SIZE)))
  const expected = await flowsOf(model)
  using stream = model.stream()
  const push = () => Promise.all(inputs.map(([frame], i) => stream.push(frame, { into: outputs[i]![0] })))
  for (let round = 0; round < 5; round++) await push() // records the graphs
  // Each seed is an order of the work of all streams. From the second frame on, it also shows what happens once a frame was answered.
  const seen = new Set<string>()
  for (let seed = 1; seed <= 200 && seen.size < 4; seed++) {
    vi.stubEnv('EMULATOR_STREAMS', String(seed))
    const { result, captures, replays } = await traced(async (soFar) => {
      await push()
      return soFar()
    })
    for (const [i, [flow]] of outputs.entries()) if (i > 0) expectSame([flow], [expected[i]])
    if (captures > 0 || replays !== frames.length) continue // not every computation is one event
    const all = (event: string) => [...result.keys()].filter((i) => result[i]!.what === event)
    const [launched, computed] = [all('replay'), all('replayed')]
    const find = (what: string, address: string) =>
      result.findIndex((event) => event.what === what && event.address === address)
    for (let i = 1; i + 2 < frames.length; i++) {
      const out = find('to-host', outputs[i]![1])
      expect(out).toBeGreaterThan(computed[i]!)
      if (out > computed[i + 1]!) seen.add('out after the next was computed')
      else if (out > launched[i + 1]!) seen.add('out meanwhile')
      const come = find('to-device', inputs[i + 2]![1])
      expect(come).toBeLessThan(computed[i + 2]!)
      if (come < computed[i + 1]!) seen.add('in meanwhile')
      if (come < computed[i + 1]! && out > launched[i + 1]!) seen.add('all three')
    }
  }
  expect(seen).toEqual(
    new Set(['out after the next was computed', 'out meanwhile', 'in meanwhile', 'all three']),
  )
})

it.each(['late', ...Array.from({ length: 8 }, (_, seed) => String(seed + 1))])(
  'the results are those of one call at a time, in the order %j',
  async (order) => {
    await using model = await load()
    const expected = await flowsOf(model)
    vi.stubEnv('EMULATOR_STREAMS', order)
    for (let round = 0; round < 3; round++) expectSame(await pushAll(model), expected)
    // The memory of results is written again three times.
    const many = [...frames, ...frames, ...frames]
    vi.stubEnv('EMULATOR_STREAMS', '')
    const all = await flowsOf(model, many)
    vi.stubEnv('EMULATOR_STREAMS', order)
    using stream = model.stream({ reuse: true, backward: true, occlusion: true })
    const pushed = many.map(async (frame) => (await stream.push(frame))?.flow?.data.slice())
    for (const [i, data] of (await Promise.all(pushed)).entries())
      if (i > 0) expect(sameBits(data!, all[i]!.data)).toBe(true)
  },
)

it('a frame by itself is waited for once', async () => {
  await using model = await load()
  using stream = model.stream()
  const into = model.createField(SIZE, SIZE)
  for (let round = 0; round < 2; round++) for (const frame of frames) await stream.push(frame, { into })
  const { waits } = await traced(() => stream.push(frames[0]!, { into }))
  expect(waits).toHaveLength(1)
})

it('after the first frames, nothing is allocated', async () => {
  await using model = await load()
  using stream = model.stream({ reuse: true })
  const push = () => Promise.all(frames.map((frame) => stream.push(frame)))
  vi.stubEnv('EMULATOR_STREAMS', 'late')
  // The first overlap needs memory, and so does the first answer that comes late. All frames of a round overlap.
  let rounds = 0
  for (let round = 0; round < 20 && rounds < 3; round++) {
    const { events, onDevice } = await traced(push)
    const allocations = [...onDevice, ...events.filter(({ what }) => what === 'alloc' || what === 'free')]
    rounds = allocations.length === 0 ? rounds + 1 : 0
  }
  expect(rounds).toBe(3)
})

describe('with frames in flight', () => {
  it('an error of the device fails a frame and all after it, not those before, and leaves other models alive', async () => {
    await using other = await load()
    const expected = await flowsOf(other)
    const places = new Set<number>()
    for (let n = 1; n <= 5; n++) {
      const model = await load()
      await pushAll(model)
      using stream = model.stream()
      vi.stubEnv('EMULATOR_STREAMS', 'late')
      vi.stubEnv('EMULATOR_FAIL', `cuEventSynchronize:${n}`)
      const results = await Promise.allSettled(frames.map((frame) => stream.push(frame)))
      vi.unstubAllEnvs()
      const failed = results.findIndex(({ status }) => status === 'rejected')
      places.add(failed)
      for (const [i, result] of results.entries())
        if (result.status === 'fulfilled') {
          expect(i < failed || failed === -1).toBe(true)
          expectSame([result.value?.flow ?? undefined], [expected[i]])
        } else {
          expect(result.reason).toEqual(flowError('ERR_DEVICE', 'cannot be used any more'))
        }
      if (failed !== -1)
        await expect(model.flow(frames[0]!, frames[1]!)).rejects.toThrow(flowError('ERR_DEVICE'))
      await model.dispose()
      expectSame(await pushAll(other), expected)
    }
    expect(places.size).toBeGreaterThan(2)
  })

  it('disposal waits for them, and closing a stream lets those that run end', async () => {
    const model = await load()
    const expected = await flowsOf(model)
    for (const order of ['late', '1', '2', '3']) {
      vi.stubEnv('EMULATOR_STREAMS', order)
      const stream = model.stream()
      const results = frames.map((frame) => stream.push(frame))
      await results[1]
      stream.close()
      const settled = await Promise.allSettled(results)
      const done = settled.filter(({ status }) => status === 'fulfilled').length
      for (const [i, result] of settled.entries())
        if (result.status === 'fulfilled') expectSame([result.value?.flow ?? undefined], [expected[i]])
        else expect(result.reason).toEqual(flowError('ERR_DISPOSED'))
      expect(done).toBeGreaterThanOrEqual(2)
    }
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    const calls = frames.slice(1).map((frame, i) => model.flow(frames[i]!, frame))
    const end = model.dispose()
    expectSame(await Promise.all(calls), expected.slice(1))
    await end
  })

  it('those that run when a model is disposed of at once have their results', async () => {
    const model = await load()
    const expected = await flowsOf(model)
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    const calls = frames.slice(1).map((frame, i) => model.flow(frames[i]!, frame))
    await calls[0]
    model[Symbol.dispose]()
    expectSame(await Promise.all(calls), expected.slice(1))
  })

  it.each([1, 3])('one that is aborted, call %i, does not disturb those beside it', async (at) => {
    await using model = await load()
    const expected = await flowsOf(model)
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    await holding(async (hold) => {
      const release = hold('cuEventSynchronize')
      const abort = new AbortController()
      const calls = frames
        .slice(1)
        .map((frame, i) => model.flow(frames[i]!, frame, i === at ? { signal: abort.signal } : {}))
      const settled = Promise.allSettled(calls)
      abort.abort() // the first call waits for the device
      release()
      for (const [i, result] of (await settled).entries())
        if (i === at) expect(result).toMatchObject({ reason: { code: 'ERR_ABORTED' } })
        else if (result.status === 'rejected') throw result.reason
        else expectSame([result.value], [expected[i + 1]])
    })
  })

  it('a process can exit', async () => {
    const env = { DINOV3_FLOW_CUDA_DRIVER: EMULATOR, EMULATOR_STREAMS: 'late' }
    expect(await runScript('exit-while-busy.mjs', [], env)).toMatchObject({ code: 7, signal: null })
  })
})
