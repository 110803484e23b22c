// The table of pixel formats. A format is one row: checks, the CPU and the GPU read frames by the numbers in it.

/** Byte `byte` of every `step` bytes in the rows of a plane. 2^across x 2^down pixels share a sample. */
type Channel = readonly [plane: number, byte: number, step: number, across: number, down: number]
type Channels = readonly [Channel, Channel, Channel]

/** R, G and B of pixels of `step` bytes. */
const packed = (step: number, red: number, green: number, blue: number): Channels => [
  [0, red, step, 0, 0],
  [0, green, step, 0, 0],
  [0, blue, step, 0, 0],
]
/** A plane of Y, and the planes `u` and `v`. */
const planar = (across: number, down: number, u = 1, v = 2): Channels => [
  [0, 0, 1, 0, 0],
  [u, 0, 1, across, down],
  [v, 0, 1, across, down],
]
/** A plane of Y, and a plane of U and V interleaved. */
const twoPlanes = (across: number, down: number, u: number, v: number): Channels => [
  [0, 0, 1, 0, 0],
  [1, u, 2, across, down],
  [1, v, 2, across, down],
]
/** Two pixels in four bytes: Y of the first and of the second, U and V of both. */
const pairs = (y: number, u: number, v: number): Channels => [
  [0, y, 2, 0, 0],
  [0, u, 4, 1, 0],
  [0, v, 4, 1, 0],
]

const RGB = {
  rgb: packed(3, 0, 1, 2),
  rgba: packed(4, 0, 1, 2),
  bgr: packed(3, 2, 1, 0),
  bgra: packed(4, 2, 1, 0),
  argb: packed(4, 1, 2, 3),
  abgr: packed(4, 3, 2, 1),
  gray: packed(1, 0, 0, 0),
}
const YUV = {
  nv12: twoPlanes(1, 1, 0, 1),
  nv21: twoPlanes(1, 1, 1, 0),
  nv16: twoPlanes(1, 0, 0, 1),
  i420: planar(1, 1),
  yv12: planar(1, 1, 2, 1),
  i422: planar(1, 0),
  i444: planar(0, 0),
  yuyv: pairs(0, 1, 3),
  yvyu: pairs(0, 3, 1),
  uyvy: pairs(1, 0, 2),
}
/** Names that other tools have for these formats: FFmpeg's, V4L2's. */
const OTHER_NAMES = {
  rgb24: 'rgb',
  bgr24: 'bgr',
  gray8: 'gray',
  yuv420p: 'i420',
  yuv422p: 'i422',
  yuv444p: 'i444',
  yuyv422: 'yuyv',
  yuy2: 'yuyv',
  yvyu422: 'yvyu',
  uyvy422: 'uyvy',
} as const

/** Every {@link PixelFormat}, without the other names of formats. */
export const PIXEL_FORMATS = [...Object.keys(RGB), ...Object.keys(YUV)] as readonly PixelFormat[]

/**
 * Memory layout of a frame's pixels: 8-bit channels, rows from the top. Alpha is ignored.
 *
 * `rgb`, `rgba`, `bgr`, `bgra`, `argb`, `abgr` and `gray` have one plane of interleaved channels. The others are YUV, as cameras
 * and decoders give it, and FFmpeg and V4L2 call it: a plane of Y, then one of U and V interleaved (`nv12`, `nv16`; V and U in
 * `nv21`), or one of U and one of V (`i420`, `i422`, `i444`; V first in `yv12`); or one plane of pairs of pixels (`yuyv`, `yvyu`,
 * `uyvy`). Two pixels of a row share U and V, except in `i444`; in `nv12`, `nv21`, `i420` and `yv12` those of two rows do, too.
 * A side of an odd number of pixels has half a sample more, as FFmpeg lays it out. {@link Frame.range} and {@link Frame.matrix} say
 * how YUV becomes RGB. FFmpeg's names are known as well.
 *
 * @useDeclaredType
 */
export type PixelFormat = keyof (typeof RGB & typeof YUV & typeof OTHER_NAMES)

/** The levels of YUV: Y is 16 to 235 and U and V are 16 to 240 (`'video'`), or all are 0 to 255 (`'full'`). */
export type YuvRange = 'video' | 'full'
/** The parts of red and of blue in Y: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance). */
const MATRICES = { bt601: [0.299, 0.114], bt709: [0.2126, 0.0722], bt2020: [0.2627, 0.0593] } as const
/**
 * The standard that says how YUV becomes RGB.
 *
 * @useDeclaredType
 */
export type YuvMatrix = keyof typeof MATRICES

export const YUV_RANGES: readonly YuvRange[] = ['video', 'full']
export const YUV_MATRICES = Object.keys(MATRICES) as readonly YuvMatrix[]

/** The rows of a plane: bytes of one without padding, and their number. */
export interface PlaneSize {
  readonly row: number
  readonly rows: number
}

/** A row of the table. */
export interface FormatRow {
  readonly isYuv: boolean
  /** `channels` of `NativeFrame`. */
  readonly channels: Int32Array
  /** The stride of each plane, as a multiple of the first one's, where all rows are padded to as many pixels. */
  readonly strides: readonly number[]
  sizes(width: number, height: number): readonly PlaneSize[]
}

const ROWS: ReadonlyMap<string, FormatRow> = new Map([
  ...Object.entries(RGB).map(([name, channels]) => [name, toRow(channels, false)] as const),
  ...Object.entries(YUV).map(([name, channels]) => [name, toRow(channels, true)] as const),
])

/** The row of a format, by any of its names. Undefined if there is none. */
export function formatRow(name: unknown): FormatRow | undefined {
  if (typeof name !== 'string') return undefined
  return ROWS.get(Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name as keyof typeof OTHER_NAMES] : name)
}

function toRow(channels: Channels, isYuv: boolean): FormatRow {
  const planes = 1 + Math.max(...channels.map(([plane]) => plane))
  const perPlane = Array.from({ length: planes }, (_, p) => channels.filter(([plane]) => plane === p))
  const perPixel = perPlane.map((all) => Math.max(...all.map(([, , step, across]) => step / 2 ** across)))
  const size = (all: readonly Channel[], width: number, height: number): PlaneSize => ({
    row: Math.max(...all.map(([, , step, across]) => step * Math.ceil(width / 2 ** across))),
    rows: Math.max(...all.map(([, , , , down]) => Math.ceil(height / 2 ** down))),
  })
  return {
    isYuv,
    channels: Int32Array.from(channels.flat()),
    strides: perPixel.map((bytes) => bytes / perPixel[0]!),
    sizes: (width, height) => perPlane.map((all) => size(all, width, height)),
  }
}

const UNIT = 2 ** 20
const conversions = new Map<string, Int32Array>()

/** `toRgb` of `NativeFrame`: the black level of Y, and the factors of Y, V to R, U to G, V to G and U to B in 2^-20 levels. */
export function yuvToRgb(matrix: YuvMatrix, range: YuvRange): Int32Array {
  const key = `${matrix} ${range}`
  const known = conversions.get(key)
  if (known !== undefined) return known
  const [red, blue] = MATRICES[matrix]
  const green = 1 - red - blue
  const [black, luma, chroma] = range === 'full' ? [0, 1, 1] : [16, 255 / 219, 255 / 224]
  const [vToR, uToB] = [2 * (1 - red) * chroma, 2 * (1 - blue) * chroma]
  const factors = [luma, vToR, (-uToB * blue) / green, (-vToR * red) / green, uToB]
  const conversion = Int32Array.of(black, ...factors.map((factor) => Math.round(UNIT * factor)))
  conversions.set(key, conversion)
  return conversion
}
