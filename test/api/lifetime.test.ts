import { beforeAll, describe, expect, it } from 'vitest'
import { setImmediate as turn } from 'node:timers/promises'
import { FlowField, type FlowResult } from '../../lib/index.js'
import { LARGE_FRAME, whileBusy } from '../support/busy.js'
import { flowError, sameBits } from '../support/compare.js'
import { runScript } from '../support/child.js'
import { fixture, loadTiny, noiseFrame, type RgbFrame, tinyFrames } from '../support/fixtures.js'
import { skipIf } from '../support/skip.js'

let a: RgbFrame
let b: RgbFrame
const large = LARGE_FRAME

beforeAll(async () => {
  ;[a, b] = await tinyFrames()
})

describe('calls made at once', () => {
  it('are answered in order, each with its own result', async () => {
    const model = await loadTiny()
    const frames = Array.from({ length: 24 }, (_, i) => noiseFrame(32 + 16 * (i % 4), 48, i))
    const expected = frames.map((frame) => model.flowSync(frame, a))
    const order: number[] = []
    const flows = await Promise.all(
      frames.map(async (frame, i) => {
        const flow = await model.flow(frame, a)
        order.push(i)
        return flow
      }),
    )
    expect(order).toEqual(frames.map((_, i) => i))
    for (const [i, flow] of flows.entries()) expect(sameBits(flow.data, expected[i]!.data)).toBe(true)
    await model.dispose()
  })

  it('leave the event loop turning', async () => {
    const model = await loadTiny()
    const { work } = await whileBusy(model, async () => {
      for (let turns = 0; turns < 20; turns++) await turn()
      return []
    })
    for (const flow of await Promise.all(work)) expect(flow.width).toBe(640)
    await model.dispose()
  })

  it('leave the event loop turning while features wait to be read', async () => {
    const model = await loadTiny()
    const map = await model.features(a)
    const { made } = await whileBusy(model, async () => {
      const values = map.read()
      await turn()
      return [values]
    })
    expect(await made[0]).toHaveLength(7 * 10 * 64)
    await model.dispose()
  })

  it('of a synchronous kind wait for those before them', async () => {
    const model = await loadTiny()
    const expected = model.flowSync(a, b)
    const into = model.flowSync(b, a)
    const first = model.flow(large, large)
    const second = model.flow(b, a, { into })
    // the later call has the last word
    expect(sameBits(model.flowSync(a, b, { into }).data, expected.data)).toBe(true)
    await Promise.all([first, second])
    expect(sameBits(into.data, expected.data)).toBe(true)
    await model.dispose()
  })

  it('on two models do not disturb each other', async () => {
    const models = await Promise.all([loadTiny(), loadTiny({ threads: 1 })])
    const expected = models[0].flowSync(a, b)
    const flows = await Promise.all(models.flatMap((model) => [model.flow(a, b), model.flow(a, b)]))
    for (const flow of flows) expect(sameBits(flow.data, expected.data)).toBe(true)
    await Promise.all(models.map((model) => model.dispose()))
  })
})

