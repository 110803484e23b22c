import { FlowField, type FlowModel } from '../../lib/index.js'
import { noiseFrame } from './fixtures.js'

/** A frame that takes the tiny model tens of milliseconds. */
export const LARGE_FRAME = noiseFrame(640, 640, 1)

const MAX_CALLS = 64

/**
 * Runs `act`, which makes further calls, while the model still has work that was handed to it before. Resolves to the promises
 * of that work and of the calls that `act` made.
 *
 * A test of the queue must not rely on the time that work takes: on a loaded machine this thread may wait longer for a core
 * than the model's thread needs for everything. So the last result of the work tells: a field of NaN, into which the model's
 * thread writes. If it holds NaN after `act`, the model was busy all the time. If not, `act` came too late, and all is done
 * again behind more work.
 */
export async function whileBusy<T extends readonly Promise<unknown>[]>(
  model: FlowModel,
  act: () => T | Promise<T>,
): Promise<{ readonly work: readonly Promise<FlowField>[]; readonly made: T }> {
  for (let calls = 1; calls <= MAX_CALLS; calls *= 2) {
    const into = new FlowField(LARGE_FRAME.width, LARGE_FRAME.height)
    into.data.fill(Number.NaN)
    const work = Array.from({ length: calls }, () => model.flow(LARGE_FRAME, LARGE_FRAME))
    work.push(model.flow(LARGE_FRAME, LARGE_FRAME, { into }))
    const made = await act()
    if (Number.isNaN(into.data[0])) return { work, made }
    await Promise.allSettled([...work, ...made])
  }
  throw new Error(`the model was not busy any more, even behind ${MAX_CALLS} calls`)
}
