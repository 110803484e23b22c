import { isPromise } from 'node:util/types'
import { FlowError } from '../errors.js'
import { FlowField } from '../flow-field.js'
import { isUnknown } from '../formats/unknown.js'
import { formatRow, type PixelFormat } from '../pixel-formats.js'
import type { PixelMap } from '../request.js'
import { allocateBytes, allocateFloats, refuseOverlap } from '../support/allocate.js'
import { checkField, checkOptions, described } from '../support/arguments.js'
import { isBytes, isFloat32Array, isUint8ClampedArray } from '../support/brands.js'
import { inJson, shown } from '../support/quote.js'
import type { Point } from './point.js'
import { sampleFlow } from './sample.js'

/** The values of a raster: bytes or floats. */
export type RasterValues = Uint8Array | Uint8ClampedArray | Float32Array

/**
 * Any number of channels per pixel, interleaved, row by row: an `RgbImage`, a `PixelMap`, a frame of `rgb`, `bgra` or `gray`
 * without padding. The number of channels is `data.length / (width * height)`.
 */
export interface Raster<Values extends RasterValues = RasterValues> {
  readonly data: Values
  readonly width: number
  readonly height: number
  /** Of a frame: how its channels are called. It is passed on. YUV is refused. */
  readonly format?: PixelFormat | undefined
}

/**
 * What a {@link FlowField} is not, which has all else of a raster: its values are not interleaved.
 *
 * @inline
 */
interface NoField {
  readonly resize?: never
}

/** Options of {@link warp} for flow fields. */
export interface WarpFlowOptions {
  /** Whether the result says which of its pixels come from inside of the image. Default false. */
  readonly valid?: boolean | undefined
  /** A field of the flow's size that is written to and returned, instead of a new one. */
  readonly into?: FlowField | undefined
}

/** Options of {@link warp}. */
export interface WarpOptions<Values extends RasterValues = RasterValues> {
  /**
   * What lies outside of the image: `'edge'`, its nearest pixel; or a value, for all channels or for each. A pixel on the border
   * is blended with it. Default 0, as in OpenCV's `remap` and PyTorch's `grid_sample`.
   */
  readonly border?: 'edge' | number | readonly number[] | undefined
  /** Between pixels: `'bilinear'` (default), or `'nearest'` for labels and masks. */
  readonly interpolation?: 'bilinear' | 'nearest' | undefined
  /** Whether the result says which of its pixels come from inside of the image. Default false. */
  readonly valid?: boolean | undefined
  /** Memory for the values, instead of a new array: of the image's kind and length, and not the image itself. */
  readonly into?: Values | undefined
}

/** A raster that was warped. */
export interface Warped<Values extends RasterValues> extends Raster<Values> {
  /** 1 where all that a pixel is made of lies inside of the image, else 0. Only if it was asked for. */
  readonly valid?: PixelMap<Uint8Array>
}

/** A flow field that was warped. */
export interface WarpedFlow {
  readonly flow: FlowField
  /** 1 where the vector is known, else 0. Only if it was asked for. */
  readonly valid?: PixelMap<Uint8Array>
}

/**
 * Backward warp: a pixel (x, y) of the result is the image at (x + flow.x, y + flow.y). With the flow from frame 1 to frame 2 it
 * brings frame 2 back to frame 1. Pixel centres are at integers, x is to the right, y down.
 *
 * A pixel whose flow is unknown gets the border's value; with `'edge'` 0, or NaN in floats. Bytes are rounded to the nearest. NaN in
 * an image of floats spreads to all pixels that it is part of.
 *
 * A flow field is warped as an image of two channels whose values stay as they are, and which are read as {@link FlowField.at} does:
 * outside is unknown. `warp(backward, forward)` is the way back of each pixel, so that forward and it add up to 0 where nothing is
 * hidden.
 *
 * @param image as large as the flow
 * @throws {FlowError} `ERR_ARGUMENT` if the sizes differ, or for an option; `ERR_FRAME` if the data do not fit the size, or are YUV;
 *   `ERR_OUT_OF_MEMORY`
 */
