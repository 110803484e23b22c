import { expect } from 'vitest'
import type {
  FlowMaps,
  FlowModel,
  FlowResult,
  StreamResult,
  StreamStats,
  TensorMaps,
} from '../../lib/index.js'
import { relativeL2, sameBits } from './compare.js'
import { noiseFrame, type RgbFrame } from './fixtures.js'

/** The result of a frame that has a flow. */
export function withFlow<Maps extends FlowMaps | TensorMaps>(
  result: StreamResult<Maps> | undefined,
): FlowResult<Maps> {
  if (result === undefined || result.flow === null) throw new Error(`no flow: ${JSON.stringify(result)}`)
  return result as FlowResult<Maps>
}

/** Whether every pushed frame is counted once. */
export function expectAccounted(stats: StreamStats): void {
  const { pushed, waiting, running, computed, first, cuts, duplicates, dropped } = stats
  const dropSum = Object.values(dropped).reduce((sum, count) => sum + count, 0)
  expect(waiting + running + computed + first + cuts + duplicates + dropSum).toBe(pushed)
  expect(stats.total.count).toBe(computed + first + cuts + duplicates)
}

/** Occlusion and confidence of a result by their formula, in double precision. Ties are not expected. */
function roundTrip({ flow, backward }: FlowResult) {
  const { width, height } = flow
  const at = (map: Float32Array, x: number, y: number) => {
    const [cx, cy] = [Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1)]
    const [x0, y0] = [Math.floor(cx), Math.floor(cy)]
    const [x1, y1] = [Math.min(x0 + 1, width - 1), Math.min(y0 + 1, height - 1)]
    const row = (y: number) => map[y * width + x0]! * (1 - cx + x0) + map[y * width + x1]! * (cx - x0)
    return row(y0) * (1 - cy + y0) + row(y1) * (cy - y0)
  }
  const confidence = Float32Array.from({ length: width * height }, (_, i) => {
    const [u, v] = [flow.x[i]!, flow.y[i]!]
    const [x, y] = [(i % width) + u, Math.floor(i / width) + v]
    if (!(x >= -0.5 && x < width - 0.5 && y >= -0.5 && y < height - 0.5)) return 0
    const [bu, bv] = [at(backward!.x, x, y), at(backward!.y, x, y)]
    const limit = 0.01 * (u * u + v * v + bu * bu + bv * bv) + 0.5
    return limit / (limit + (u + bu) ** 2 + (v + bv) ** 2)
  })
  return { confidence, occlusion: Uint8Array.from(confidence, (value) => (value < 0.5 ? 1 : 0)) }
}

/** Holds a result with all maps to calls for its pair of frames, and to the formulas. Its flow is not refined. */
export async function expectMapsOf(...of: MapsOf): Promise<void> {
  const { confidence } = await expectFlowsOf(...of)
  expect(relativeL2(of[1].confidence!.data, confidence)).toBeLessThan(1e-5)
}

/** As {@link expectMapsOf}, but for a refined flow, whose confidence has no formula: it is that of a call. */
export async function expectRefinedMapsOf(...of: MapsOf): Promise<void> {
  await expectFlowsOf(...of)
  const [model, result, before, frame] = of
  const all = { backward: true, occlusion: true, confidence: true }
  const { confidence } = await model.flowMaps(before, frame, all)
  expect(sameBits(result.confidence!.data, confidence!.data)).toBe(true)
}

type MapsOf = readonly [model: FlowModel, result: FlowResult, before: RgbFrame, frame: RgbFrame]

/** Holds flows to calls, and occlusion to its formula. Resolves to the maps by their formulas. */
async function expectFlowsOf(...[model, result, before, frame]: MapsOf) {
  expect(sameBits(result.flow.data, (await model.flow(before, frame)).data)).toBe(true)
  expect(sameBits(result.backward!.data, (await model.flow(frame, before)).data)).toBe(true)
  const maps = roundTrip(result)
  expect(result.occlusion!.data).toEqual(maps.occlusion)
  return maps
}

/** Checks that a stream with `reuse` does not write a result again because frames after it were made anew. */
export async function expectHeldResult(model: FlowModel): Promise<void> {
  using stream = model.stream({ reuse: true, queue: { depth: 10 } })
  const frames = Array.from({ length: 7 }, (_, i) => noiseFrame(32, 32, i))
  await stream.push(frames[0]!)
  const held = withFlow(await stream.push(frames[1]!)).flow
  const pushes = frames.slice(2).map((frame) => stream.push(frame))
  const { buffer } = frames[2]!.data
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
  const [failed, ...others] = await Promise.allSettled(pushes)
  expect(failed).toMatchObject({ reason: { code: 'ERR_FRAME' } })
  // The consumer may hold the result until the next one is given.
  const started = others.slice(0, model.info.gpu === null ? 2 : 3)
  for (const result of started) {
    if (result.status === 'rejected') throw result.reason
    expect(withFlow(result.value).flow).not.toBe(held)
  }
}
