import { expect, it, vi } from 'vitest'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { loadForeign } from '../support/foreign-memory.js'
import { madeCopy, traced } from '../support/host-trace.js'

// In a file of its own: memory that is not collected yet keeps the device as it was described first.

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })

it('a GPU that shares the host’s memory reads frames and writes fields in place, those of other modules as well, with the bits of others', async () => {
  const size = [48, 64] as const
  const discrete = await load()
  const expected = await discrete.flow(a, b)
  const small = await discrete.flow(a, b, { size })
  await discrete.dispose()
  vi.stubEnv('EMULATOR_INTEGRATED', '1')
  await using model = await load()
  vi.unstubAllEnvs()
  expect(model.info.gpu).toMatchObject({ integrated: true, inPlace: true })
  await model.flow(a, b) // packs the tables of this size
  const foreign = loadForeign()
  const pointer = foreign.allocateHost(a.data.length, 0)
  foreign.write(pointer, a.data)
  const pointed = { width: a.width, height: a.height, format: 'rgb', pointer } as const
  const { result, events } = await traced(() => model.flow(pointed, pointed))
  expect(events.filter(({ what }) => what === 'to-device')).toEqual([])
  expect(sameBits(result.data, (await model.flow(a, a)).data)).toBe(true)
  const [[first], [second]] = [await madeCopy(model, a), await madeCopy(model, b)]
  const fields = [model.createField(a.width, a.height), model.createField(a.width, a.height)]
  for (let round = 0; round < 4; round++)
    for (const into of fields) {
      into.data.fill(0)
      const { events } = await traced(() => model.flow(first, second, { into }))
      expect(events).toEqual([])
      expect(sameBits(into.data, expected.data)).toBe(true)
      await model.flow(first, second, { into, size })
      expect(sameBits(into.data, small.data)).toBe(true)
      // One block in two shapes: each is resized by taps of its own.
      const turned = { ...second, width: second.height, height: second.width, stride: 3 * second.height }
      const ordinary = { ...turned, data: second.data.slice() }
      const wanted = await model.flow(b, ordinary, { size })
      expect(sameBits((await model.flow(second, turned, { size })).data, wanted.data)).toBe(true)
    }
})

it('such a GPU shares nothing with other processes, and says why', async () => {
  vi.stubEnv('EMULATOR_INTEGRATED', '1')
  vi.stubEnv('EMULATOR_IPC', '1')
  await using model = await load()
  vi.unstubAllEnvs()
  using tensor = model.createTensor([4])
  expect(() => tensor.share()).toThrow(flowError('ERR_DEVICE', "the host's memory"))
  const gpu = 'GPU-656d756c-6174-6564-2047-505520000000'
  const shared = {
    version: 1,
    gpu,
    allocation: '0'.repeat(128),
    offset: 0,
    shape: [4],
    dtype: 'float32',
  } as const
  expect(() => model.openShared({ ...shared, readOnly: false })).toThrow(
    flowError('ERR_DEVICE', "the host's memory"),
  )
})
