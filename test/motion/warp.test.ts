import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { type Raster, warp } from '../../lib/motion/index.js'
import { anyFlow } from '../formats/helpers.js'
import { flowError } from '../support/compare.js'
import { fieldOf, uniform } from './helpers.js'

const side = fc.integer({ min: 1, max: 20 })

function bytes(width: number, height: number, channels: number): Raster<Uint8Array> {
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => (i * i * 7 + 31 * i) % 256)
  return { data, width, height }
}

function gray(width: number, ...data: number[]): Raster<Uint8Array> {
  return { data: Uint8Array.from(data), width, height: data.length / width }
}

describe('warp', () => {
  test('with no motion gives the image itself, all of it valid', () => {
    const channels = fc.integer({ min: 1, max: 5 })
    const border = fc.constantFrom('edge' as const, 7)
    fc.assert(
      fc.property(side, side, channels, border, (width, height, count, outside) => {
        const image = bytes(width, height, count)
        const still = new FlowField(width, height)
        const { data, valid } = warp(image, still, { border: outside, valid: true })
        expect(data).toEqual(image.data)
        expect(valid!.data.every((value) => value === 1)).toBe(true)
        const floats = { ...image, data: Float32Array.from(image.data, (value) => value - 0.3) }
        expect(warp(floats, still).data).toEqual(floats.data)
      }),
    )
  })

  test('undoes a known shift, and says what it cannot know', () => {
    const shift = fc.integer({ min: -25, max: 25 })
    fc.assert(
      fc.property(side, side, shift, shift, (width, height, dx, dy) => {
        const first = bytes(width, height, 3)
        const from = (x: number, y: number) => x >= 0 && y >= 0 && x < width && y < height
        const second = new Uint8Array(first.data.length)
        for (let y = 0; y < height; y++)
          for (let x = 0; x < width; x++)
            if (from(x - dx, y - dy)) {
              const at = 3 * ((y - dy) * width + x - dx)
              second.set(first.data.subarray(at, at + 3), 3 * (y * width + x))
            }
        const { data, valid } = warp({ ...first, data: second }, uniform(width, height, dx, dy), {
          valid: true,
        })
        for (let i = 0; i < width * height; i++) {
          const seen = from((i % width) + dx, Math.floor(i / width) + dy)
          expect(valid!.data[i]).toBe(seen ? 1 : 0)
          const expected = seen ? first.data.subarray(3 * i, 3 * i + 3) : [0, 0, 0]
          expect([...data.subarray(3 * i, 3 * i + 3)]).toEqual([...expected])
        }
      }),
    )
  })

  test('is bilinear, rounded in bytes, x to the right and y down', () => {
    // 0.75 * (0.5 * 10 + 0.5 * 21) + 0.25 * (0.5 * 100 + 0.5 * 201)
    const image = gray(2, 10, 21, 100, 201)
    expect(warp(image, uniform(2, 2, 0.5, 0.25)).data[0]).toBe(49)
    const floats = { ...image, data: Float32Array.from(image.data) }
    expect(warp(floats, uniform(2, 2, 0.5, 0.25)).data[0]).toBeCloseTo(49.25, 6)
    expect(warp(image, uniform(2, 2, 1, 0), { border: 9 }).data).toEqual(Uint8Array.of(21, 9, 201, 9))
    expect(warp(image, uniform(2, 2, 0, 1), { border: 9 }).data).toEqual(Uint8Array.of(100, 201, 9, 9))
  })

  test('blends the border as OpenCV does', () => {
    // cv2.remap with BORDER_CONSTANT and borderValue 100 at x = -0.5 and 1.5: 60 and 70
    const options = { border: 100, valid: true } as const
    const image = gray(2, 20, 40)
    const flow = new FlowField(2, 1, Float32Array.of(-0.5, 0.5, 0, 0))
    expect(warp(image, flow, options).data).toEqual(Uint8Array.of(60, 70))
    expect(warp(image, flow, options).valid!.data).toEqual(Uint8Array.of(0, 0))
    expect(warp(image, flow, { border: 'edge' }).data).toEqual(Uint8Array.of(20, 40))
    expect(warp(image, uniform(2, 1, 1e8, -1e8), options).data).toEqual(Uint8Array.of(100, 100))
    expect(warp(image, uniform(2, 1, 1e8, -1e8), { border: 'edge' }).data).toEqual(Uint8Array.of(40, 40))
  })

  test('the border may have a value for each channel', () => {
    const image = { data: Uint8Array.of(1, 2, 3), width: 1, height: 1, format: 'bgr' } as const
    expect(warp(image, uniform(1, 1, 5, 0), { border: [7, 8, 9] })).toEqual({
      data: Uint8Array.of(7, 8, 9),
      width: 1,
      height: 1,
      format: 'bgr',
    })
  })

  test('unknown flow gives the border, never a pixel', () => {
    const flow = new FlowField(4, 1, Float32Array.of(NaN, Infinity, 1e10, 0, 0, 0, 0, 0))
    const image = gray(4, 10, 20, 30, 40)
    const floats = { ...image, data: Float32Array.from(image.data) }
    expect(warp(image, flow, { border: 5 }).data).toEqual(Uint8Array.of(5, 5, 5, 40))
    expect(warp(image, flow, { border: 'edge' }).data).toEqual(Uint8Array.of(0, 0, 0, 40))
    expect(warp(floats, flow, { border: 'edge' }).data).toEqual(Float32Array.of(NaN, NaN, NaN, 40))
    expect(warp(image, flow, { valid: true }).valid!.data).toEqual(Uint8Array.of(0, 0, 0, 1))
  })

  test('NaN in a map of floats spreads only to what it is part of', () => {
    const map = { data: Float32Array.of(1, NaN, 3), width: 3, height: 1 }
    expect(warp(map, uniform(3, 1, 0, 0)).data).toEqual(map.data)
    expect(warp(map, uniform(3, 1, 1, 0), { border: 9 }).data).toEqual(Float32Array.of(NaN, 3, 9))
  })

  test('labels are never mixed', () => {
    const labels = gray(4, 0, 9, 9, 200)
    const { data } = warp(labels, uniform(4, 1, 0.6, 0), { interpolation: 'nearest', border: 'edge' })
    expect(data).toEqual(Uint8Array.of(9, 9, 200, 200))
  })

  test('a flow field is read as its at() reads, and unknown outside', () => {
    const forward = uniform(6, 4, 1.5, 0)
    const backward = fieldOf(6, 4, (x) => [-1.5 - x, 0])
    const { flow, valid } = warp(backward, forward, { valid: true })
    for (let i = 0; i < 24; i++) {
      const { x } = backward.at((i % 6) + 1.5, Math.floor(i / 6))
      if (Number.isNaN(x)) expect(flow.x[i]).toBeNaN()
      else expect(flow.x[i]).toBeCloseTo(x, 5)
      expect(valid!.data[i]).toBe(Number.isNaN(x) ? 0 : 1)
    }
    expect(valid!.data.subarray(0, 6)).toEqual(Uint8Array.of(1, 1, 1, 1, 0, 0))
  })

  test('whatever the flow, each value lies within those of the image and the border', () => {
    const wild = fc.oneof(
      fc.float({ noNaN: true, min: -40, max: 40 }),
      fc.constantFrom(NaN, Infinity, -Infinity, 9e8, -3e38),
    )
    fc.assert(
      fc.property(anyFlow(wild), fc.constantFrom('edge' as const, 60), (flow, border) => {
        const { width, height } = flow
        const data = Float32Array.from({ length: width * height }, (_, i) => 50 + (i % 50))
        for (const value of warp({ data, width, height }, flow, { border }).data)
          expect(Number.isNaN(value) ? border === 'edge' : value >= 49.99 && value <= 100).toBe(true)
      }),
    )
  })

  test('writes to the memory that it is given', () => {
    const into = new Uint8Array(4)
    expect(warp(gray(2, 1, 2, 3, 4), uniform(2, 2, 0, 0), { into }).data).toBe(into)
    expect(into).toEqual(Uint8Array.of(1, 2, 3, 4))
    const field = new FlowField(1, 1)
    expect(warp(uniform(1, 1, 3, 4), uniform(1, 1, 0, 0), { into: field }).flow).toBe(field)
    expect(field.data).toEqual(Float32Array.of(3, 4))
    const clamped = { data: Uint8ClampedArray.of(1, 2), width: 2, height: 1 }
    expect(warp(clamped, uniform(2, 1, 0.5, 0), { border: 'edge' }).data).toEqual(Uint8ClampedArray.of(2, 2))
  })

  test('refuses what does not fit', () => {
    const flow = uniform(2, 2, 0, 0)
    const image = gray(2, 1, 2, 3, 4)
    const bad = (call: () => unknown, ...parts: string[]) =>
      expect(call).toThrow(flowError('ERR_ARGUMENT', ...parts))
    bad(() => warp(gray(4, 1, 2, 3, 4), flow), '4 x 1', '2 x 2', 'flow.resize')
    bad(() => warp(image, flow, { border: 256 }), 'border', '0 to 255')
    bad(() => warp(image, flow, { border: [1, 2] }), 'each of 1')
    bad(() => warp(image, flow, { border: 'wrap' as 'edge' }), '"wrap"')
    bad(() => warp(image, flow, { interpolation: 'cubic' as 'nearest' }), 'cubic')
    bad(() => warp(image, flow, { into: new Uint8Array(3) }), '4 bytes')
    bad(() => warp(image, flow, { into: new Float32Array(4) as never }), '4 bytes')
    bad(() => warp(image, flow, { into: image.data }), 'memory')
    bad(() => warp(flow, flow, { into: flow }), 'memory')
    bad(() => warp(flow, flow, { into: uniform(1, 2, 0, 0) }), '2 x 2')
    const notRgb = (frame: object, ...parts: string[]) =>
      expect(() => warp(frame as Raster, flow)).toThrow(flowError('ERR_FRAME', ...parts))
    notRgb({ data: new Uint8Array(6), width: 2, height: 2, format: 'nv12' }, 'nv12')
    notRgb({ data: new Uint8Array(8), width: 2, height: 2, format: 'yuyv' }, 'yuyv')
    notRgb({ data: new Uint8Array(16), width: 2, height: 2, format: 'rgb' }, '3 channels')
    notRgb({ data: new Uint8Array(7), width: 2, height: 2 }, '7 values')
    notRgb({ data: [1, 2, 3, 4], width: 2, height: 2 }, 'Uint8Array')
  })
})
