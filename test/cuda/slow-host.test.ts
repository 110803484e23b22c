import { expect, it, vi } from 'vitest'
import { sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { madeCopy, traced } from '../support/host-trace.js'

// In a file of its own: what was measured of a device holds for the process.

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })

it('a GPU that shares the host’s memory, but reads it slowly, copies frames and fields, with the bits of others', async () => {
  const discrete = await load()
  expect(discrete.info.gpu).toMatchObject({ integrated: false, inPlace: false })
  const expected = await discrete.flow(a, b)
  await discrete.dispose()
  vi.stubEnv('EMULATOR_INTEGRATED', '1')
  vi.stubEnv('EMULATOR_SLOW_HOST', '1')
  await using model = await load()
  vi.unstubAllEnvs()
  expect(model.info.gpu).toMatchObject({ integrated: true, inPlace: false })
  const [[first], [second]] = [await madeCopy(model, a), await madeCopy(model, b)]
  const into = model.createField(a.width, a.height)
  await model.flow(first, second, { into })
  const { events } = await traced(() => model.flow(first, second, { into }))
  expect(events.map(({ what }) => what)).toEqual(['to-device', 'to-device', 'to-host'])
  expect(sameBits(into.data, expected.data)).toBe(true)
})
