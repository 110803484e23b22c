import type { Grid, PageData } from '../../lib/cli/view/page-data.js'
import { canvasOf, colorOf, context2d, h } from '../dom.js'
import { type LayerId, LAYERS } from '../layers/layers.js'
import type { LoadedShot } from '../shots.js'
import type { Picture, State } from '../state.js'
import type { Camera, Point } from './camera.js'

/** CSS pixels of a square of the checkerboard. */
const CHECKER = 8

/** A shorter arrow, in CSS pixels, is a dot. */
const SHORT = 3

/** CSS pixels between arrows. */
const ARROW_SPACING = 26

/** Draws what the state says. Layers are painted once per flow and scale. */
export class Painter {
  readonly #data: PageData
  readonly #painted = new Map<LayerId, { readonly key: string; readonly canvas: HTMLCanvasElement }>()
  #shot: LoadedShot | undefined

  constructor(data: PageData) {
    this.#data = data
  }

  draw(context: CanvasRenderingContext2D, camera: Camera, state: State): void {
    const { shot } = state
    if (shot === undefined) return
    if (shot !== this.#shot) this.#painted.clear()
    this.#shot = shot
    // Pixels are squares where they are large enough to be told apart, and smooth where several share one of the screen.
    context.imageSmoothingEnabled = camera.scale < 2
    context.imageSmoothingQuality = 'high'
    const { columns, rows } = this.#data.grid
    // Where nothing is, such as at unknown motion, a checkerboard shows: white is no motion.
    context.fillStyle = this.#checkerboard(context)
    context.fillRect(camera.left, camera.top, camera.scale * columns, camera.scale * rows)
    if (state.mode === 'layers') this.#drawLayers(context, camera, shot, state)
    else if (state.mode === 'wipe') this.#drawWipe(context, camera, shot, state)
    else this.#drawPicture(context, camera, shot, state.phase === 'first' ? 'first' : state.other)
    this.#drawProbe(context, camera, shot, state)
  }

  #checkerboard(context: CanvasRenderingContext2D): CanvasPattern {
    const tile = h('canvas')
    tile.width = tile.height = 2 * CHECKER
    const colors = context2d(tile)
    for (const [color, from] of [
      ['--paper', 0],
      ['--checker', CHECKER],
    ] as const) {
      colors.fillStyle = colorOf(color)
      colors.fillRect(from, 0, CHECKER, CHECKER)
      colors.fillRect(CHECKER - from, CHECKER, CHECKER, CHECKER)
    }
    return context.createPattern(tile, 'repeat')!
  }

  #drawLayers(context: CanvasRenderingContext2D, camera: Camera, shot: LoadedShot, state: State): void {
    this.#drawPicture(context, camera, shot, state.base)
    for (const { id, paint } of LAYERS) {
      if (!state.shown[id]) continue
      context.globalAlpha = state.opacity[id]
      if (paint === undefined)
        drawArrows(context, camera, shot, this.#data.grid, this.#data.scale, arrowTimes(camera, this.#data))
      else this.#place(context, camera, this.#paint(id, shot, state.scale))
    }
    context.globalAlpha = 1
  }

  #drawWipe(context: CanvasRenderingContext2D, camera: Camera, shot: LoadedShot, state: State): void {
    const x = wipeX(camera, state)
    const { height } = context.canvas
    for (const [picture, from, to] of [
      ['first', -1e5, x],
      [state.other, x, 1e5],
    ] as const) {
      context.save()
      context.beginPath()
      context.rect(from, 0, to - from, height)
      context.clip()
      this.#drawPicture(context, camera, shot, picture)
      context.restore()
    }
    context.fillStyle = colorOf('--accent')
    context.fillRect(x - 1, 0, 2, height)
    const middle = context.canvas.clientHeight / 2
    context.beginPath()
    context.arc(x, middle, 13, 0, 2 * Math.PI)
    context.fill()
    context.strokeStyle = colorOf('--on-accent')
    context.lineWidth = 2
    context.beginPath()
    for (const side of [-1, 1]) {
      context.moveTo(x + 3.5 * side, middle - 4)
      context.lineTo(x + 7.5 * side, middle)
      context.lineTo(x + 3.5 * side, middle + 4)
    }
    context.stroke()
  }

  #drawPicture(context: CanvasRenderingContext2D, camera: Camera, shot: LoadedShot, picture: Picture): void {
    const image = pictureOf(shot, picture)
    if (image !== undefined) this.#place(context, camera, image)
  }

  #place(context: CanvasRenderingContext2D, camera: Camera, image: CanvasImageSource): void {
    const { columns, rows } = this.#data.grid
    context.drawImage(image, camera.left, camera.top, camera.scale * columns, camera.scale * rows)
  }

  #paint(id: LayerId, shot: LoadedShot, scale: number): HTMLCanvasElement {
    const key = id === 'flow' ? `${scale}` : ''
    const known = this.#painted.get(id)
    if (known?.key === key) return known.canvas
    const canvas = canvasOf(LAYERS.find((layer) => layer.id === id)!.paint!(shot, this.#data, scale))
    this.#painted.set(id, { key, canvas })
    return canvas
  }

  /** A crosshair at the probe, and an arrow to where its pixel goes, each with a dark rim to be seen on anything. */
  #drawProbe(context: CanvasRenderingContext2D, camera: Camera, shot: LoadedShot, state: State): void {
    if (state.probe === undefined) return
    const { column, row } = state.probe
    const { columns, step } = this.#data.grid
    const i = row * columns + column
    const from = camera.centerOf(column, row)
    const paths = [crosshair(from, camera.scale, state.pinned)]
    const dx = shot.flow.x[i]! / step
    const dy = shot.flow.y[i]! / step
    if (Number.isFinite(dx)) paths.push(arrow(from, camera.centerOf(column + dx, row + dy)))
    for (const [color, width] of [
      ['rgb(0 0 0 / 0.75)', 4],
      ['#fff', 1.75],
    ] as const) {
      context.strokeStyle = color
      context.lineWidth = width
      context.lineCap = context.lineJoin = 'round'
      for (const path of paths) context.stroke(path)
    }
  }
}

