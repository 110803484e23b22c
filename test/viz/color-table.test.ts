import { expect, test } from 'vitest'
import { FlowField, flowToColor } from '../../lib/index.js'
import { paintFlow } from '../../lib/viz/color-table.js'
import { randomFrom } from '../support/random.mjs'

const [WIDTH, HEIGHT] = [64, 48]

function fieldOf(longest: number): FlowField {
  const random = randomFrom(7)
  const field = new FlowField(WIDTH, HEIGHT)
  field.data.forEach((_, i) => (field.data[i] = longest * (2 * random.next() - 1)))
  return field
}

function difference(flow: FlowField, options: Parameters<typeof paintFlow>[1]): number {
  const out = new Uint8Array(3 * WIDTH * HEIGHT)
  paintFlow(flow, options, out)
  const { data } = flowToColor(flow, options)
  return Math.max(...out.map((level, i) => Math.abs(level - data[i]!)))
}

test.each([
  ['within the scale', { scale: 8 }, 8],
  ['far beyond it', { scale: 8 }, 1000],
  ['clipped at both ends', { scale: 8, clipMax: 6, clipMin: 2 }, 8],
] as const)('the table has the colours of flowToColor, to a few levels: %s', (_, options, longest) => {
  const flow = fieldOf(longest)
  const limit = 'clipMax' in options ? options.clipMax : Infinity
  // The corners of the scale's border are where a cell has two colours: full, and darkened.
  for (let i = 0; i < flow.x.length; i++) {
    const [x, y] = [flow.x[i]!, flow.y[i]!].map((value) => Math.max(-limit, Math.min(limit, value)))
    const length = Math.hypot(x!, y!)
    if (Math.abs(length - 8) < 0.1) flow.x[i] = flow.y[i] = 0
  }
  expect(difference(flow, options)).toBeLessThanOrEqual(6)
})

test('unknown flow and no motion are white', () => {
  const flow = new FlowField(WIDTH, HEIGHT)
  flow.x.fill(NaN, 0, 40)
  flow.y.fill(Infinity, 40, 80)
  const out = new Uint8Array(3 * WIDTH * HEIGHT)
  paintFlow(flow, { scale: 1 }, out)
  expect(out.every((level) => level === 255)).toBe(true)
})
