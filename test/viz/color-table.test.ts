import { describe, expect, test } from 'vitest'
import { FlowField, flowToColor } from '../../lib/index.js'
import { paintedBytes, paintFlow, type PaintOptions } from '../../lib/viz/color-table.js'
import { randomFrom } from '../support/random.mjs'

const [WIDTH, HEIGHT] = [64, 48]

function paint(flow: FlowField, options: PaintOptions): Uint8Array {
  const out = new Uint8Array(paintedBytes(flow.width, flow.height))
  paintFlow(flow, options, out)
  return out
}

/** A pixel in RGB, by the formulas of ITU-R BT.709-6. */
function rgbAt(painted: Uint8Array, width: number, height: number, column: number, row: number): number[] {
  const half = Math.ceil(width / 2)
  const at = width * height + (row >> 1) * half + (column >> 1)
  const y = (painted[row * width + column]! - 16) / 219
  const [blue, red] = [at, at + half * Math.ceil(height / 2)].map((i) => (painted[i]! - 128) / 224)
  const [r, b] = [y + 1.5748 * red!, y + 1.8556 * blue!]
  return [r, (y - 0.2126 * r - 0.0722 * b) / 0.7152, b].map((value) => 255 * value)
}

/** Motions of up to `longest` in blocks of 2 x 2 pixels, which share their colour. */
function blocks(longest: number, valid: (x: number, y: number) => boolean): FlowField {
  const random = randomFrom(7)
  const flow = new FlowField(WIDTH, HEIGHT)
  for (let row = 0; row < HEIGHT; row += 2)
    for (let column = 0; column < WIDTH; column += 2) {
      const [x, y] = [longest * (2 * random.next() - 1), longest * (2 * random.next() - 1)]
      for (const i of [0, 1, WIDTH, WIDTH + 1].map((step) => row * WIDTH + column + step))
        [flow.x[i], flow.y[i]] = valid(x, y) ? [x, y] : [0, 0]
    }
  return flow
}

describe('the table has the colours of flowToColor, to a few levels', () => {
  test.each<[string, PaintOptions, number]>([
    ['within the scale', { scale: 8 }, 8],
    ['far beyond it', { scale: 8 }, 1000],
    ['clipped at both ends', { scale: 8, clipMax: 6, clipMin: 2 }, 8],
  ])('%s', (_, options, longest) => {
    const { clipMax = Infinity } = options
    const clipped = (value: number) => Math.max(-clipMax, Math.min(clipMax, value))
    // At the scale itself the colour jumps from full to darkened, and a cell of the table has one of both.
    const flow = blocks(longest, (x, y) => Math.abs(Math.hypot(clipped(x), clipped(y)) - 8) > 0.1)
    const painted = paint(flow, options)
    const { data } = flowToColor(flow, options)
    let worst = 0
    for (let i = 0; i < WIDTH * HEIGHT; i++)
      for (const [c, level] of rgbAt(painted, WIDTH, HEIGHT, i % WIDTH, Math.floor(i / WIDTH)).entries())
        worst = Math.max(worst, Math.abs(level - data[3 * i + c]!))
    expect(worst).toBeLessThanOrEqual(8)
  })
})

test('unknown flow and no motion are white, in fields with odd sides as well', () => {
  const flow = new FlowField(9, 7)
  flow.x.fill(NaN, 0, 20)
  flow.y.fill(Infinity, 20, 40)
  const painted = paint(flow, { scale: 1 })
  expect(painted).toHaveLength(63 + 2 * 5 * 4)
  expect([...painted]).toEqual(Array.from(painted, (_, i) => (i < 63 ? 235 : 128)))
})

test('pixels that share their U and V have its mean', () => {
  const flow = new FlowField(2, 2, Float32Array.of(8, 8, -8, -8, 0, 0, 0, 0))
  const alone = (x: number) =>
    paint(new FlowField(2, 2, Float32Array.of(x, x, x, x, 0, 0, 0, 0)), { scale: 8 })
  const [right, left] = [alone(8), alone(-8)]
  for (const at of [4, 5])
    expect(Math.abs(paint(flow, { scale: 8 })[at]! - (right[at]! + left[at]!) / 2)).toBeLessThanOrEqual(1)
})
