import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  FlowField,
  type FlowModel,
  type FlowResult,
  type Frame,
  type StreamOptions,
} from '../../lib/index.js'
import { runScript } from '../support/child.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { holding, type HostEvent, madeCopy, traced, waitUntil } from '../support/host-trace.js'
import { expectAccounted, expectHeldResult, expectMapsOf, withFlow } from '../support/streams.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp32' })
const small = Array.from({ length: 20 }, (_, i) => noiseFrame(32, 32, i))

afterEach(() => vi.unstubAllEnvs())

/** A copy of a result: with `reuse` its maps are soon written again. */
function copyOf(result: FlowResult): FlowResult {
  const copy = ({ width, height, data }: FlowField) => new FlowField(width, height, data.slice())
  const { flow, backward, occlusion, confidence } = result
  return {
    ...result,
    flow: copy(flow),
    backward: copy(backward!),
    occlusion: { ...occlusion!, data: occlusion!.data.slice() },
    confidence: { ...confidence!, data: confidence!.data.slice() },
  }
}

async function expectFlow(model: FlowModel, result: FlowResult, from: Frame, to: Frame): Promise<void> {
  expect(sameBits(result.flow.data, (await model.flow(from, to)).data)).toBe(true)
}

describe('a stream on a GPU', () => {
  const frames = [a, b, noiseFrame(a.width, a.height, 3), a, noiseFrame(a.width, a.height, 4), b]

  it.each<[string, boolean, StreamOptions]>([
    ['ordinary memory', false, {}],
    ['ordinary memory, and reuses results', false, { reuse: true }],
    ['memory that the model made', true, {}],
    ['memory that the model made, and reuses results', true, { reuse: true }],
  ])('gives the bits of calls for pairs, from %s', async (_, made, options) => {
    await using model = await load()
    const given: Frame[] = []
    for (const frame of frames) given.push(made ? (await madeCopy(model, frame))[0] : frame)
    using stream = model.stream({ ...options, backward: true, occlusion: true, confidence: true })
    const { result: results, events } = await traced(() =>
      // At once, so that the frame of the next request is staged while one runs.
      Promise.all(
        given.map((frame) => stream.push(frame).then((result) => result && copyOf(withFlow(result)))),
      ),
    )
    expect(results[0]).toBeUndefined()
    for (const [i, result] of results.entries()) {
      if (result === undefined) continue
      await expectMapsOf(model, result, frames[i - 1]!, frames[i]!)
    }
    const copies = events.map(({ what }) => what).filter((what) => what !== 'alloc')
    // Two frames on their way before a result comes: the second one was staged ahead.
    expect(copies.join(' ')).toContain('to-device to-device to-host')
    expectAccounted(stream.stats())
  })

  it('records no new graphs after its first frames', async () => {
    await using model = await load()
    using stream = model.stream({ backward: true })
    const oneByOne = async () => {
      for (const frame of small) await stream.push(frame)
    }
    const atOnce = () => Promise.all(small.map((frame) => stream.push(frame)))
    await oneByOne()
    expect(await traced(oneByOne)).toMatchObject({ captures: 0, replays: small.length })
    // Which features take turns depends on when they are released: three maps and two staging slots make twelve graphs. A graph's
    // first frame runs without it, the second records it.
    const rounds = 12
    const { captures, replays } = await traced(async () => {
      for (let round = 0; round < rounds; round++) await atOnce()
    })
    expect(captures).toBeLessThanOrEqual(12)
    expect(replays).toBeGreaterThanOrEqual(rounds * small.length - 2 * 12)
  })

  it('is not disturbed by a push that is aborted after its frame was staged ahead', async () => {
    await using model = await load()
    await holding(async (hold) => {
      using stream = model.stream({ size: [32, 32], output: [32, 32] })
      const [first, second, third] = [1, 2, 3].map((seed) => noiseFrame(2000, 1100, seed))
      await stream.push(first!)
      const controller = new AbortController()
      const { result: outcomes } = await traced((soFar) => {
        const start = hold('cuMemcpyHtoDAsync')
        const finish = hold('cuEventSynchronize')
        const pushes = [
          stream.push(small[0]!),
          stream.push(second!, { signal: controller.signal }),
          stream.push(third!),
          stream.push(first!),
        ]
        const settled = Promise.allSettled(pushes)
        start() // all three that may be in flight are in the queue
        const isStaged = ({ what, bytes }: HostEvent) => what === 'alloc' && bytes >= second!.data.length
        waitUntil(() => soFar().some(isStaged), 'the staging of the second frame')
        controller.abort()
        finish()
        return settled
      })
      expectAccounted(stream.stats())
      const [shrunk, aborted, grown, last] = outcomes
      expect(shrunk).toMatchObject({ value: { reason: 'size' } })
      expect(aborted).toMatchObject({ reason: { code: 'ERR_ABORTED' } })
      expect(grown!.status).toBe('fulfilled')
      if (last!.status === 'rejected') throw last!.reason
      const expected = await model.flow(third!, first!, { size: [32, 32], output: [32, 32] })
      expect(sameBits(withFlow(last!.value).flow.data, expected.data)).toBe(true)
    })
  })

  it('starts all frames in flight again, in their order, behind one that was aborted', async () => {
    await using model = await load()
    const [before, ...frames] = small.slice(0, 7)
    for (const at of [0, 1, 2]) {
      await holding(async (hold) => {
        using stream = model.stream()
        await stream.push(before!)
        const controller = new AbortController()
        const start = hold('cuMemcpyHtoDAsync')
        const pushes = frames.map((frame, i) =>
          stream.push(frame, i === at ? { signal: controller.signal } : {}),
        )
        const settled = Promise.allSettled(pushes)
        controller.abort()
        start()
        let from = before!
        for (const [i, outcome] of (await settled).entries()) {
          if (outcome.status === 'rejected') {
            expect([i, outcome.reason]).toEqual([at, flowError('ERR_ABORTED')])
          } else {
            await expectFlow(model, withFlow(outcome.value), from, frames[i]!)
            from = frames[i]!
          }
        }
        if (at > 0) expect(stream.stats().dropped.aborted).toBe(1) // the first may run already
        expectAccounted(stream.stats())
      })
    }
  })

  it('reuses no result that somebody has, if frames are made again', async () => {
    await using model = await load()
    await expectHeldResult(model)
  })
})

