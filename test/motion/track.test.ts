import { describe, expect, test } from 'vitest'
import type { FlowField } from '../../lib/flow-field.js'
import type { FlowMaps } from '../../lib/request.js'
import type { NoFlow, StreamResult } from '../../lib/stream-options.js'
import { movePoints, type TrackedPoint, trackPoints } from '../../lib/motion/index.js'
import { flowError } from '../support/compare.js'
import { fieldOf, uniform } from './helpers.js'

const timing = { queue: 0, engine: 0, total: 0 }

function result(index: number, from: number, flow: FlowField, maps: Partial<FlowMaps> = {}): StreamResult {
  const frame = { index: from, timestamp: from }
  return { flow, ...maps, index, timestamp: index, from: frame, duplicate: false, timing }
}

function noFlow(index: number, reason: NoFlow['reason']): StreamResult {
  return { flow: null, reason, index, timestamp: index, timing }
}

/** The points after each result. */
async function tracks(
  results: Iterable<StreamResult>,
  points: Parameters<typeof trackPoints>[1],
  options: Parameters<typeof trackPoints>[2] = {},
): Promise<(readonly TrackedPoint[])[]> {
  const seen: (readonly TrackedPoint[])[] = []
  for await (const step of trackPoints(results, points, options)) seen.push(step.points)
  return seen
}

function map<Values extends Uint8Array | Float32Array>(width: number, data: Values) {
  return { width, height: data.length / width, data }
}

describe('trackPoints', () => {
  test('carries points by fractions of a pixel, frame after frame', async () => {
    // Everything grows about (10, 10).
    const growth = fieldOf(40, 40, (x, y) => [0.05 * (x - 10), 0.05 * (y - 10)])
    const results = Array.from({ length: 8 }, (_, i) => result(i + 1, i, growth))
    const seen = await tracks(results, [{ x: 14.3, y: 9 }])
    seen.forEach(([point], i) => {
      expect(point!.lost).toBeNull()
      expect(point!.x).toBeCloseTo(10 + 4.3 * 1.05 ** (i + 1), 4)
      expect(point!.y).toBeCloseTo(10 - 1.05 ** (i + 1), 4)
    })
  })

  test('a point that leaves the frame is lost where it was seen last, and stays lost', async () => {
    const right = uniform(10, 4, 3, 0)
    const left = uniform(10, 4, -3, 0)
    const seen = await tracks(
      [result(1, 0, right), result(2, 1, right), result(3, 2, left)],
      [
        { x: 5, y: 1 },
        { x: 1, y: 1 },
        { x: 50, y: 1 },
      ],
    )
    expect(seen[0]).toEqual([
      { x: 8, y: 1, lost: null },
      { x: 4, y: 1, lost: null },
      { x: 50, y: 1, lost: 'left' },
    ])
    expect(seen[2]).toEqual([
      { x: 8, y: 1, lost: 'left' },
      { x: 4, y: 1, lost: null },
      { x: 50, y: 1, lost: 'left' },
    ])
  })

  test('hidden, unsure and unknown places lose their points', () => {
    const flow = uniform(4, 1, 0, 0)
    flow.x[2] = flow.y[2] = NaN
    const occlusion = map(4, Uint8Array.of(0, 1, 0, 0))
    const confidence = map(4, Float32Array.of(0.9, 0.9, 0.9, 0.3))
    const points = [0, 1, 2, 3].map((x) => ({ x, y: 0 }))
    const reasons = (maps: Partial<FlowMaps>, minConfidence?: number) =>
      movePoints(points, { flow, ...maps }, { minConfidence }).map(({ lost }) => lost)
    expect(reasons({})).toEqual([null, null, 'unknown', null])
    expect(reasons({ occlusion, confidence })).toEqual([null, 'occluded', 'unknown', null])
    expect(reasons({ occlusion, confidence }, 0.5)).toEqual([null, 'occluded', 'unknown', 'unsure'])
    expect(reasons({ confidence: map(4, Float32Array.of(NaN, 1, 1, 1)) })).toEqual([
      'unsure',
      null,
      'unknown',
      null,
    ])
  })

  test('points wait while frames are dropped or fail, and are lost at a cut', async () => {
    const flow = uniform(20, 4, 1, 0)
    const results = [
      result(1, 0, flow),
      noFlow(2, 'dropped'),
      noFlow(3, 'failed'),
      noFlow(4, 'deadline'),
      result(5, 1, flow),
      noFlow(6, 'cut'),
      result(7, 6, flow),
    ]
    const seen = await tracks(results, [{ x: 3, y: 2 }])
    expect(seen.map(([point]) => point!.x)).toEqual([4, 4, 4, 4, 5, 5, 5])
    expect(seen.map(([point]) => point!.lost)).toEqual([null, null, null, null, null, 'cut', 'cut'])
    expect((await tracks([noFlow(1, 'size')], [{ x: 0, y: 0 }]))[0]![0]!.lost).toBe('cut')
  })

  test('a flow that starts from another frame does not carry points', async () => {
    const flow = uniform(20, 4, 1, 0)
    const seen = await tracks([result(1, 0, flow), result(3, 2, flow)], [{ x: 3, y: 2 }])
    expect(seen[1]).toEqual([{ x: 4, y: 2, lost: 'gap' }])
  })

  test('each step has its result, and the source is closed when the consumer leaves', async () => {
    let closed = false
    async function* source() {
      try {
        for (let i = 0; ; i++) yield result(i + 1, i, uniform(9, 9, 0, 0))
      } finally {
        closed = true
      }
    }
    for await (const { result: given } of trackPoints(source(), [])) if (given.index === 3) break
    expect(closed).toBe(true)
  })

  test('a point on the rim of the frame is carried', () => {
    const flow = uniform(3, 2, 0, 0)
    const points = [
      { x: -0.5, y: -0.5 },
      { x: 2.49, y: 1.49 },
    ]
    expect(movePoints(points, { flow, occlusion: map(3, new Uint8Array(6)) })).toEqual([
      { ...points[0], lost: null },
      { ...points[1], lost: null },
    ])
  })

  test('refuses points that are none, at the call', () => {
    const bad = (points: unknown) =>
      expect(() => trackPoints([], points as [])).toThrow(flowError('ERR_ARGUMENT', 'point 1'))
    bad([
      { x: 0, y: 0 },
      { x: NaN, y: 0 },
    ])
    bad([{ x: 0, y: 0 }, null])
    bad([{ x: 0, y: 0 }, [1, 2]])
    expect(() => trackPoints([], [], { minConfidence: -1 })).toThrow(
      flowError('ERR_ARGUMENT', 'minConfidence'),
    )
  })
})