describe('memory that JavaScript takes away', () => {
  /** A frame of random pixels in memory of its own. */
  const own = (): RgbFrame => noiseFrame(320, 320, 5)
  /** Takes the memory of an array away; frees it if this Node.js can. */
  const take = ({ buffer }: { readonly buffer: ArrayBufferLike }) => {
    const resizing = buffer as ArrayBuffer & { transfer?: (bytes: number) => ArrayBuffer }
    if (resizing.transfer === undefined) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
    else resizing.transfer(0)
  }

  it('is refused at the call if it is gone', async () => {
    await using model = await loadTiny()
    const gone = own()
    const goneField = new FlowField(160, 112)
    for (const { data } of [gone, goneField]) take(data)
    await expect(model.flow(gone, b)).rejects.toThrow(flowError('ERR_FRAME', 'transferred, give a copy'))
    await expect(model.flow(a, b, { into: goneField })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'transferred'),
    )
    expect((await model.flow(a, b)).width).toBe(160)
  })

  it('that may shrink is copied: shrunk frames change nothing, a shrunk result is an error', async () => {
    await using model = await loadTiny()
    const expected = await model.flow(a, b)
    // TypeScript's library of ES2022 does not know it yet.
    type Resizable = ArrayBuffer & { resize(bytes: number): void }
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => Resizable
    const resizable = (bytes: number) => new Resizable(bytes, { maxByteLength: 2 * bytes })
    const data = new Uint8Array(resizable(a.data.length))
    const shrink = ({ buffer }: { readonly buffer: ArrayBufferLike }, bytes = 0) =>
      (buffer as Resizable).resize(bytes)
    const frame = { ...a, data: Buffer.from(data.buffer) }
    data.set(a.data)
    const field = () => new FlowField(160, 112, new Float32Array(resizable(8 * 160 * 112)))
    const [kept, shrunk, grown] = [field(), field(), field()]
    const running = model.flow(own(), own())
    const flow = model.flow(frame, b)
    const intos = [kept, shrunk, grown].map((into) => model.flow(a, b, { into }))
    const mapped = model.flowMaps(a, b, { into: shrunk, occlusion: true })
    shrink(data)
    shrink(shrunk.data)
    shrink(grown.data, 8 * 160 * 112 + 4)
    const settled = await Promise.allSettled([running, flow, ...intos, mapped])
    expect(settled.map(({ status }) => status === 'fulfilled')).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ])
    expect(sameBits((await flow).data, expected.data)).toBe(true)
    expect(sameBits(kept.data, expected.data)).toBe(true)
    await expect(intos[1]).rejects.toThrow(flowError('ERR_ARGUMENT', 'into', 'resized'))
    using stream = model.stream()
    const again = new Uint8Array(resizable(a.data.length))
    again.set(a.data)
    const pushed = [stream.push({ ...a, data: again }), stream.push(b, { into: field() })]
    shrink(again)
    await pushed[0]
    expect(sameBits((await pushed[1])!.flow!.data, expected.data)).toBe(true)
  })

  it('is used by no one else until the calls that use it have ended, and they are rejected', async () => {
    await using model = await loadTiny()
    for (let round = 0; round < 5; round++) {
      const [first, second] = [own(), own()]
      const into = new FlowField(640, 640)
      const running = model.flow(own(), own())
      const flow = model.flow(first, second, { output: [640, 640] })
      const written = model.flow(own(), own(), { output: [640, 640], into })
      for (const { data } of [first, second, into]) take(data)
      const elsewhere = Array.from({ length: 20 }, () => own()) // would be in its place, if it were free
      const settled = await Promise.allSettled([running, flow, written])
      expect(settled).toMatchObject([
        { status: 'fulfilled' },
        { status: 'rejected', reason: flowError('ERR_FRAME', 'first frame', 'transferred') },
        { status: 'rejected', reason: flowError('ERR_ARGUMENT', 'into', 'transferred') },
      ])
      expect(elsewhere.every((frame) => Buffer.compare(frame.data, own().data) === 0)).toBe(true)
    }
  })

  it('of a frame of a stream: the frames behind start from the one before it', async () => {
    await using model = await loadTiny()
    using stream = model.stream({ queue: { depth: 3 } })
    await stream.push(a)
    let [before, after] = [b, a]
    const { made: pushes } = await whileBusy(model, async () => {
      ;[before, after] = [after, before] // the stream's last frame is `after` if this came too late
      const gone = noiseFrame(160, 112, 5)
      const pushes = [stream.push(gone), stream.push(after)] as const
      await turn() // both are with the model's thread
      take(gone.data)
      return pushes
    })
    const [lost, next] = await Promise.allSettled(pushes)
    expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'ERR_FRAME' } })
    const { index, from, flow } = (next as PromiseFulfilledResult<FlowResult>).value
    expect(index - from.index).toBe(2)
    expect(sameBits(flow.data, (await model.flow(before, after)).data)).toBe(true)
  })
})

describe('a signal', () => {
  it('that has fired keeps a call from starting', async () => {
    const model = await loadTiny()
    const signal = AbortSignal.abort('late')
    await expect(model.flow(a, b, { signal })).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'late' })
    await expect(model.features(a, { signal })).rejects.toThrow(flowError('ERR_ABORTED'))
    await model.dispose()
  })

  it('cancels what waits, and leaves what runs and what follows', async () => {
    const model = await loadTiny()
    const expected = model.flowSync(a, b)
    const map = await model.features(a)
    const { work, made } = await whileBusy(model, () => {
      const controller = new AbortController()
      const { signal } = controller
      const waiting = model.flow(a, b, { signal })
      const others = [
        model.features(a, { signal }),
        map.read({ signal }),
        model.flow(fixture('tiny/frame1.png'), b, { signal }),
      ]
      const following = model.flow(a, b)
      controller.abort(new Error('enough'))
      return [following, waiting, ...others] as const
    })
    const [following, waiting, ...others] = made
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: new Error('enough') })
    for (const other of others) await expect(other).rejects.toThrow(flowError('ERR_ABORTED'))
    for (const flow of await Promise.all(work)) expect(flow.width).toBe(640)
    expect(await map.read()).toHaveLength(7 * 10 * 64)
    expect(sameBits((await following).data, expected.data)).toBe(true)
    await model.dispose()
  })

  it('may be shared by many pending calls, and cancels them all', async () => {
    const model = await loadTiny()
    const warnings: Error[] = []
    const warned = (warning: Error) => warnings.push(warning)
    process.on('warning', warned)
    try {
      const { work, made } = await whileBusy(model, () => {
        const controller = new AbortController()
        const { signal } = controller
        const waiting = Array.from({ length: 50 }, () => model.flow(a, b, { signal }))
        controller.abort()
        return waiting
      })
      for (const { status } of await Promise.allSettled(made)) expect(status).toBe('rejected')
      await Promise.all(work)
      const { signal } = new AbortController()
      const calls = Array.from({ length: 50 }, () => model.flow(a, b, { signal }))
      for (const flow of await Promise.all(calls)) expect(flow.width).toBe(160)
      await turn()
      expect(warnings).toEqual([])
    } finally {
      process.off('warning', warned)
      await model.dispose()
    }
  })

  it('that fires afterwards changes nothing', async () => {
    const model = await loadTiny()
    const controller = new AbortController()
    await model.flow(a, b, { signal: controller.signal })
    controller.abort()
    expect((await model.flow(a, b)).width).toBe(160)
    await model.dispose()
  })
})

