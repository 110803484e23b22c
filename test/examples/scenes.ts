import { spawnSync } from 'node:child_process'
import { randomFrom } from '../support/random.mjs'

/** Writes the colour of a place, 0 to 255, to three values. */
export type Painter = (x: number, y: number, into: Float32Array) => void

const SIDE = 512

/** A texture that repeats after 512 pixels: blobs and grain, around a colour. */
export function texture(seed: number, color: readonly number[], contrast = 80): Painter {
  const random = randomFrom(seed)
  const values = new Float32Array(3 * SIDE * SIDE).map((_, i) => color[i % 3]!)
  for (const period of [64, 32, 16, 8, 4]) {
    const knots = SIDE / period
    const gray = Float32Array.from({ length: knots * knots }, () => random.next() - 0.5)
    const tint = gray.map(() => (random.next() - 0.5) / 2)
    for (let y = 0, i = 0; y < SIDE; y++) {
      const top = Math.floor(y / period)
      const [row, below] = [top * knots, ((top + 1) % knots) * knots]
      for (let x = 0; x < SIDE; x++, i += 3) {
        const left = Math.floor(x / period)
        const right = (left + 1) % knots
        const [a, b] = [x / period - left, y / period - top]
        const [p, q] = [(1 - a) * (1 - b), a * (1 - b)]
        const [r, s] = [(1 - a) * b, a * b]
        const mix = (of: Float32Array) =>
          p * of[row + left]! + q * of[row + right]! + r * of[below + left]! + s * of[below + right]!
        const [light, hue] = [contrast * mix(gray), contrast * mix(tint)]
        values[i]! += light + hue
        values[i + 1]! += light
        values[i + 2]! += light - hue
      }
    }
  }
  return (x, y, into) => {
    const [left, top] = [Math.floor(x), Math.floor(y)]
    const [a, b] = [x - left, y - top]
    const at = (column: number, row: number) => 3 * ((row & (SIDE - 1)) * SIDE + (column & (SIDE - 1)))
    const [p, q, r, s] = [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)]
    for (let c = 0; c < 3; c++)
      into[c] =
        (1 - b) * ((1 - a) * values[p + c]! + a * values[q + c]!) +
        b * ((1 - a) * values[r + c]! + a * values[s + c]!)
  }
}

/** A clip of RGB frames. */
export interface Clip {
  readonly width: number
  readonly height: number
  readonly rate: number
  readonly frames: number
  /** The painter of a frame. */
  readonly paint: (frame: number) => Painter
  /** Half the range of the sensor's noise, in levels. Default 0. */
  readonly noise?: number
}

/** Renders a clip to a file, without loss. */
export function renderClip(path: string, { width, height, rate, frames, paint, noise = 0 }: Clip): string {
  const data = new Uint8ClampedArray(3 * width * height * frames)
  const random = randomFrom(9)
  const color = new Float32Array(3)
  for (let frame = 0, i = 0; frame < frames; frame++) {
    const painter = paint(frame)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i += 3) {
        painter(x, y, color)
        for (let c = 0; c < 3; c++) data[i + c] = color[c]! + noise * (random.next() + random.next() - 1)
      }
  }
  const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-framerate', `${rate}`]
  const args = ['-v', 'error', '-y', ...input, '-i', '-', '-c:v', 'ffv1', '-pix_fmt', 'bgr0', path]
  const { status, stderr } = spawnSync('ffmpeg', args, {
    input: new Uint8Array(data.buffer),
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`ffmpeg failed: ${stderr}`)
  return path
}
