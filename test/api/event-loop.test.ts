import { expect, it } from 'vitest'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadTiny, noiseFrame } from '../support/fixtures.js'

const FRAMES = 40
/** Generous, because other processes may use the cores. A benchmark holds an idle machine to 5 ms. */
const BAR = 20

it('the event loop is not blocked while a stream computes', async () => {
  await using model = await loadTiny({ threads: 1 })
  using stream = model.stream({ reuse: true })
  const frames = [1, 2, 3].map((seed) => noiseFrame(640, 480, seed))
  for (const frame of frames) await stream.push(frame)
  const delays: number[] = []
  // The best of some, because others may need the core just then.
  for (let attempt = 0; attempt < 20 && !(Math.min(...delays) < BAR); attempt++) {
    const histogram = monitorEventLoopDelay({ resolution: 1 })
    histogram.enable()
    const pushes: Promise<unknown>[] = []
    for (let i = 0; i < FRAMES; i++) {
      await stream.ready()
      pushes.push(stream.push(frames[i % frames.length]!))
    }
    await Promise.all(pushes)
    histogram.disable()
    expect(histogram.count).toBeGreaterThan(FRAMES)
    delays.push(histogram.percentile(99) / 1e6)
  }
  const { engine } = stream.stats()
  console.log(`event loop delay p99: ${delays.join(', ')} ms; a frame takes ${engine.p50} ms`)
  expect(engine.p50).toBeGreaterThan(2) // else nothing could block
  expect(Math.min(...delays)).toBeLessThan(BAR)
})
