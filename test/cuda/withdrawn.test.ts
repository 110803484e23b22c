import { afterEach, expect, it, vi } from 'vitest'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { type HostEvent, madeCopy, traced } from '../support/host-trace.js'

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
  vi.stubEnv('EMULATOR_STREAMS', 'late')
  for (let round = 0; round < 20; round++) {
    using stream = model.stream({ size: [112, 160], output: [112, 160] })
    // Larger in each round, so that its staging begins with an allocation on the device.
    const [second, address] = await madeCopy(model, noiseFrame(600, 400 + 50 * round, 2))
    await stream.push(a)
    const controller = new AbortController()
    const { result, events } = await traced(async (soFar) => {
      const running = stream.push(b)
      const aborted = stream.push(second, { signal: controller.signal }).then(
        () => undefined,
        (error: unknown) => ({ error, copies: copiesOf(address, soFar()) }),
      )
      // This thread does not return to the event loop before.
      const deadline = performance.now() + 10_000
      while (!soFar().some(({ what, bytes }) => what === 'device-alloc' && bytes >= second.data.length))
        if (performance.now() > deadline) throw new Error('the frame was not staged')
      controller.abort()
      await running
      const outcome = await aborted
      await stream.push(a)
      await stream.push(b)
      return outcome
    })
    if (result === undefined) continue // too late: its work had begun
    expect(result.error).toMatchObject({ code: 'ERR_ABORTED' })
    expect(result.copies).toBe(1)
    expect(copiesOf(address, events)).toBe(1)
    return
  }
  throw new Error('no abort came in time')
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
