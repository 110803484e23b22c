import { afterEach, expect, it, vi } from 'vitest'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { holding, type HostEvent, madeCopy, traced, waitUntil } from '../support/host-trace.js'

// The driver does work of its streams only when somebody waits for it. So a copy that nobody waits for comes late.

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda', precision: 'fp32' })

afterEach(() => vi.unstubAllEnvs())

/** How often a frame was copied to the device. */
const copiesOf = (address: string, events: readonly HostEvent[]) =>
  events.filter((event) => event.what === 'to-device' && event.address === address).length

it('a frame is not read once its call was rejected for want of memory', async () => {
  await using model = await load()
  const [first, address] = await madeCopy(model, noiseFrame(320, 240, 1))
  const [second] = await madeCopy(model, noiseFrame(400, 300, 2))
  const options = { size: [112, 160] } as const
  using _ = await model.features(noiseFrame(320, 240, 3), options) // all that the first frame needs
  vi.stubEnv('EMULATOR_STREAMS', 'late')
  const { result, events } = await traced(async (soFar) => {
    vi.stubEnv('EMULATOR_FAIL', 'cuMemAlloc:1') // for the second frame
    await expect(model.flow(first, second, options)).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY'))
    vi.stubEnv('EMULATOR_FAIL', '')
    const copies = copiesOf(address, soFar())
    await model.flow(a, b, options)
    return copies
  })
  expect(result).toBe(1)
  expect(copiesOf(address, events)).toBe(1)
  const expected = await model.flow(noiseFrame(320, 240, 1), noiseFrame(400, 300, 2), options)
  expect(sameBits((await model.flow(first, second, options)).data, expected.data)).toBe(true)
})

it('a frame is not read once its push was aborted, although it had been staged ahead', async () => {
  await using model = await load()
  using stream = model.stream({ size: [112, 160], output: [112, 160] })
  // So large that its staging begins with an allocation on the device.
  const [second, address] = await madeCopy(model, noiseFrame(600, 400, 2))
  await stream.push(a)
  vi.stubEnv('EMULATOR_STREAMS', 'late')
  await holding(async (hold) => {
    const controller = new AbortController()
    const { result, events } = await traced(async (soFar) => {
      const start = hold('cuMemcpyHtoDAsync')
      const finish = hold('cuEventSynchronize')
      const running = stream.push(b)
      const aborted = stream.push(second, { signal: controller.signal }).then(
        () => undefined,
        (error: unknown) => ({ error, copies: copiesOf(address, soFar()) }),
      )
      start() // both frames are in the queue
      const isStaged = ({ what, bytes }: HostEvent) => what === 'device-alloc' && bytes >= second.data.length
      waitUntil(() => soFar().some(isStaged), 'the staging of the second frame')
      controller.abort()
      finish()
      await running
      const outcome = await aborted
      await stream.push(a)
      await stream.push(b)
      return outcome
    })
    expect(result).toMatchObject({ error: { code: 'ERR_ABORTED' }, copies: 1 })
    expect(copiesOf(address, events)).toBe(1)
  })
})

it('a frame is not read once it was found to be a duplicate, although it had been staged ahead', async () => {
  await using model = await load()
  const [twin, address] = await madeCopy(model, b)
  using stream = model.stream()
  await stream.push(a)
  vi.stubEnv('EMULATOR_STREAMS', 'late')
  const { result, events } = await traced(async (soFar) => {
    const busy = model.flow(a, b) // until both frames are in the queue
    const running = stream.push(b)
    const duplicate = stream.push(twin).then((each) => ({
      duplicate: each?.flow != null && each.duplicate,
      copies: copiesOf(address, soFar()),
    }))
    await Promise.all([busy, running])
    const outcome = await duplicate
    await stream.push(a)
    return outcome
  })
  expect(result).toEqual({ duplicate: true, copies: 1 })
  expect(copiesOf(address, events)).toBe(1)
})
