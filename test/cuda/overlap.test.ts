import { afterEach, expect, it, vi } from 'vitest'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame } from '../support/fixtures.js'
import { madeCopy, traced } from '../support/host-trace.js'

useEmulator()
afterEach(() => vi.unstubAllEnvs())

it('the frame of the next push comes in while a frame is computed', async () => {
  await using model = await loadTiny({ device: 'cuda', precision: 'fp32' })
  const frames: Awaited<ReturnType<typeof madeCopy>>[] = []
  for (let seed = 1; seed <= 6; seed++) frames.push(await madeCopy(model, noiseFrame(32, 32, seed)))
  using stream = model.stream()
  const pushAll = () => Promise.all(frames.map(([frame]) => stream.push(frame)))
  for (let round = 0; round < 5; round++) await pushAll() // records the graphs
  // Each seed is an order of the work of all streams. The copy may come before the computation is done, or after it.
  const seen = new Set<string>()
  for (let seed = 1; seed <= 100 && seen.size < 2; seed++) {
    vi.stubEnv('EMULATOR_STREAMS', String(seed))
    const { result, captures, replays } = await traced(async (soFar) => {
      await pushAll()
      return soFar()
    })
    if (captures > 0 || replays !== frames.length) continue // not every computation is one event
    const computed = [...result.keys()].filter((i) => result[i]!.what === 'replayed')
    const copied = frames.map(([, address]) =>
      result.findIndex(({ what, address: at }) => what === 'to-device' && at === address),
    )
    expect(copied).not.toContain(-1)
    for (const [i, end] of computed.entries()) {
      expect(copied[i]).toBeLessThan(end)
      if (i + 1 < frames.length) seen.add(copied[i + 1]! < end ? 'meanwhile' : 'afterwards')
    }
  }
  expect(seen).toEqual(new Set(['meanwhile', 'afterwards']))
})
