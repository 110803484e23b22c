import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { type ImageSource, loadImage, type RgbImage, toSharp } from '../image/rgb-image.js'
import { checkField, checkOptions } from '../support/arguments.js'
import { shown } from '../support/quote.js'
import { writeColor } from './color-wheel.js'

export interface ArrowOptions {
  /** Pixels between arrows, 4 or more. Default: a 32nd of the longer side, but at least 10. */
  readonly step?: number | undefined
  /** An arrow's length per pixel of motion. Default 1: an arrow ends where its pixel went. */
  readonly scale?: number | undefined
  /** Fill of every arrow, as in CSS. Default: the colour of its direction on the wheel of `flowToColor`. */
  readonly color?: string | undefined
}

/** Arrows shorter than this, in shaft thicknesses, are drawn as dots, because their direction would not be visible. */
const SHORTEST_ARROW = 1.5

/**
 * Draws flow as a grid of arrows over its frame. The arrows are coloured and outlined in black, so that they show on any
 * background. A very small motion is drawn as a dot. Unknown flow is not drawn.
 *
 * @param frame a picture of the same size as the flow.
 * @throws {FlowError} `ERR_ARGUMENT` if the sizes differ or an option is out of range; else as
 *   `loadImage`.
 */
export async function drawArrows(
  frame: ImageSource,
  flow: FlowField,
  options: ArrowOptions = {},
): Promise<RgbImage> {
  checkField(flow, 'flow')
  const image = await loadImage(frame)
  if (image.width !== flow.width || image.height !== flow.height) {
    const sizes = `${image.width} x ${image.height}, the flow ${flow.width} x ${flow.height}`
    throw new FlowError('ERR_ARGUMENT', `arrows need a frame of the flow's size: it is ${sizes}`)
  }
  const overlay = Buffer.from(arrowsSvg(flow, options))
  const background = await toSharp(image)
  const data = await background
    .composite([{ input: overlay }])
    .removeAlpha()
    .raw()
    .toBuffer()
  return { data, width: image.width, height: image.height }
}

/**
 * The arrows alone, as an SVG document of the flow's size.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if an option is out of range.
 */
export function arrowsSvg(flow: FlowField, options: ArrowOptions = {}): string {
  checkField(flow, 'flow')
  checkOptions(options)
  const { width, height, x, y } = flow
  const { step = arrowStep(flow), scale = 1, color } = options
  if (!(step >= 4 && step < Infinity))
    throw new FlowError('ERR_ARGUMENT', `step is 4 pixels or more, got ${shown(step)}`)
  if (!(scale > 0 && scale < Infinity))
    throw new FlowError('ERR_ARGUMENT', `scale is above 0, got ${shown(scale)}`)
  if (color !== undefined && !(typeof color === 'string' && /^[\w#(),.% -]{1,64}$/.test(color))) {
    throw new FlowError('ERR_ARGUMENT', `color is a CSS colour, got ${shown(color)}`)
  }

  const thickness = Math.min(Math.max(step / 14, 1.2), 5)
  const shapes: string[] = []
  for (const row of gridLines(height, step)) {
    for (const column of gridLines(width, step)) {
      const i = row * width + column
      const dx = scale * x[i]!
      const dy = scale * y[i]!
      const length = Math.hypot(dx, dy)
      if (!Number.isFinite(length)) continue
      const at = `translate(${column + 0.5} ${row + 0.5})`
      if (length < SHORTEST_ARROW * thickness) {
        shapes.push(`<circle transform="${at}" r="${fixed(0.55 * thickness)}" fill="${color ?? '#fff'}"/>`)
        continue
      }
      const turn = `rotate(${fixed((Math.atan2(dy, dx) * 180) / Math.PI)})`
      const fill = color ?? directionColor(dx / length, dy / length)
      shapes.push(`<path transform="${at} ${turn}" d="${arrowPath(length, thickness)}" fill="${fill}"/>`)
    }
  }
  const outline = `stroke="#000" stroke-opacity="0.8" stroke-width="${fixed(0.9 * thickness)}" paint-order="stroke"`
  const size = `width="${width}" height="${height}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}><g ${outline} stroke-linejoin="round">${shapes.join('')}</g></svg>`
}

/** Pixels between arrows, where no step is given. */
export function arrowStep({ width, height }: Pick<FlowField, 'width' | 'height'>): number {
  return Math.max(10, Math.round(Math.max(width, height) / 32))
}

/** Positions along a side, every `step` pixels. The first and the last are equally far from the borders. */
function gridLines(side: number, step: number): number[] {
  const count = Math.max(1, Math.floor(side / step))
  const first = (side - 1 - (count - 1) * step) / 2
  return Array.from({ length: count }, (_, i) => Math.round(first + i * step))
}

/** An arrow from the origin to the right. The head of a short arrow shrinks with it, and so does its shaft. */
function arrowPath(length: number, thickness: number): string {
  const head = Math.min(4.6 * thickness, 0.6 * length)
  const half = 0.44 * head
  const shaft = Math.min(thickness / 2, 0.4 * half)
  const neck = fixed(length - 0.85 * head)
  const barb = fixed(length - head)
  const tip = fixed(length)
  const [w, h] = [fixed(shaft), fixed(half)]
  return `M0 -${w}L${neck} -${w}L${barb} -${h}L${tip} 0L${barb} ${h}L${neck} ${w}L0 ${w}Z`
}

function directionColor(x: number, y: number): string {
  const rgb = new Uint8Array(3)
  // Less than the full saturation: pure hues, blue above all, are dark and hard to see on dark frames.
  writeColor(0.7 * x, 0.7 * y, rgb, 0)
  return `rgb(${rgb.join()})`
}

function fixed(value: number): string {
  return String(Math.round(100 * value) / 100)
}