describe('disposal', () => {
  it('waits for the work in flight, decoding too', async () => {
    const model = await loadTiny()
    const expected = model.flowSync(a, b)
    const map = await model.features(a)
    const flows = [model.flow(a, b), model.flow(fixture('tiny/frame1.png'), b), model.flow(a, b)]
    let settled = 0
    for (const call of [...flows, map.read()]) call.then(() => settled++)
    await model.dispose()
    expect(settled).toBe(4)
    for (const flow of flows) expect(sameBits((await flow).data, expected.data)).toBe(true)
  })

  it('may happen twice, in any way', async () => {
    const model = await loadTiny()
    const pending = model.flow(a, b)
    await Promise.all([model.dispose(), model.dispose()])
    expect((await pending).width).toBe(160)
    model.disposeSync()
    await model[Symbol.asyncDispose]()
    model[Symbol.dispose]()
    expect(model.disposed).toBe(true)
  })

  it('that blocks settles what was queued', async () => {
    const model = await loadTiny()
    const expected = model.flowSync(a, b)
    const flows = [model.flow(a, b), model.flow(a, b)]
    model.disposeSync()
    for (const flow of flows) expect(sameBits((await flow).data, expected.data)).toBe(true)
    await model.dispose()
  })

  it('happens at the end of a using block', async () => {
    let outer
    {
      using model = await loadTiny()
      outer = model
      await model.flow(a, b)
    }
    expect(outer.disposed).toBe(true)
    {
      await using model = await loadTiny()
      outer = model
    }
    expect(outer.disposed).toBe(true)
  })

  it('is the end: every call says so', async () => {
    const model = await loadTiny()
    const map = await model.features(a)
    await model.dispose()
    const disposed = flowError('ERR_DISPOSED', 'model')
    await expect(model.flow(a, b)).rejects.toThrow(disposed)
    await expect(model.features(a)).rejects.toThrow(disposed)
    await expect(model.flowFromFeatures(map, map)).rejects.toThrow(disposed)
    expect(() => model.flowSync(a, b)).toThrow(disposed)
    expect(() => model.featuresSync(a)).toThrow(disposed)
    expect(() => model.flowFromFeaturesSync(map, map)).toThrow(disposed)
    expect(model.info.engine).toBe('cpu')
  })
})

describe('a process', () => {
  it('finishes pending calls, and then ends although a model was not disposed', async () => {
    expect(await runScript('idle-model.mjs')).toMatchObject({ code: 0, signal: null, stdout: 'done\n' })
  })

  it('can exit while a model works', async () => {
    expect(await runScript('exit-while-busy.mjs')).toMatchObject({ code: 7, signal: null })
  })

  it('survives worker threads that are terminated while their models work', async () => {
    expect(await runScript('terminate-workers.mjs')).toMatchObject({
      code: 0,
      signal: null,
      stdout: 'survived 64\n',
      stderr: '',
    })
  })

  it('hears of a call that failed and that nobody awaits', async () => {
    const { code, stderr } = await runScript('unhandled.mjs')
    expect(code).toBe(1)
    expect(stderr).toContain('no-such-frame.png')
  })

  it('that cannot load the addon is told how to get one', async () => {
    const { stdout } = await runScript('print-flow.mjs', [], { DINOV3_FLOW_PREBUILD: '/nowhere' })
    const { code, message } = JSON.parse(stdout)
    expect(code).toBe('ERR_NATIVE')
    expect(message).toMatch(/npx dinov3-flow build\nOnly models need/)
  })

  it('gets the memory of forgotten feature maps back', async () => {
    const { stdout } = await runScript('forget-features.mjs')
    const { first, second } = JSON.parse(stdout)
    expect(first).toBeGreaterThan(24)
    expect(second).toBeLessThan(first / 4)
  })

  it('gets threads and memory of forgotten models back', async () => {
    skipIf(process.platform !== 'linux', 'only Linux lists the threads of a process')
    const { stdout } = await runScript('forget-models.mjs')
    const { before, after, growth } = JSON.parse(stdout)
    expect(after).toBeLessThanOrEqual(before + 2)
    expect(growth).toBeLessThan(24)
  })
})
