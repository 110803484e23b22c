import { FlowError } from '../../errors.js'
import { decodeFrame } from '../../image/decode.js'
import { dimensions } from '../amounts.js'

/** RGB frames that are repeated without end. */
export interface BenchFrames {
  /** For the report. */
  readonly source: string
  readonly width: number
  readonly height: number
  readonly list: readonly RgbFrame[]
  /** Which of `list` is the frame `index` of an endless stream: there and back, so that motion is small throughout. */
  at(index: number): number
}

interface RgbFrame {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
  readonly format: 'rgb'
}

const MADE = 8
/** The background moves so far from frame to frame, and the disc as far the other way, in pixels. */
const SPEED = { x: 3, y: 1 }

/** Frames of a camera that pans over a textured plane, in front of which a textured disc moves the other way. */
export function makeFrames(width: number, height: number): BenchFrames {
  const margin = { x: 2 * MADE * SPEED.x, y: 2 * MADE * SPEED.y }
  const plane = texture(width + margin.x, height + margin.y)
  const radius = Math.min(width, height) / 4
  const list = Array.from({ length: MADE }, (_, t) => {
    const data = new Uint8Array(3 * width * height)
    const [dx, dy] = [t * SPEED.x, t * SPEED.y]
    const copy = (y: number, from: number, to: number, x0: number, y0: number) => {
      const start = 3 * ((y + y0) * plane.width + from + x0)
      data.set(plane.data.subarray(start, start + 3 * (to - from)), 3 * (y * width + from))
    }
    for (let y = 0; y < height; y++) {
      copy(y, 0, width, dx, dy)
      const half = Math.sqrt(Math.max(0, radius ** 2 - (y - height / 2 - dy) ** 2))
      const middle = width / 2 + dx
      const [from, to] = [Math.max(0, Math.round(middle - half)), Math.min(width, Math.round(middle + half))]
      // Another part of the plane, which keeps its place on the disc.
      if (to > from) copy(y, from, to, margin.x - dx, margin.y - dy)
    }
    return { data, width, height, format: 'rgb' } as const
  })
  return endless(`made, ${dimensions({ width, height })}`, list)
}

/**
 * Two pictures, there and back.
 *
 * @throws {FlowError} `ERR_FRAME` if they differ in size, or as `decodeFrame`
 */
export async function readFrames(first: string, second: string): Promise<BenchFrames> {
  const read = async (path: string, what: string): Promise<RgbFrame> => {
    const { frame } = await decodeFrame(path, what, { strict: false })
    const { data, width, height, format } = frame
    return { data: format === 'gray' ? spread(data) : data, width, height, format: 'rgb' }
  }
  const [a, b] = await Promise.all([read(first, 'first picture'), read(second, 'second picture')])
  if (a.width !== b.width || a.height !== b.height)
    throw new FlowError(
      'ERR_FRAME',
      `the pictures differ in size: ${first} is ${dimensions(a)}, ${second} is ${dimensions(b)}; give two of one size`,
    )
  return endless(`${first}, ${second}, ${dimensions(a)}`, [a, b])
}

/** Grey as RGB. */
function spread(gray: Uint8Array | Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array(3 * gray.length)
  for (const [i, value] of gray.entries()) rgb.fill(value, 3 * i, 3 * i + 3)
  return rgb
}

function endless(source: string, list: readonly RgbFrame[]): BenchFrames {
  const last = list.length - 1
  const at = (index: number) => last - Math.abs(last - (((index % (2 * last)) + 2 * last) % (2 * last)))
  return { source, width: list[0]!.width, height: list[0]!.height, list, at }
}

/** Periods in pixels and directions of the waves that the texture is the sum of: detail of every size. */
const WAVES = [
  [97, 0.3],
  [61, 1.9],
  [37, 0.9],
  [23, 2.6],
  [13, 1.3],
  [8.3, 2.2],
  [5.1, 0.1],
] as const

/** RGB pixels of waves in all directions. A sine of a sum is taken apart, so that no sine is computed for a pixel. */
function texture(width: number, height: number): { readonly data: Uint8Array; readonly width: number } {
  const data = new Uint8Array(3 * width * height)
  const sum = new Float64Array(width)
  for (let channel = 0; channel < 3; channel++) {
    const columns = WAVES.map(([period, angle]) =>
      [Math.sin, Math.cos].map((f) =>
        Float64Array.from({ length: width }, (_, x) =>
          f((2 * Math.PI * x * Math.cos(angle)) / period + channel),
        ),
      ),
    )
    for (let y = 0; y < height; y++) {
      sum.fill(0)
      for (const [i, [period, angle]] of WAVES.entries()) {
        const phase = (2 * Math.PI * y * Math.sin(angle)) / period
        const [sin, cos] = [Math.sin(phase), Math.cos(phase)]
        const [sines, cosines] = columns[i]!
        for (let x = 0; x < width; x++) sum[x]! += sines![x]! * cos + cosines![x]! * sin
      }
      for (let x = 0; x < width; x++)
        data[3 * (y * width + x) + channel] = Math.max(0, Math.min(255, Math.round(128 + 40 * sum[x]!)))
    }
  }
  return { data, width }
}