export function warp(image: FlowField, flow: FlowField, options?: WarpFlowOptions): WarpedFlow
export function warp<Values extends RasterValues>(
  image: Raster<Values> & NoField,
  flow: FlowField,
  options?: WarpOptions<Values>,
): Warped<Values>
export function warp(
  image: FlowField | Raster,
  flow: FlowField,
  options: Omit<WarpOptions, 'into'> & { readonly into?: FlowField | RasterValues | undefined } = {},
): WarpedFlow | Warped<RasterValues> {
  checkField(flow, 'flow')
  checkOptions(options)
  if (typeof image !== 'object' || image === null || isPromise(image))
    throw new FlowError(
      'ERR_ARGUMENT',
      `image: must be a FlowField or { data, width, height }, not ${described(image)}`,
    )
  const { width, height } = flow
  if (image.width !== width || image.height !== height)
    throw new FlowError(
      'ERR_ARGUMENT',
      `the image is ${image.width} x ${image.height}, the flow ${width} x ${height}: flow.resize makes it fit`,
    )
  const valid =
    options.valid === true
      ? { width, height, data: allocateBytes(width * height, 'a mask of valid pixels') }
      : undefined
  if (image instanceof FlowField) return warpFlow(image, flow, valid, options.into)
  const channels = channelsOf(image)
  const data = targetFor(image, options.into)
  refuseOverlap(data, image.data)
  const border = borderValues(options.border ?? 0, channels, isFloat32Array(data))
  const nearest = isNearest(options.interpolation ?? 'bilinear')
  warpValues(image.data, data, flow, { channels, border, nearest, valid })
  const { format } = image
  return { data, width, height, ...(format !== undefined && { format }), ...(valid && { valid }) }
}

function warpFlow(
  field: FlowField,
  flow: FlowField,
  valid: PixelMap<Uint8Array> | undefined,
  into: unknown,
): WarpedFlow {
  const { width, height, data } = flow
  const warped = into ?? new FlowField(width, height)
  if (!(warped instanceof FlowField) || warped.width !== width || warped.height !== height)
    throw new FlowError('ERR_ARGUMENT', `into: must be a FlowField of ${width} x ${height}`)
  refuseOverlap(warped.data, field.data)
  refuseOverlap(warped.data, data)
  const pixels = width * height
  const vector: Point = { x: 0, y: 0 }
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      // A flow that is NaN leads outside.
      sampleFlow(field, column + data[i]!, row + data[i + pixels]!, vector)
      warped.data[i] = vector.x
      warped.data[i + pixels] = vector.y
      if (valid !== undefined) valid.data[i] = Number.isNaN(vector.x) ? 0 : 1
    }
  }
  return { flow: warped, ...(valid && { valid }) }
}

interface Task {
  readonly channels: number
  /** One value per channel; undefined: the nearest pixel. */
  readonly border: Float64Array | undefined
  readonly nearest: boolean
  readonly valid: PixelMap<Uint8Array> | undefined
}

/** Computes every pixel. */
function warpValues(
  source: RasterValues,
  made: RasterValues,
  { width, height, data: motion }: FlowField,
  { channels, border, nearest, valid }: Task,
): void {
  const pixels = width * height
  const isFloat = isFloat32Array(made)
  // A conversion to bytes cuts off.
  const rounding = isFloat ? 0 : 0.5
  const unknown = border ?? new Float64Array(channels).fill(isFloat ? NaN : 0)
  const line = width * channels
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      const at = i * channels
      const dx = motion[i]!
      const dy = motion[i + pixels]!
      if (isUnknown(dx, dy)) {
        for (let c = 0; c < channels; c++) made[at + c] = unknown[c]!
        continue
      }
      let x = column + dx
      let y = row + dy
      if (nearest) {
        x = Math.floor(x + 0.5)
        y = Math.floor(y + 0.5)
      }
      const inside = x >= 0 && x <= width - 1 && y >= 0 && y <= height - 1
      if (inside) {
        if (valid !== undefined) valid.data[i] = 1
      } else if (border !== undefined) {
        for (let c = 0; c < channels; c++)
          made[at + c] = blended(source, { x, y, width, height, channels, c }, border[c]!) + rounding
        continue
      } else {
        x = Math.min(Math.max(x, 0), width - 1)
        y = Math.min(Math.max(y, 0), height - 1)
      }
      const left = Math.floor(x)
      const top = Math.floor(y)
      const right = x - left
      const below = y - top
      const first = top * line + left * channels
      // A neighbour without weight may lie outside.
      const across = right === 0 ? 0 : channels
      const down = below === 0 ? 0 : line
      for (let c = 0; c < channels; c++) {
        const from = first + c
        const upper = between(source[from]!, source[from + across]!, right)
        const lower = between(source[from + down]!, source[from + down + across]!, right)
        made[at + c] = between(upper, lower, below) + rounding
      }
    }
  }
}

