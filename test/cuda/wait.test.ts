import { afterEach, describe, expect, it, vi } from 'vitest'
import type { LoadOptions } from '../../lib/index.js'
import { sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { traced } from '../support/host-trace.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = (options: LoadOptions = {}) => loadTiny({ device: 'cuda', ...options })

afterEach(() => vi.unstubAllEnvs())

describe.each(['spin', 'block'] as const)('wait: %j', (wait) => {
  it('is how every wait of loading and of calls is, and changes no bit', async () => {
    await using other = await load()
    const expected = await other.flow(a, b)
    const { result: model, waits: loading } = await traced(() => load({ wait }))
    await using _ = model
    expect(model.info.gpu).toMatchObject({ wait })
    using stream = model.stream({ backward: true })
    const { result, waits } = await traced(async () => {
      const flow = await model.flow(a, b)
      using features = await model.features(a)
      await features.read()
      for (const frame of [a, b, a]) await stream.push(frame)
      await Promise.all([b, a].map((frame) => stream.push(frame)))
      stream.pushSync(b)
      return flow
    })
    expect(sameBits(result.data, expected.data)).toBe(true)
    for (const each of [loading, waits]) expect(new Set(each)).toEqual(new Set([wait]))
    expect(waits.length).toBeGreaterThanOrEqual(6)
  })
})

it('a GPU with memory of its own is waited for spinning, one that shares the host’s memory asleep', async () => {
  {
    await using model = await load()
    expect(model.info.gpu).toMatchObject({ integrated: false, wait: 'spin' })
  }
  vi.stubEnv('EMULATOR_INTEGRATED', '1')
  await using model = await load()
  await using named = await load({ wait: 'spin' })
  vi.unstubAllEnvs()
  expect(model.info.gpu).toMatchObject({ integrated: true, wait: 'block' })
  expect(named.info.gpu).toMatchObject({ integrated: true, wait: 'spin' })
  const { waits } = await traced(() => model.flow(a, b))
  expect(new Set(waits)).toEqual(new Set(['block']))
})

it('does nothing on a CPU', async () => {
  await using model = await loadTiny({ device: 'cpu', wait: 'spin' })
  expect(model.info.gpu).toBeNull()
  const { waits } = await traced(() => model.flow(a, b))
  expect(waits).toEqual([])
})
