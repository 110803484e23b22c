import { checkFrame } from '../../lib/frame.js'
import type { Frame, PixelFormat, YuvMatrix, YuvRange } from '../../lib/index.js'
import type { NativeModel } from '../../lib/native/contract.js'
import { noiseFrame } from './fixtures.js'

/** The 8-bit pixels, planar RGB rounded to levels, that enter the network for a grid of patches of 16. */
export function pixelsSeen(
  native: NativeModel,
  frame: Frame,
  gridHeight: number,
  gridWidth: number,
): Float32Array {
  const input = checkFrame(frame, 'frame')
  const { values, cols } = native.run({
    from: input,
    to: input,
    gridHeight,
    gridWidth,
    height: 16,
    width: 16,
    flow: new Float32Array(2 * 16 * 16),
    trace: true,
  }).trace![0]!
  const mean = [0.485, 0.456, 0.406]
  const deviation = [0.229, 0.224, 0.225]
  const [height, width] = [gridHeight * 16, gridWidth * 16]
  const pixels = new Float32Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const [patch, rest] = [Math.floor(i / cols), i % cols]
    const channel = Math.floor(rest / 256)
    const y = Math.floor(patch / gridWidth) * 16 + (Math.floor(rest / 16) % 16)
    const x = (patch % gridWidth) * 16 + (rest % 16)
    const level = (values[i]! * deviation[channel]! + mean[channel]!) * 255
    pixels[(channel * height + y) * width + x] = Math.round(level)
  }
  return pixels
}

/** The bytes that hold Y, U and V of pixel (x, y): plane, row, and byte in the row. Written down from FFmpeg's pixel formats. */
type Place = readonly [plane: number, row: number, byte: number]
const half = Math.floor
const LAYOUTS: Readonly<Record<string, (x: number, y: number) => readonly [Place, Place, Place]>> = {
  nv12: (x, y) => [
    [0, y, x],
    [1, half(y / 2), x - (x % 2)],
    [1, half(y / 2), x - (x % 2) + 1],
  ],
  nv21: (x, y) => [
    [0, y, x],
    [1, half(y / 2), x - (x % 2) + 1],
    [1, half(y / 2), x - (x % 2)],
  ],
  nv16: (x, y) => [
    [0, y, x],
    [1, y, x - (x % 2)],
    [1, y, x - (x % 2) + 1],
  ],
  i420: (x, y) => [
    [0, y, x],
    [1, half(y / 2), half(x / 2)],
    [2, half(y / 2), half(x / 2)],
  ],
  yuv420p: (x, y) => [
    [0, y, x],
    [1, half(y / 2), half(x / 2)],
    [2, half(y / 2), half(x / 2)],
  ],
  yv12: (x, y) => [
    [0, y, x],
    [2, half(y / 2), half(x / 2)],
    [1, half(y / 2), half(x / 2)],
  ],
  i422: (x, y) => [
    [0, y, x],
    [1, y, half(x / 2)],
    [2, y, half(x / 2)],
  ],
  i444: (x, y) => [
    [0, y, x],
    [1, y, x],
    [2, y, x],
  ],
  yuyv: (x, y) => [
    [0, y, 2 * x],
    [0, y, 4 * half(x / 2) + 1],
    [0, y, 4 * half(x / 2) + 3],
  ],
  yuyv422: (x, y) => [
    [0, y, 2 * x],
    [0, y, 4 * half(x / 2) + 1],
    [0, y, 4 * half(x / 2) + 3],
  ],
  yvyu: (x, y) => [
    [0, y, 2 * x],
    [0, y, 4 * half(x / 2) + 3],
    [0, y, 4 * half(x / 2) + 1],
  ],
  uyvy: (x, y) => [
    [0, y, 2 * x + 1],
    [0, y, 4 * half(x / 2)],
    [0, y, 4 * half(x / 2) + 2],
  ],
}

/** Formats of YUV, some by FFmpeg's names. */
export const YUV_LAYOUTS = Object.keys(LAYOUTS) as PixelFormat[]

/** The parts of red and blue in luma. */
const PARTS = { bt601: [0.299, 0.114], bt709: [0.2126, 0.0722], bt2020: [0.2627, 0.0593] } as const

export interface YuvCase {
  readonly format: PixelFormat
  readonly width: number
  readonly height: number
  readonly matrix: YuvMatrix
  readonly range: YuvRange
  /** Bytes of padding behind each row, and rows behind each plane. Undefined: neither planes nor stride are given. */
  readonly padding: number | undefined
}

/** A frame of noise in YUV, and the RGB frame that an exact conversion makes of it. */
export function yuvPair({ format, width, height, matrix, range, padding }: YuvCase): {
  yuv: Frame
  rgb: Frame
} {
  const layout = LAYOUTS[format]!
  const rows: number[][] = []
  const corners = layout(width - 1, height - 1)
  for (const [plane, row] of corners) (rows[plane] ??= [0, 0])[0] = Math.max(rows[plane]![0]!, row + 1)
  for (const [plane, , byte] of corners) rows[plane]![1] = Math.max(rows[plane]![1]!, byte + 1)
  // The last pixel of an odd row of pairs has its whole four bytes.
  if (rows.length === 1) rows[0]![1] = 4 * Math.ceil(width / 2)
  let end = 0
  const planes = rows.map(([count, bytes], p) => {
    const stride = bytes! + (padding ?? 0) * (p + 1)
    const offset = end + (padding === undefined ? 0 : 3)
    end = offset + stride * (count! + (padding ?? 0))
    return { offset, stride }
  })
  const data = noiseFrame(end, 1, width + height).data.slice(0, end)
  const rgb = new Uint8Array(3 * width * height)
  const [red, blue] = PARTS[matrix]
  const green = 1 - red - blue
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [luma, u, v] = layout(x, y).map(
        ([plane, row, byte]) => data[planes[plane]!.offset + row * planes[plane]!.stride + byte]!,
      )
      const [light, ub, vr] =
        range === 'full'
          ? [luma! / 255, (u! - 128) / 255, (v! - 128) / 255]
          : [(luma! - 16) / 219, (u! - 128) / 224, (v! - 128) / 224]
      const r = light + 2 * (1 - red) * vr
      const b = light + 2 * (1 - blue) * ub
      const g = (light - red * r - blue * b) / green
      for (const [c, value] of [r, g, b].entries())
        rgb[3 * (y * width + x) + c] = Math.max(0, Math.min(255, Math.round(255 * value)))
    }
  const code = { format, matrix, range }
  return {
    yuv: { data, width, height, ...code, ...(padding !== undefined && { planes }) },
    rgb: { data: rgb, width, height, format: 'rgb' },
  }
}

/** Every format, range, matrix, padding and kind of size at least once. */
export function yuvCases(): YuvCase[] {
  const sizes = [
    [64, 48],
    [63, 47],
    [1, 1],
    [2, 5],
    [37, 16],
  ] as const
  const matrices = ['bt601', 'bt709', 'bt2020'] as const
  return YUV_LAYOUTS.flatMap((format, f) =>
    sizes.map(([width, height], i) => ({
      format,
      width,
      height,
      matrix: matrices[(f + i) % 3]!,
      range: (f + i) % 2 === 0 ? 'video' : 'full',
      padding: [undefined, 7, 0][(f + 2 * i) % 3],
    })),
  )
}