/** A value between two others. Infinity less itself is NaN, so one that is on a pixel is taken as it is. */
function between(a: number, b: number, share: number): number {
  return share === 0 ? a : a + share * (b - a)
}

interface Place extends Point {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly c: number
}

/** The value at a place that is on the border or outside. */
function blended(source: RasterValues, { x, y, width, height, channels, c }: Place, border: number): number {
  const left = Math.floor(x)
  const top = Math.floor(y)
  let sum = 0
  for (let tap = 0; tap < 4; tap++) {
    const column = left + (tap & 1)
    const row = top + (tap >> 1)
    const weight = (1 - Math.abs(x - column)) * (1 - Math.abs(y - row))
    if (weight === 0) continue
    const inside = column >= 0 && column < width && row >= 0 && row < height
    sum += weight * (inside ? source[(row * width + column) * channels + c]! : border)
  }
  return sum
}

/** @throws {FlowError} `ERR_FRAME` if the data are not of whole pixels, or of another layout */
function channelsOf({ data, width, height, format, ...others }: Raster): number {
  if (!isBytes(data) && !isFloat32Array(data))
    throw new FlowError(
      'ERR_FRAME',
      'image: data must be a Uint8Array, a Uint8ClampedArray or a Float32Array',
    )
  const row = format === undefined ? undefined : formatRow(format)
  if (format !== undefined && (row === undefined || row.isYuv))
    throw new FlowError(
      'ERR_FRAME',
      `image: warped are channels of RGB, not ${shown(format)}: convert it first`,
    )
  const channels = data.length / (width * height)
  const wanted = row === undefined ? channels : row.sizes(1, 1)[0]!.row
  if (channels !== wanted || !Number.isInteger(channels) || channels < 1 || 'planes' in others)
    throw new FlowError(
      'ERR_FRAME',
      `image: ${data.length} values are not ${width} x ${height} pixels of ${Number.isInteger(wanted) ? `${wanted} channels` : 'one or more channels'}, ` +
        'interleaved and without padding',
    )
  return channels
}

/** @throws {FlowError} `ERR_ARGUMENT` for memory that cannot be written to; `ERR_OUT_OF_MEMORY` */
function targetFor({ data }: Raster, into: unknown): RasterValues {
  const isFloat = isFloat32Array(data)
  if (into === undefined) {
    if (isFloat) return allocateFloats(data.length, 'a warped map')
    const bytes = allocateBytes(data.length, 'a warped image')
    return isUint8ClampedArray(data) ? new Uint8ClampedArray(bytes.buffer) : bytes
  }
  const alike = (value: unknown) => (isFloat ? isFloat32Array(value) : isBytes(value))
  if (!alike(into) || (into as RasterValues).length !== data.length)
    throw new FlowError(
      'ERR_ARGUMENT',
      `into: must have ${data.length} ${isFloat ? 'floats' : 'bytes'}, as the image's data`,
    )
  return into as RasterValues
}

/** The values outside, one per channel; undefined for the nearest pixel. */
function borderValues(
  border: 'edge' | number | readonly number[],
  channels: number,
  isFloat: boolean,
): Float64Array | undefined {
  if (border === 'edge') return undefined
  const values = typeof border === 'number' ? Array<number>(channels).fill(border) : border
  const fits = (value: unknown) =>
    typeof value === 'number' && (isFloat || (Number.isInteger(value) && value >= 0 && value <= 255))
  if (!Array.isArray(values) || values.length !== channels || !values.every(fits))
    throw new FlowError(
      'ERR_ARGUMENT',
      `border: must be 'edge', or ${isFloat ? 'a number' : 'an integer from 0 to 255'} for all channels or for each of ${channels}, ` +
        `not ${inJson(border)}`,
    )
  return Float64Array.from(values)
}

function isNearest(interpolation: unknown): boolean {
  if (interpolation === 'bilinear' || interpolation === 'nearest') return interpolation === 'nearest'
  throw new FlowError(
    'ERR_ARGUMENT',
    `interpolation: must be 'bilinear' or 'nearest', not ${shown(interpolation)}`,
  )
}
