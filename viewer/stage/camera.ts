import type { OutputSize } from '../../lib/size.js'
import type { Cell } from '../state.js'

/** A point of the stage, in CSS pixels from its left upper corner. */
export interface Point {
  readonly x: number
  readonly y: number
}

/** CSS pixels that stay free around a picture that fits the stage. */
const MARGIN = 12

/** A picture that is very long is not shown as a whole at first: its shorter side has so many CSS pixels. */
const THINNEST = 16

/** The most CSS pixels that a pixel of the grid may be wide. */
const LARGEST = 64

/** Where the picture is on the stage. The grid's pixel (column, row) covers a square of `scale`, its left upper corner first. */
export class Camera {
  /** CSS pixels per pixel of the grid. */
  scale = 1
  left = 0
  top = 0
  #fitted = true
  #stage: OutputSize = { width: 1, height: 1 }
  readonly #picture: OutputSize

  constructor(picture: OutputSize) {
    this.#picture = picture
  }

  /** The stage has another size: a picture that fitted it fits it again, any other one keeps its middle. */
  resize(stage: OutputSize): void {
    const before = this.#stage
    this.#stage = stage
    if (this.#fitted) this.fit()
    else this.pan((stage.width - before.width) / 2, (stage.height - before.height) / 2)
  }

  fit(): void {
    const thinnest = THINNEST / Math.min(this.#picture.width, this.#picture.height)
    this.scale = Math.max(this.#fitScale(), Math.min(thinnest, LARGEST))
    this.left = (this.#stage.width - this.scale * this.#picture.width) / 2
    this.top = (this.#stage.height - this.scale * this.#picture.height) / 2
    this.#fitted = true
  }

  /** Zooms by a factor; what is at a point stays there. */
  zoom(factor: number, at: Point = { x: this.#stage.width / 2, y: this.#stage.height / 2 }): void {
    const smallest = Math.min(this.#fitScale(), 1)
    const scale = Math.min(Math.max(this.scale * factor, smallest), Math.max(LARGEST, this.#fitScale()))
    this.left = at.x - ((at.x - this.left) * scale) / this.scale
    this.top = at.y - ((at.y - this.top) * scale) / this.scale
    this.scale = scale
    this.#fitted = false
    this.pan(0, 0)
  }

  /** Moves the picture. Its middle, at least, stays near: it cannot be lost. */
  pan(dx: number, dy: number): void {
    if (dx !== 0 || dy !== 0) this.#fitted = false
    this.left = keepInView(this.left + dx, this.scale * this.#picture.width, this.#stage.width)
    this.top = keepInView(this.top + dy, this.scale * this.#picture.height, this.#stage.height)
  }

  /** Brings a pixel into view, if it is not. */
  reveal({ column, row }: Cell): void {
    const { x, y } = this.centerOf(column, row)
    const { width, height } = this.#stage
    const dx = x < MARGIN ? MARGIN - x : x > width - MARGIN ? width - MARGIN - x : 0
    const dy = y < MARGIN ? MARGIN - y : y > height - MARGIN ? height - MARGIN - y : 0
    if (dx !== 0 || dy !== 0) this.pan(dx, dy)
  }

  /** The pixel under a point of the stage; undefined beside the picture. */
  cellAt({ x, y }: Point): Cell | undefined {
    const column = Math.floor((x - this.left) / this.scale)
    const row = Math.floor((y - this.top) / this.scale)
    const { width, height } = this.#picture
    return column >= 0 && column < width && row >= 0 && row < height ? { column, row } : undefined
  }

  /** The point of the stage where the centre of a pixel is. */
  centerOf(column: number, row: number): Point {
    return { x: this.left + this.scale * (column + 0.5), y: this.top + this.scale * (row + 0.5) }
  }

  /** What is seen of the picture, in CSS pixels from left to right. */
  get visible(): { readonly from: number; readonly to: number } {
    return {
      from: Math.max(0, this.left),
      to: Math.min(this.#stage.width, this.left + this.scale * this.#picture.width),
    }
  }

  /** The pixels of the grid that the stage shows, and some beside them that may not be in the picture. */
  get seenCells(): {
    readonly left: number
    readonly top: number
    readonly right: number
    readonly bottom: number
  } {
    const { width, height } = this.#stage
    const cell = (place: number, start: number) => Math.floor((place - start) / this.scale)
    return {
      left: cell(0, this.left),
      top: cell(0, this.top),
      right: cell(width, this.left),
      bottom: cell(height, this.top),
    }
  }

  #fitScale(): number {
    const { width, height } = this.#stage
    const room = (side: number) => Math.max(side - 2 * MARGIN, 1)
    return Math.min(room(width) / this.#picture.width, room(height) / this.#picture.height, LARGEST)
  }
}

function keepInView(start: number, length: number, room: number): number {
  if (length <= room) return (room - length) / 2
  const slack = room / 2
  return Math.min(Math.max(start, room - length - slack), slack)
}
