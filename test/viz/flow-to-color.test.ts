import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { COLOR_WHEEL } from '../../lib/viz/color-wheel.js'
import { colorWheelLegend, type FlowColorOptions, flowToColor } from '../../lib/viz/flow-to-color.js'
import { fixture, floats, fromPairs } from '../formats/helpers.js'

const FLOW = fromPairs(128, 96, floats('viz/flow_96x128x2.f32'))
const WHITE = [255, 255, 255]

function colorOf(x: number, y: number, options: FlowColorOptions): number[] {
  return [...flowToColor(new FlowField(1, 1, Float32Array.of(x, y)), options).data]
}

describe('flowToColor', () => {
  test.each<[string, FlowColorOptions]>([
    ['default', {}],
    ['clip_max_8', { clipMax: 8 }],
    ['clip_min_5', { clipMin: 5 }],
    ['scale_20', { scale: 20 }],
  ])('gives the golden picture %s to 1 level in every pixel', async (name, options) => {
    const golden = await sharp(fixture(`viz/${name}.png`))
      .raw()
      .toBuffer()
    const { data, width, height } = flowToColor(FLOW, options)
    expect([width, height, data.length]).toEqual([128, 96, golden.length])
    let worst = 0
    golden.forEach((value, i) => (worst = Math.max(worst, Math.abs(value - data[i]!))))
    expect(worst).toBeLessThanOrEqual(1)
  })

  test('unknown flow and no motion are white', () => {
    for (const value of [NaN, Infinity, -Infinity, 0]) expect(colorOf(value, 0, { scale: 1 })).toEqual(WHITE)
  })

  test('a field without any motion is white', () => {
    expect(flowToColor(new FlowField(8, 8)).data.every((value) => value === 255)).toBe(true)
  })

  test('right is red, left is cyan-blue, down is yellow, up is violet', () => {
    const [right, left, down, up] = [
      colorOf(1, 0, { scale: 1 }),
      colorOf(-1, 0, { scale: 1 }),
      colorOf(0, 1, { scale: 1 }),
      colorOf(0, -1, { scale: 1 }),
    ]
    expect(right[0]).toBeGreaterThan(right[1]! + 200)
    expect(left[2]).toBeGreaterThan(left[0]! + 200)
    expect(Math.min(down[0]!, down[1]!)).toBeGreaterThan(down[2]! + 150)
    expect(up[2]).toBeGreaterThan(up[1]! + 200)
  })

  test('clipMax never fades a field that is slower than it', () => {
    const slow = new FlowField(2, 1, Float32Array.of(1, 0.5, 0, 0))
    expect(flowToColor(slow, { clipMax: 8 }).data).toEqual(flowToColor(slow).data)
  })

  test.each([{ scale: 0 }, { clipMax: -1 }, { clipMin: NaN }])('refuses %j', (options) => {
    expect(() => flowToColor(FLOW, options)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

describe('the colour wheel', () => {
  test('is that of the fixture, to which the engines are held', () => {
    const lines = COLOR_WHEEL.map((color) => `${color.join(' ')}\n`)
    expect(Buffer.from(fixture('viz/color_wheel.txt')).toString()).toBe(lines.join(''))
  })

  test('has 55 different colours, fully saturated', () => {
    expect(new Set(COLOR_WHEEL.map(String)).size).toBe(55)
    for (const color of COLOR_WHEEL) expect([Math.min(...color), Math.max(...color)]).toEqual([0, 255])
  })

  test('its legend has the colours of the motions that it stands for, on white', () => {
    const size = 101
    const { data, width, height } = colorWheelLegend(size)
    const at = (column: number, row: number): number[] => [
      ...data.subarray(3 * (row * size + column), 3 * (row * size + column) + 3),
    ]
    expect([width, height]).toEqual([size, size])
    expect(at(0, 0)).toEqual(WHITE)
    expect(at(50, 50)).toEqual(WHITE)
    const radius = size / 2 - 1
    expect(at(80, 70)).toEqual(colorOf(30 / radius, 20 / radius, { scale: 1 - 1e-5 }))
  })

  test.each([0, 7, 8.5, 1e6])('refuses a legend of %f pixels', (size) => {
    expect(() => colorWheelLegend(size)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})