describe('want of memory', () => {
  /** Frames of a size that the model has no buffers for yet. */
  const sized = (side: number) => [1, 2, 3, 4].map((seed) => noiseFrame(side, side, seed))

  it('fails the push that allocates, and the stream works on', async () => {
    await using model = await load()
    for (let n = 1; n <= 6; n++) {
      const [first, second, third] = sized(32 + 16 * n)
      using stream = model.stream()
      vi.stubEnv('EMULATOR_FAIL', `cuMemAlloc:${n}`)
      const outcomes = await Promise.allSettled([first!].map((frame) => stream.push(frame)))
      expect(outcomes).toMatchObject([{ reason: { code: 'ERR_OUT_OF_MEMORY' } }])
      vi.unstubAllEnvs()
      expect(await stream.push(second!)).toBeUndefined()
      await expectFlow(model, withFlow(await stream.push(third!)), second!, third!)
      expect(stream.stats()).toMatchObject({ computed: 1, first: 1, dropped: { failed: 1 } })
    }
  })

  it.each(['cuMemAlloc', 'cuMemHostAlloc'])(
    'in %s, at any frame of many that are pushed at once, harms no other push',
    async (name) => {
      await using model = await load()
      for (let n = 1; n <= 8; n++) {
        const large = sized(48 + 16 * n)
        const frames = [small[0]!, small[1]!, ...large]
        using stream = model.stream({ queue: { depth: 10 } })
        vi.stubEnv('EMULATOR_FAIL', `${name}:${n}`)
        const outcomes = await Promise.allSettled(frames.map((frame) => stream.push(frame)))
        vi.unstubAllEnvs()
        let failed = 0
        for (const outcome of outcomes) {
          if (outcome.status === 'rejected') {
            failed++
            expect(outcome.reason).toEqual(flowError('ERR_OUT_OF_MEMORY'))
          } else if (outcome.value !== undefined && outcome.value.flow !== null) {
            const { from, index } = outcome.value
            await expectFlow(model, outcome.value, frames[from.index]!, frames[index]!)
          }
        }
        expect(failed).toBeLessThanOrEqual(1)
        const last = frames[withFlow(await stream.push(large[0]!)).from.index]!
        expect(last).toBe(outcomes.at(-1)!.status === 'fulfilled' ? large[3] : large[2])
        expectAccounted(stream.stats())
      }
    },
  )
})

it('after an error of the device every push says so, and the stream can be closed', async () => {
  const { code, signal, stdout } = await runScript('fail-stream.mjs')
  expect({ code, signal }).toEqual({ code: 0, signal: null })
  expect(JSON.parse(stdout)).toEqual({
    before: ['done', 'done', 'done'],
    meanwhile: Array(5).fill('ERR_DEVICE'),
    after: 'ERR_DEVICE',
    closed: 'ERR_DISPOSED',
    pushed: 9,
    waiting: 0,
    running: 0,
    dropped: { oldest: 0, deadline: 0, full: 0, aborted: 0, failed: 6, closed: 0 },
  })
})