/** The place of the line of the wipe, in CSS pixels. */
export function wipeX({ visible: { from, to } }: Camera, { wipe }: State): number {
  return from + wipe * (to - from)
}

function pictureOf(shot: LoadedShot, picture: Picture): CanvasImageSource | undefined {
  if (picture === 'none') return undefined
  return picture === 'warped' ? shot.warped() : shot[picture]
}

function crosshair({ x, y }: Point, scale: number, pinned: boolean): Path2D {
  const path = new Path2D()
  const near = Math.max(5, scale / 2 + 2)
  const far = near + (pinned ? 16 : 9)
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ] as const) {
    path.moveTo(x + near * dx, y + near * dy)
    path.lineTo(x + far * dx, y + far * dy)
  }
  // The pixel itself, where it can be seen.
  if (scale >= 6) path.rect(x - scale / 2, y - scale / 2, scale, scale)
  return path
}

function arrow(from: Point, to: Point): Path2D {
  const path = new Path2D()
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  const length = Math.hypot(dx, dy)
  if (length < 3) return path
  const [ux, uy] = [dx / length, dy / length]
  const head = Math.min(8, 0.45 * length)
  path.moveTo(from.x, from.y)
  path.lineTo(to.x, to.y)
  for (const side of [-0.5, 0.5]) {
    path.moveTo(to.x, to.y)
    path.lineTo(to.x - head * (ux - side * uy), to.y - head * (uy + side * ux))
  }
  return path
}

/** How many times longer than the motion arrows are drawn: as much as the longest ones have room for, in steps of a half. */
export function arrowTimes({ scale }: Camera, data: PageData): number {
  const longest = (data.scale / data.grid.step) * scale
  return Math.max(1, Math.floor((2 * ARROW_SPACING) / longest) / 2)
}

/** Arrows from pixels to where they go, at even distances on the screen, and so far apart that they hardly cross. */
function drawArrows(
  context: CanvasRenderingContext2D,
  camera: Camera,
  shot: LoadedShot,
  { columns, rows, step }: Grid,
  longest: number,
  times: number,
): void {
  const apart = Math.max(ARROW_SPACING / camera.scale, longest / step / 2)
  const spacing = Math.max(1, Math.round(apart))
  const seen = camera.seenCells
  const arrows = new Path2D()
  const dots = new Path2D()
  const firstOf = (from: number, length: number) =>
    ((Math.min(spacing, length) - 1) >> 1) + spacing * Math.max(Math.floor(from / spacing) - 1, 0)
  for (let row = firstOf(seen.top, rows); row < Math.min(rows, seen.bottom + spacing); row += spacing)
    for (
      let column = firstOf(seen.left, columns);
      column < Math.min(columns, seen.right + spacing);
      column += spacing
    ) {
      const i = row * columns + column
      const dx = (times * shot.flow.x[i]!) / step
      const dy = (times * shot.flow.y[i]!) / step
      if (Number.isNaN(dx)) continue
      const from = camera.centerOf(column, row)
      const to = camera.centerOf(column + dx, row + dy)
      if (camera.scale * Math.hypot(dx, dy) >= SHORT) arrows.addPath(arrow(from, to))
      else {
        dots.moveTo(from.x + 1, from.y)
        dots.arc(from.x, from.y, 1, 0, 2 * Math.PI)
      }
    }
  context.lineCap = context.lineJoin = 'round'
  for (const [color, width] of [
    ['rgb(0 0 0 / 0.7)', 3],
    ['#fff', 1.25],
  ] as const) {
    context.strokeStyle = color
    context.lineWidth = width
    context.stroke(arrows)
    context.stroke(dots)
  }
}
