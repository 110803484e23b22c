import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setTimeout as sleep } from 'node:timers/promises'
import { pipeline } from 'node:stream/promises'
import {
  FeatureMap,
  FlowField,
  type FlowModel,
  type FlowResult,
  type FlowStream,
  type StreamResult,
} from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { fixture, loadTiny, noiseFrame, type RgbFrame, tinyFrames } from '../support/fixtures.js'
import { expectAccounted, expectHeldResult, expectMapsOf, withFlow } from '../support/streams.js'

let model: FlowModel
let a: RgbFrame
let b: RgbFrame
let frames: RgbFrame[]

beforeAll(async () => {
  model = await loadTiny()
  ;[a, b] = await tinyFrames()
  frames = [a, b, a, noiseFrame(160, 112, 3), b, a]
})
afterAll(() => model.dispose())

/** Keeps a stream busy until `release` is called: its model computes calls that take long, which `release` aborts. */
function keepBusy(): { readonly release: () => Promise<void> } {
  const controller = new AbortController()
  const large = noiseFrame(640, 640, 9)
  const options = { signal: controller.signal, into: new FlowField(640, 640) }
  const calls = Array.from({ length: 1000 }, () => model.flow(large, large, options))
  const settled = Promise.allSettled(calls)
  return {
    release: async () => {
      controller.abort()
      await settled
    },
  }
}

