import { FlowError } from './errors.js'
import { inJson, shown } from './support/quote.js'

/**
 * The size that a frame is resized to before it enters the network.
 *
 * - `'seed'`: 640 x 640 for a frame of any shape, as the original was trained. If the patch size does not divide 640, the
 *   nearest multiple of it.
 * - `[height, width]`: pixels, multiples of the patch size
 * - `'native'`: the frame's own size, each side rounded to the nearest multiple of the patch size
 * - `'fit'`: like `'native'`, but a frame of more than 640 * 640 pixels is scaled down to that many; its shape is kept
 * - `'half'`: half of each side of `'fit'`
 */
export type FlowSize = FrameSize | 'seed' | readonly [height: number, width: number]

/** The sizes that depend on the frame's: the largest number of pixels, and the scale of each side below that. */
const FRAME_SIZES = {
  native: { most: Infinity, scale: 1 },
  fit: { most: 640 * 640, scale: 1 },
  half: { most: 640 * 640, scale: 0.5 },
} as const

/**
 * The {@link FlowSize}s that depend on the frame's size.
 *
 * @useDeclaredType
 */
export type FrameSize = keyof typeof FRAME_SIZES

/** Whether a size depends on the frame's. */
export function isFrameSize(size: unknown): size is FrameSize {
  return typeof size === 'string' && Object.hasOwn(FRAME_SIZES, size)
}

/** The grid of patches that the network cuts a frame into. */
export interface PatchGrid {
  readonly gridHeight: number
  readonly gridWidth: number
}

/**
 * Height and width of an output, in pixels.
 *
 * @inline
 */
export interface OutputSize {
  readonly height: number
  readonly width: number
}

/**
 * @returns the size of a frame
 * @throws {FlowError} `ERR_ARGUMENT` for one that no frame has
 */
export function checkFrameSize(frame: OutputSize): OutputSize {
  const { height, width } = (typeof frame === 'object' && frame) || {}
  if (isSide(height) && isSide(width)) return { height, width }
  throw new FlowError(
    'ERR_ARGUMENT',
    `frame: must be { width, height }, integers from 1 to ${MAX_SIDE}, not ${shown(width)} and ${shown(height)}`,
  )
}

export function sameSize(a: OutputSize, b: OutputSize): boolean {
  return a.width === b.width && a.height === b.height
}

/**
 * The size of the returned flow: `'frame'` is the size of the first frame, `'model'` is the size at which the network
 * computes, and `[height, width]` is any other. Flow is always in pixels of the output.
 */
export type FlowOutput = 'frame' | 'model' | readonly [height: number, width: number]

const SEED_SIDE = 640
/** Attention's work grows with the square of the number of patches: 65536 of them take minutes on a CPU. */
const MAX_PATCHES = 65_536
const MAX_SIDE = 65_535
const MAX_OUTPUT_PIXELS = 2 ** 28

/**
 * @param patch side of a patch in pixels
 * @throws {FlowError} `ERR_ARGUMENT` for a size that is not a multiple of the patch size, or too large
 */
export function resolveGrid(size: FlowSize, frame: OutputSize, patch: number): PatchGrid {
  const patches = (pixels: number) => Math.max(1, Math.round(pixels / patch))
  if (size === 'seed')
    return limited({ gridHeight: patches(SEED_SIDE), gridWidth: patches(SEED_SIDE) }, patch)
  if (isFrameSize(size)) {
    const { most, scale: part } = FRAME_SIZES[size]
    const scale = part * Math.min(1, Math.sqrt(most / (frame.height * frame.width)))
    const [gridHeight, gridWidth] = [patches(scale * frame.height), patches(scale * frame.width)]
    return limited({ gridHeight, gridWidth }, patch)
  }
  const [height, width] = checkPair(size, 'size', "'seed', 'native', 'fit', 'half' or [height, width]")
  if (height % patch !== 0 || width % patch !== 0) {
    const nearest = `[${patches(height) * patch}, ${patches(width) * patch}]`
    throw new FlowError(
      'ERR_ARGUMENT',
      `size: [${height}, ${width}] is not a multiple of the patch size ${patch}; the nearest is ${nearest}`,
    )
  }
  return limited({ gridHeight: height / patch, gridWidth: width / patch }, patch)
}

/**
 * @param model the size at which the network computes flow
 * @throws {FlowError} `ERR_ARGUMENT` for an invalid size, or one of more than 2^28 pixels
 */
export function resolveOutput(output: FlowOutput, frame: OutputSize, model: OutputSize): OutputSize {
  const [height, width] =
    output === 'frame'
      ? [frame.height, frame.width]
      : output === 'model'
        ? [model.height, model.width]
        : checkPair(output, 'output', "'frame', 'model' or [height, width]")
  if (height * width > MAX_OUTPUT_PIXELS)
    throw new FlowError(
      'ERR_ARGUMENT',
      `output: ${width} x ${height} are ${height * width} pixels, more than ${MAX_OUTPUT_PIXELS}: ask for a smaller output`,
    )
  return { height, width }
}

function limited(grid: PatchGrid, patch: number): PatchGrid {
  const count = grid.gridHeight * grid.gridWidth
  if (count <= MAX_PATCHES) return grid
  throw new FlowError(
    'ERR_ARGUMENT',
    `size: ${grid.gridWidth * patch} x ${grid.gridHeight * patch} pixels are ${count} patches, more than ${MAX_PATCHES}: ` +
      'give a smaller size; the flow still comes back at the size of the frame',
  )
}

function checkPair(value: unknown, name: string, choices: string): readonly [number, number] {
  if (!Array.isArray(value) || value.length !== 2)
    throw new FlowError('ERR_ARGUMENT', `${name}: must be ${choices}, not ${inJson(value)}`)
  const [height, width]: unknown[] = value
  if (!isSide(height) || !isSide(width))
    throw new FlowError(
      'ERR_ARGUMENT',
      `${name}: height and width must be integers from 1 to ${MAX_SIDE}, not ${shown(height)} and ${shown(width)}`,
    )
  return [height, width]
}

function isSide(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_SIDE
}
