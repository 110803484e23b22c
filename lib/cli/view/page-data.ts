import type { OutputSize } from '../../size.js'

// What `view` puts into a page, and the page reads: JSON, and binary parts in base64 that the JSON names.
// Types only: the page is compiled for browsers.

/** The page's JSON. Coordinates and vectors are in pixels of the flow: x right, y down, pixel centres at integers. */
export interface PageData {
  readonly title: string
  /** What made the page, such as `dinov3-flow 0.1.0`. */
  readonly generator: string
  /** The size of the flow. */
  readonly size: OutputSize
  readonly grid: Grid
  /** The length, in pixels, of a motion that gets the full colour. */
  readonly scale: number
  /** The end-point error, in pixels, at the end of its ramp of colours; null without ground truth. */
  readonly errorScale: number | null
  /** The pictures, WebP or PNG, of the grid's size, by the names of their parts. */
  readonly pictures: readonly string[]
  /** The flows that are in the page, in the order of time: at least one. */
  readonly shots: readonly Shot[]
  /** All steps of the sequence, with those whose flow is not in the page; empty for one flow. */
  readonly timeline: readonly TimelineStep[]
  /** What a user should know: sizes that were changed, what was left out. */
  readonly notes: readonly string[]
}

/** The pixels of a flow that are in the page: column c and row r hold the pixel `(offset + step * c, offset + step * r)`. */
export interface Grid {
  readonly columns: number
  readonly rows: number
  /** 1 if every pixel is there, 2 for every second one of every second row, and so on. */
  readonly step: number
  readonly offset: number
}

/** One flow and what belongs to it. */
export interface Shot {
  /** The name of its file, or what was computed. */
  readonly label: string
  readonly flow: PackedPlanes
  readonly backward?: PackedPlanes
  readonly truth?: PackedPlanes
  /** One plane, in 255ths. */
  readonly confidence?: PackedPlanes
  /** One plane of 0 and 1. */
  readonly occlusion?: PackedPlanes
  /** Places in `pictures`. */
  readonly first?: number
  readonly second?: number
}

/** Planes of integers, of one size, in one part: as `packPlane` codes them, one after the other, in raw deflate. */
export interface PackedPlanes {
  readonly part: string
  /** The value of 1. */
  readonly quantum: number
  /** The bytes per value of each plane. */
  readonly bytes: readonly number[]
  /** Whether one byte per pixel follows: 1 where the value is unknown. */
  readonly unknown: boolean
}

/** A step of a sequence: from one frame to the next. */
export interface TimelineStep {
  /** The number in the name of its file. */
  readonly number: number
  /** Its place in `shots`; null if its flow is not in the page. */
  readonly shot: number | null
  /** The mean length of its motion, in pixels; null if no pixel is known, or there is no flow. */
  readonly mean: number | null
  /** The mean end-point error, in pixels; null if there is no ground truth. */
  readonly error: number | null
  /** Why there is no flow or none that makes sense. `gap`: the numbers leave it out. `cut`: the next frame shows something else. */
  readonly event: 'gap' | 'broken' | 'cut' | null
}