describe('a stream', () => {
  it('gives what calls for pairs give, in both directions, and nothing for its first frame', async () => {
    const stream = model.stream({ backward: true, occlusion: true, confidence: true })
    expect(await stream.push(a)).toBeUndefined()
    for (let i = 1; i < frames.length; i++) {
      const result = withFlow(await stream.push(frames[i]!, { timestamp: 40 * i }))
      await expectMapsOf(model, result, frames[i - 1]!, frames[i]!)
      expect(result).toMatchObject({ index: i, timestamp: 40 * i, from: { index: i - 1 }, duplicate: false })
      expect(result.timing.total).toBeGreaterThanOrEqual(result.timing.engine)
    }
    const stats = stream.stats()
    expect(stats).toMatchObject({ pushed: frames.length, computed: frames.length - 1, first: 1, waiting: 0 })
    expect(stats.engine.p50).toBeGreaterThan(0)
    expect(stats.engine.max).toBeGreaterThanOrEqual(stats.engine.p99)
    expectAccounted(stats)
    stream.close()
  })

  it('gives the same whether it is pushed at once, one by one, synchronously or by an iterable', async () => {
    const expected: FlowField[] = []
    for (let i = 1; i < frames.length; i++) expected.push(await model.flow(frames[i - 1]!, frames[i]!))
    const expectSame = (results: readonly (StreamResult | undefined)[]) => {
      const flows = results.filter((result) => result !== undefined).map((result) => withFlow(result).flow)
      expect(flows).toHaveLength(expected.length)
      for (const [i, flow] of flows.entries()) expect(sameBits(flow.data, expected[i]!.data)).toBe(true)
    }
    using atOnce = model.stream()
    expectSame(await Promise.all(frames.map((frame) => atOnce.push(frame))))
    using synchronous = model.stream()
    expectSame(frames.map((frame) => synchronous.pushSync(frame)))
    for (const source of [frames, asynchronous(frames)]) {
      using iterated = model.stream()
      const results: StreamResult[] = []
      for await (const result of iterated.from(source)) results.push(result)
      expectSame(results)
    }
    using web = model.stream()
    const { readable, writable } = web.web()
    const written = writeAll(writable, frames)
    const fromWeb: StreamResult[] = []
    for await (const result of readable) fromWeb.push(result)
    await written
    expectSame(fromWeb)
    using node = model.stream()
    const fromNode: StreamResult[] = []
    await pipeline(asynchronous(frames), node.node(), async (results: AsyncIterable<StreamResult>) => {
      for await (const result of results) fromNode.push(result)
    })
    expectSame(fromNode)
  })

  it('decodes paths, and keeps the order of pushes', async () => {
    using stream = model.stream()
    const [first, flow, back] = await Promise.all([
      stream.push(fixture('tiny/frame1.png')),
      stream.push(b),
      stream.push(fixture('tiny/frame1.png')),
    ])
    expect(first).toBeUndefined()
    expect(sameBits(withFlow(flow).flow.data, (await model.flow(a, b)).data)).toBe(true)
    expect(sameBits(withFlow(back).flow.data, (await model.flow(b, a)).data)).toBe(true)
  })

  it('starts anew after a reset and with a frame of another size, and says so', async () => {
    using stream = model.stream()
    const small = noiseFrame(96, 64, 1)
    const pushes = [stream.push(a), stream.push(b)]
    stream.reset()
    pushes.push(stream.push(a), stream.push(small), stream.push(small), stream.push(noiseFrame(96, 64, 2)))
    const [first, flow, anew, resized, same, next] = await Promise.all(pushes)
    expect(first).toBeUndefined()
    withFlow(flow)
    expect(anew).toBeUndefined()
    expect(resized).toMatchObject({ flow: null, reason: 'size', index: 3 })
    expect(same).toMatchObject({ duplicate: true })
    expect(withFlow(next).flow).toMatchObject({ width: 96, height: 64 })
    expectAccounted(stream.stats())
  })

  it('gives the features of every frame that it computes, the first too, for as long as they are wanted', async () => {
    const stream = model.stream({ features: true })
    const sources = [a, b, { ...b }, noiseFrame(96, 64, 1)]
    const results: StreamResult[] = []
    for await (const result of stream.from(sources)) results.push(result)
    stream.reset()
    results.push((await stream.push(a))!)
    expect(results.map((result) => (result.flow === null ? result.reason : result.duplicate))).toEqual([
      'first',
      false,
      true,
      'size',
      'first',
    ])
    expect(sameBits(withFlow(results[1]).flow.data, (await model.flow(a, b)).data)).toBe(true)
    stream.close()
    for (const [i, frame] of [...sources, a].entries()) {
      using features = results[i]!.features!
      using own = await model.features(frame)
      expect(features).toMatchObject({
        gridHeight: own.gridHeight,
        frameWidth: frame.width,
        pixels: own.pixels,
      })
      expect(sameBits(await features.read(), await own.read())).toBe(true)
    }
    for (const { features } of results) expect(() => features!.readSync()).toThrow(flowError('ERR_DISPOSED'))
  })

  it('needs the features of its last frame itself, whoever disposes them', async () => {
    using stream = model.stream({ features: true, refine: 'fast' })
    const flows: FlowField[] = []
    for (const frame of [a, b, a]) {
      const result = (await stream.push(frame))!
      result.features!.dispose()
      if (result.flow !== null) flows.push(result.flow)
    }
    const expected = [await model.flow(a, b, { refine: 'fast' }), await model.flow(b, a, { refine: 'fast' })]
    for (const [i, flow] of flows.entries()) expect(sameBits(flow.data, expected[i]!.data)).toBe(true)
  })

  it('takes no time for a frame that comes again, and gives it no motion', async () => {
    using stream = model.stream({ backward: true, occlusion: true })
    await stream.push(a)
    const again = withFlow(await stream.push({ ...a, data: a.data.slice() }))
    expect(again.duplicate).toBe(true)
    for (const map of [again.flow.data, again.backward!.data, again.occlusion!.data])
      expect(map.every((value) => value === 0)).toBe(true)
    const next = withFlow(await stream.push(b))
    expect(sameBits(next.flow.data, (await model.flow(a, b)).data)).toBe(true)
    expect(next.from.index).toBe(1)
    expect(stream.stats()).toMatchObject({ duplicates: 1, computed: 1 })
  })

  it('gives no flow for a scene cut, at a threshold that can be set', async () => {
    using all = model.stream({ sceneCut: 1, features: true })
    using none = model.stream({ sceneCut: -1 })
    for (const stream of [all, none]) await stream.push(a)
    const cut = await all.push(b)
    expect(cut).toMatchObject({ flow: null, reason: 'cut', index: 1 })
    expect(cut!.features).toBeInstanceOf(FeatureMap)
    expect(await none.push(b)).toMatchObject({ duplicate: false })
    expect(all.stats()).toMatchObject({ cuts: 1, first: 1, pushed: 2 })
    // The frame of the cut is where the next flow starts.
    expect(await all.push({ ...b, data: b.data.slice() })).toMatchObject({ duplicate: true })
  })

  it('writes into given fields, and into its own only if asked to', async () => {
    const expected = await model.flow(a, b)
    using plain = model.stream()
    await plain.push(a)
    const into = new FlowField(160, 112)
    expect(withFlow(await plain.push(b, { into })).flow).toBe(into)
    expect(sameBits(into.data, expected.data)).toBe(true)
    await expect(plain.push(a, { into: new FlowField(2, 2) })).rejects.toThrow(
      flowError('ERR_ARGUMENT', '160 x 112'),
    )
    const seen = new Set<FlowField>()
    using reusing = model.stream({ reuse: true })
    let last: FlowField | undefined
    for (let i = 0; i < 12; i++) {
      const result = await reusing.push(frames[i % 2]!)
      if (result === undefined) continue
      const { flow } = withFlow(result)
      expect(flow).not.toBe(last)
      seen.add((last = flow))
    }
    expect(seen.size).toBe(4)
  })

  it('reuses no result that somebody has, if frames are made again', () => expectHeldResult(model))

  it('reuses no result that the consumer of `from` still has', async () => {
    const many = Array.from({ length: 12 }, (_, i) => frames[i % frames.length]!)
    for (const depth of [0, 2, 8]) {
      using stream = model.stream({ reuse: true, queue: { depth } })
      let given = 0
      for await (const result of stream.from(many)) {
        const { flow } = withFlow(result)
        const copy = flow.data.slice()
        for (let i = 0; i < 5; i++) await model.flow(a, b) // in turns with the stream's frames
        expect(sameBits(flow.data, copy)).toBe(true)
        given++
      }
      expect(given).toBe(11)
    }
  })
})

