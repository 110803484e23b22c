import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FlowModel, type Frame, PIXEL_FORMATS, type Refine } from '../../lib/index.js'
import { formatRow } from '../../lib/pixel-formats.js'
import { sameBits } from '../support/compare.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { type Random, randomFrom } from '../support/random.mjs'

const SEEDS = Array.from({ length: 32 }, (_, i) => i + 1)
const REFINES: readonly Refine[] = ['fast', 'default', 'best', 'off', { preset: 'best', smoothness: 20 }]

/** Bytes of a frame: one value, squares of two values, or noise. */
function paint(random: Random, row: number, rows: number): Uint8Array {
  const data = new Uint8Array(row * rows)
  const kind = random.pick(['black', 'white', 'checkerboard', 'noise'])
  if (kind === 'white') return data.fill(255)
  if (kind === 'noise') return data.map(() => random.integer(0, 255))
  const side = random.pick([1, 3, 24])
  if (kind === 'checkerboard')
    return data.map((_, i) => ((Math.floor(i / row / side) + Math.floor((i % row) / side)) % 2) * 255)
  return data
}

/** Any size, more often an odd aspect than not. */
function anyFrame(random: Random): Frame {
  const format = random.pick(PIXEL_FORMATS)
  const side = () => random.integer(1, random.pick([3, 20, 60, 300]))
  const [width, height] = [side(), side()]
  const padding = random.pick([0, 7])
  const sizes = formatRow(format)!.sizes(width, height)
  const stride = Math.max(...sizes.map(({ row }) => row)) + padding
  let rows = 0
  const placed = sizes.map((size) => {
    const offset = stride * rows
    rows += size.rows
    return { offset, stride }
  })
  return { data: paint(random, stride, rows), width, height, planes: placed, format }
}

let one: FlowModel
let three: FlowModel

beforeAll(async () => {
  one = await loadTiny({ threads: 1 })
  three = await loadTiny({ threads: 3 })
})
afterAll(async () => {
  await one.dispose()
  await three.dispose()
})

describe('a flow of any two frames', () => {
  it.each(SEEDS)('is finite, not longer than twice both sides, and the same again: seed %i', async (seed) => {
    const random = randomFrom(seed)
    const from = anyFrame(random)
    const to = random.chance(0.3) ? anyFrame(random) : { ...from, data: paint(random, from.data.length, 1) }
    const refine = random.pick(REFINES)
    const size = random.pick(['native', 'fit', 'half', [32, 80], [80, 16]] as const)
    const output = random.pick(['frame', 'frame', 'model', [31, 90]] as const)
    const options = { refine, size, output }
    const told = JSON.stringify({ seed, from: { ...from, data: 0 }, to: { ...to, data: 0 }, ...options })

    const { data, width, height } = await one.flow(from, to, options)
    if (output === 'frame') expect([width, height], told).toEqual([from.width, from.height])
    expect(data.length, told).toBe(2 * width * height)
    expect(data.every(Number.isFinite), told).toBe(true)
    const longest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    if (refine !== 'off') expect(longest, told).toBeLessThanOrEqual(2 * (width + height))
    expect(sameBits((await one.flow(from, to, options)).data, data), told).toBe(true)
    expect(sameBits((await three.flow(from, to, options)).data, data), told).toBe(true)
  })

  it('leaves the model as it was', async () => {
    const [a, b] = await tinyFrames()
    const expected = await one.flow(a, b, { refine: 'default' })
    await one.flow(noiseFrame(1, 300, 1), noiseFrame(300, 1, 2), { refine: 'default' })
    expect(sameBits((await one.flow(a, b, { refine: 'default' })).data, expected.data)).toBe(true)
    await using fresh = await loadTiny()
    expect(sameBits((await fresh.flow(a, b, { refine: 'default' })).data, expected.data)).toBe(true)
  })
})
