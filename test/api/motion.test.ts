import { afterAll, beforeAll, expect, it } from 'vitest'
import { FlowModel, globalMotion, trackPoints, warp } from '../../lib/index.js'
import type { RgbFrame } from '../support/fixtures.js'
import { meanDifference } from '../support/compare.js'
import { randomFrom } from '../support/random.mjs'

const [WIDTH, HEIGHT] = [192, 144]
const [DX, DY] = [5.5, -2]

let model: FlowModel

beforeAll(async () => {
  model = await FlowModel.load({ device: 'cpu', preset: 'fast' })
})
afterAll(() => model.dispose())

/** A picture of soft spots, seen by a camera that moves so that all of it goes by (DX, DY) a frame. */
function frames(count: number): RgbFrame[] {
  const random = randomFrom(5)
  const spots = Array.from({ length: 500 }, () => ({
    x: random.integer(-60, WIDTH + 60),
    y: random.integer(-60, HEIGHT + 60),
    size: random.integer(2, 9),
    color: [0, 1, 2].map(() => random.integer(-110, 110)),
  }))
  return Array.from({ length: count }, (_, frame) => {
    const sum = new Float32Array(3 * WIDTH * HEIGHT).fill(128)
    for (const { x, y, size, color } of spots)
      for (let row = 0; row < HEIGHT; row++)
        for (let column = 0; column < WIDTH; column++) {
          const [u, v] = [(column - x - DX * frame) / size, (row - y - DY * frame) / size]
          if (u * u + v * v > 9) continue
          for (let c = 0; c < 3; c++)
            sum[3 * (row * WIDTH + column) + c]! += color[c]! * Math.exp(-u * u - v * v)
        }
    return { data: Uint8Array.from(sum, (v) => Math.min(Math.max(v, 0), 255)), width: WIDTH, height: HEIGHT }
  })
}

it('the flow of a stream carries points, tells the motion of its camera, and brings a frame back', async () => {
  const film = frames(4)
  const stream = model.stream({ occlusion: true, confidence: true })
  const starts = [
    { x: 60.5, y: 70.25 },
    { x: 100, y: 90 },
    { x: WIDTH - 9, y: 80 },
  ]
  let frame = 0
  for await (const { points, result } of trackPoints(stream.from(film), starts)) {
    frame += 1
    if (result.flow === null) throw new Error(`no flow: ${result.reason}`)
    for (const [i, { x, y }] of starts.entries()) {
      if (i === 2) continue
      expect(Math.hypot(points[i]!.x - x - DX * frame, points[i]!.y - y - DY * frame)).toBeLessThan(0.2)
      expect(points[i]!.lost).toBeNull()
    }
    const motion = globalMotion(result.flow, { ...result, model: 'similarity' })!
    const { x, y } = motion.homography.apply(50, 50)
    expect(Math.hypot(x - 50 - DX, y - 50 - DY)).toBeLessThan(0.1)
    expect(motion.inliers).toBeGreaterThan(0.95)

    const [before, after] = [film[frame - 1]!, film[frame]!]
    const { data, valid } = warp(after, result.flow, { valid: true })
    const seen = <T extends Uint8Array>(values: T) =>
      values.filter((_, i) => valid!.data[Math.floor(i / 3)] === 1)
    const error = meanDifference(seen(data), seen(before.data))
    expect(error).toBeLessThan(2)
    expect(error).toBeLessThan(meanDifference(seen(after.data), seen(before.data)) / 8)
    if (frame === 3) expect(points[2]!.lost).toBe('left')
  }
  expect(frame).toBe(3)
})