describe('the queue of a stream', () => {
  it('rejects what it has no room for', async () => {
    using stream = model.stream({ queue: { depth: 1, policy: 'reject' } })
    const busy = keepBusy()
    const pushes = frames.map((frame) => stream.push(frame))
    const settled = Promise.allSettled(pushes)
    await busy.release()
    const outcomes = await settled
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled', // two are with the model's thread
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ])
    await expect(pushes[3]).rejects.toThrow(flowError('ERR_QUEUE_FULL', '1 frames wait'))
    expect(stream.stats().dropped.full).toBe(3)
    expectAccounted(stream.stats())
  })

  it('drops the oldest frames, and goes on from the last one that was computed', async () => {
    using stream = model.stream({ queue: { depth: 1, policy: 'drop-oldest' } })
    const busy = keepBusy()
    const pushes = frames.map((frame) => stream.push(frame))
    await busy.release()
    const results = await Promise.all(pushes)
    expect(results[0]).toBeUndefined()
    for (const result of results.slice(1, -1)) expect(result).toMatchObject({ flow: null, reason: 'dropped' })
    const last = withFlow(results.at(-1))
    expect(last).toMatchObject({ index: 5, from: { index: 0 }, duplicate: true })
    expect(stream.stats().dropped.oldest).toBe(4)
    expectAccounted(stream.stats())
  })

  it('drops what waited longer than the deadline', async () => {
    using stream = model.stream({ deadline: 100 })
    const busy = keepBusy()
    const pushes = frames.map((frame) => stream.push(frame))
    const from = performance.now()
    while (performance.now() - from < 150); // longer than the deadline
    await busy.release()
    const results = await Promise.all(pushes)
    expect(results[0]).toBeUndefined()
    for (const result of results.slice(1)) expect(result).toMatchObject({ flow: null, reason: 'deadline' })
    expect(stream.stats().dropped.deadline).toBe(5)
    expectAccounted(stream.stats())
  })

  it('tells when it has room', async () => {
    using stream = model.stream({ queue: { depth: 2 } })
    const busy = keepBusy()
    const pushes: Promise<unknown>[] = []
    let ready = 0
    for (let i = 0; i < 4; i++) {
      await stream.ready()
      ready++
      pushes.push(stream.push(frames[i]!))
    }
    expect(stream.stats().waiting).toBe(2)
    const fifth = stream.ready().then(() => ready++)
    await Promise.resolve()
    expect(ready).toBe(4)
    await busy.release()
    await fifth
    await Promise.all(pushes)
  })

  it('forgets a frame whose signal fires, wherever it is, and the others are none the worse', async () => {
    using stream = model.stream()
    const busy = keepBusy()
    const controllers = frames.map(() => new AbortController())
    const pushes = frames.map((frame, i) => stream.push(frame, { signal: controllers[i]!.signal }))
    const settled = Promise.allSettled(pushes)
    controllers[1]!.abort(new Error('on the model’s thread'))
    controllers[3]!.abort()
    await busy.release()
    const outcomes = await settled
    expect(outcomes.map(({ status }) => status).map((status) => status === 'fulfilled')).toEqual([
      true,
      false,
      true,
      false,
      true,
      true,
    ])
    await expect(pushes[1]).rejects.toMatchObject({
      code: 'ERR_ABORTED',
      cause: new Error('on the model’s thread'),
    })
    // From frame 0 to frame 2, which is identical, then to frame 4.
    expect(await pushes[2]).toMatchObject({ from: { index: 0 }, duplicate: true })
    const flow = withFlow(await pushes[4])
    expect(flow.from.index).toBe(2)
    expect(sameBits(flow.flow.data, (await model.flow(a, b)).data)).toBe(true)
    expect(stream.stats().dropped.aborted).toBe(2)
    expectAccounted(stream.stats())
  })

  it('works on after an abort of a frame whose successor was handed over', async () => {
    using stream = model.stream({ queue: { depth: 4 } })
    await stream.push(a)
    const busy = keepBusy()
    const controller = new AbortController()
    const { signal } = controller
    const pushes = [b, frames[3]!, b, a].map((frame, i) => stream.push(frame, i === 0 ? { signal } : {}))
    const settled = Promise.allSettled(pushes)
    controller.abort() // the second push is on the model's thread, and starts from the first one
    await busy.release()
    const [aborted, ...others] = await settled
    expect(aborted).toMatchObject({ reason: { code: 'ERR_ABORTED' } })
    expect(others.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled'])
    const results = await Promise.all(pushes.slice(1))
    expect(results.map((result) => withFlow(result).from.index)).toEqual([0, 2, 3])
    for (const [i, [before, frame]] of [
      [a, frames[3]!],
      [frames[3]!, b],
      [b, a],
    ].entries())
      expect(sameBits(withFlow(results[i]).flow.data, (await model.flow(before!, frame!)).data)).toBe(true)
    expectAccounted(stream.stats())
  })

  it('fails a frame that cannot be used alone', async () => {
    using stream = model.stream()
    const bad = { data: new Uint8Array(3), width: 2, height: 2 }
    const pushes = [a, bad, b].map((frame) => stream.push(frame))
    pushes.push(stream.push('/nowhere/frame.png'), stream.push(a))
    const outcomes = await Promise.allSettled(pushes)
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([true, false, true, false, true])
    await expect(pushes[1]).rejects.toThrow(flowError('ERR_FRAME'))
    await expect(pushes[3]).rejects.toThrow(flowError('ERR_IO', '/nowhere/frame.png'))
    expect(() => stream.pushSync(bad)).toThrow(flowError('ERR_FRAME'))
    expect(withFlow(stream.pushSync(b)).from.index).toBe(4)
    expect(stream.stats().dropped.failed).toBe(3)
    expectAccounted(stream.stats())
    const results: StreamResult[] = []
    using iterated = model.stream()
    for await (const result of iterated.from([a, bad, b])) results.push(result)
    expect(results[0]).toMatchObject({ flow: null, reason: 'failed', error: { code: 'ERR_FRAME' } })
    expect(withFlow(results[1]).from.index).toBe(0)
  })

  it('refuses a frame whose memory goes away while it waits', async () => {
    using stream = model.stream()
    const busy = keepBusy()
    const gone = noiseFrame(160, 112, 7)
    const settled = Promise.allSettled([a, b, gone, a].map((frame) => stream.push(frame)))
    structuredClone(gone.data.buffer, { transfer: [gone.data.buffer as ArrayBuffer] })
    await busy.release()
    const outcomes = await settled
    expect(outcomes[2]).toMatchObject({ status: 'rejected', reason: { code: 'ERR_FRAME' } })
    expect(outcomes[3]).toMatchObject({ status: 'fulfilled', value: { from: { index: 1 } } })
    expectAccounted(stream.stats())
  })

  it('is shared fairly by the streams of one model', async () => {
    const streams = [1, 2, 3].map(() => model.stream())
    const busy = keepBusy()
    const order: number[] = []
    const pushes = streams.flatMap((stream, s) =>
      frames.map((frame) => stream.push(frame).then(() => order.push(s))),
    )
    await busy.release()
    await Promise.all(pushes)
    // The first stream has two frames with the model's thread before the others come; from then on they take turns.
    const turns = order.slice(1)
    for (let i = 0; i + 3 <= turns.length - 3; i += 3)
      expect(new Set(turns.slice(i, i + 3)).size, order.join(' ')).toBe(3)
    for (const stream of streams) stream.close()
  })

  it('gives a slow consumer of a live source the freshest frames', async () => {
    using stream = model.stream({ queue: { depth: 1, policy: 'drop-oldest' } })
    let read = 0
    async function* camera() {
      for (let i = 0; i < 60; i++) {
        read = i
        yield noiseFrame(32, 32, i)
        await sleep(1)
      }
    }
    const results: FlowResult[] = []
    const ages: number[] = []
    for await (const result of stream.from(camera())) {
      if (result.flow === null) continue
      results.push(result)
      ages.push(read - result.index)
      await sleep(10)
    }
    expect(results.length).toBeGreaterThan(1)
    expect(stream.stats().dropped.oldest).toBeGreaterThan(10)
    expectAccounted(stream.stats())
    for (const [i, result] of results.entries())
      if (i > 0) expect(result.index).toBeGreaterThan(results[i - 1]!.index)
  })

  it('computes the frames of a live source before one that cannot be used', async () => {
    using stream = model.stream({ queue: { depth: 4, policy: 'drop-oldest' } })
    const busy = keepBusy()
    async function* camera() {
      yield a
      yield b // waits
      yield { data: new Uint8Array(3), width: 2, height: 2 } // fails at once
      yield a
      await busy.release()
    }
    const reasons: string[] = []
    for await (const result of stream.from(camera()))
      reasons.push(result.flow === null ? result.reason : 'flow')
    expect(reasons).toEqual(['flow', 'failed', 'flow'])
    expectAccounted(stream.stats())
  })

  it('is left by a consumer that has seen enough', async () => {
    using stream = model.stream({ queue: { policy: 'drop-oldest' } })
    let open = 0
    async function* camera() {
      open++
      try {
        for (let i = 0; ; i++) yield noiseFrame(32, 32, i)
      } finally {
        open--
      }
    }
    for await (const result of stream.from(camera())) if (result.index > 2) break
    while (open > 0) await sleep(1)
    expect(withFlow(await stream.push(noiseFrame(32, 32, 1000)))).toBeDefined()
  })
})

