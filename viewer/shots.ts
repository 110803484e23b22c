import type { Grid, PackedPlanes, PageData, Shot } from '../lib/cli/view/page-data.js'
import { canvasOf, context2d, h } from './dom.js'
import { readPicture, readPlanes } from './parts.js'
import { warpBack } from './warp.js'

/** A flow on the page's grid, in pixels of the whole flow; NaN where it is unknown. */
export interface Field {
  readonly x: Float32Array
  readonly y: Float32Array
}

/** A flow and what belongs to it. The flow is unpacked, the rest at its first use. */
export interface LoadedShot {
  readonly label: string
  readonly flow: Field
  readonly backward: Field | undefined
  readonly truth: Field | undefined
  readonly confidence: Float32Array | undefined
  readonly occlusion: Float32Array | undefined
  readonly first: ImageBitmap | undefined
  readonly second: ImageBitmap | undefined
  /** The second picture warped back by the flow: made when it is first asked for. */
  warped(): HTMLCanvasElement | undefined
}

/** So many unpacked pixels are kept, of flows that were shown last. */
const KEPT_PIXELS = 2 ** 22

/** Unpacks the flows of a page when they are asked for, and keeps the last ones. */
export class Shots {
  readonly #data: PageData
  readonly #kept = new Map<number, Promise<LoadedShot>>()
  readonly #most: number

  constructor(data: PageData) {
    this.#data = data
    this.#most = Math.max(3, Math.floor(KEPT_PIXELS / (data.grid.columns * data.grid.rows)))
  }

  load(index: number): Promise<LoadedShot> {
    const shot = this.#kept.get(index) ?? unpack(this.#data.shots[index]!, this.#data)
    // Put at the end, as the latest.
    this.#kept.delete(index)
    this.#kept.set(index, shot)
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= this.#most) break
      this.#kept.delete(oldest)
    }
    return shot
  }
}

async function unpack(shot: Shot, { grid, pictures }: PageData): Promise<LoadedShot> {
  const planes = (packed: PackedPlanes | undefined) =>
    packed === undefined ? () => undefined : readPlanes(packed, grid)
  const picture = (place: number | undefined) =>
    place === undefined ? undefined : readPicture(pictures[place]!)
  const [flow, backward, truth, confidence, occlusion, first, second] = await Promise.all([
    readPlanes(shot.flow, grid),
    planes(shot.backward),
    planes(shot.truth),
    planes(shot.confidence),
    planes(shot.occlusion),
    picture(shot.first),
    picture(shot.second),
  ])
  const field = fieldOf(flow())
  let warped: HTMLCanvasElement | undefined
  return {
    label: shot.label,
    flow: field,
    get backward() {
      return fieldOf(backward())
    },
    get truth() {
      return fieldOf(truth())
    },
    get confidence() {
      return confidence()?.[0]
    },
    get occlusion() {
      return occlusion()?.[0]
    },
    first,
    second,
    warped() {
      if (second !== undefined) warped ??= canvasOf(warpBack(pixelsOf(second, grid), field, grid.step))
      return warped
    },
  }
}

function fieldOf(planes: readonly Float32Array[]): Field
function fieldOf(planes: readonly Float32Array[] | undefined): Field | undefined
function fieldOf(planes: readonly Float32Array[] | undefined): Field | undefined {
  return planes && { x: planes[0]!, y: planes[1]! }
}

/** Unpacks what belongs to a flow, each in a task of its own, so that the page answers in between. */
export function unpackCompanions(shot: LoadedShot): void {
  for (const name of ['truth', 'backward', 'confidence', 'occlusion'] as const)
    setTimeout(() => void shot[name])
}

function pixelsOf(picture: ImageBitmap, { columns, rows }: Grid): ImageData {
  const canvas = h('canvas')
  canvas.width = columns
  canvas.height = rows
  const context = context2d(canvas)
  context.drawImage(picture, 0, 0)
  return context.getImageData(0, 0, columns, rows)
}