describe('the end of a stream', () => {
  it('fails what waits, and lets what runs finish', async () => {
    const stream = model.stream()
    const busy = keepBusy()
    const settled = Promise.allSettled(frames.map((frame) => stream.push(frame)))
    stream.close()
    stream.close()
    await expect(stream.push(a)).rejects.toThrow(flowError('ERR_DISPOSED', 'stream'))
    expect(() => stream.pushSync(a)).toThrow(flowError('ERR_DISPOSED', 'stream'))
    await busy.release()
    expect((await settled).map(({ status }) => status === 'fulfilled')).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ])
    expect(stream.closed).toBe(true)
    expect(stream.stats().dropped.closed).toBe(4)
    expectAccounted(stream.stats())
  })

  it('comes with its signal', async () => {
    const controller = new AbortController()
    const stream = model.stream({ signal: controller.signal })
    const busy = keepBusy()
    const settled = Promise.allSettled(frames.map((frame) => stream.push(frame)))
    controller.abort(new Error('enough'))
    await busy.release()
    const [, , third] = await settled
    expect(third).toMatchObject({ reason: { code: 'ERR_ABORTED', cause: new Error('enough') } })
    expect(stream.closed).toBe(true)
    expect(() => model.stream({ signal: controller.signal })).toThrow(flowError('ERR_ABORTED'))
  })

  it('comes with its model, which does not wait for a consumer', async () => {
    const own = await loadTiny()
    const stream = own.stream({ queue: { depth: 1, policy: 'drop-oldest' } })
    const iterator = stream.from(asynchronous([a, b, a, b, a, b]))
    await iterator.next()
    await own.dispose()
    await expect(stream.push(a)).rejects.toThrow(flowError('ERR_DISPOSED'))
    expect(() => own.stream()).toThrow(flowError('ERR_DISPOSED', 'model'))
    await iterator.return()
  })

  it('frees its features', async () => {
    const ids: FlowStream[] = []
    for (let i = 0; i < 50; i++) {
      const stream = model.stream()
      stream.pushSync(noiseFrame(64, 64, i))
      ids.push(stream)
    }
    for (const stream of ids) stream.close()
    expect(withFlow(await twoFrames())).toBeDefined()
  })
})

describe('options of a stream', () => {
  it.each([
    [{ queue: { depth: -1 } }, 'queue.depth'],
    [{ queue: { depth: 0, policy: 'drop-oldest' } }, 'queue.depth'],
    [{ queue: { depth: 1.5 } }, 'queue.depth'],
    [{ queue: { policy: 'drop' } }, 'queue.policy'],
    [{ queue: null }, 'queue'],
    [{ deadline: 0 }, 'deadline'],
    [{ deadline: NaN }, 'deadline'],
    [{ sceneCut: 2 }, 'sceneCut'],
    [{ signal: {} }, 'signal'],
    [null, 'options'],
  ])('%j are refused', (options, name) => {
    expect(() => model.stream(options as never)).toThrow(flowError('ERR_ARGUMENT', name))
  })

  it('of a push, too', async () => {
    using stream = model.stream()
    await expect(stream.push(a, { timestamp: NaN })).rejects.toThrow(flowError('ERR_ARGUMENT', 'timestamp'))
    await expect(stream.push(a, null as never)).rejects.toThrow(flowError('ERR_ARGUMENT', 'options'))
    const pending = stream.push(a)
    expect(() => stream.pushSync(b)).toThrow(flowError('ERR_ARGUMENT', 'pending'))
    await pending
    expect(stream.pushSync(b)).toBeDefined()
  })
})

async function* asynchronous<T>(items: readonly T[]) {
  for (const item of items) yield item
}

async function writeAll(
  writable: { getWriter(): { write(frame: RgbFrame): Promise<void>; close(): Promise<void> } },
  all: RgbFrame[],
) {
  const writer = writable.getWriter()
  for (const frame of all) await writer.write(frame)
  await writer.close()
}

async function twoFrames(): Promise<StreamResult | undefined> {
  using stream = model.stream()
  await stream.push(a)
  return stream.push(b)
}
