import { FlowError } from '../errors.js'
import type { FlowMaps } from '../request.js'
import type { StreamResult } from '../stream-options.js'
import { checkField, checkOptions, described, isIterable } from '../support/arguments.js'
import { shown } from '../support/quote.js'
import { isInside, type Point } from './point.js'
import { sampleFlow } from './sample.js'

/**
 * Why a point was lost:
 * - `'left'`: it went out of the frame
 * - `'occluded'`: it is hidden in the next frame, by the stream's `occlusion`
 * - `'unsure'`: the stream's `confidence` is below `minConfidence` there
 * - `'unknown'`: the flow is unknown there
 * - `'cut'`: another scene began, or frames of another size
 * - `'gap'`: the flow starts from another frame than the one that the point is in, as after `reset`
 */
export type LossReason = 'left' | 'occluded' | 'unsure' | 'unknown' | 'cut' | 'gap'

/** A point that is carried along a video. */
export interface TrackedPoint {
  /** In pixels of the flow, to the right. Of a lost point: where it was seen last. */
  readonly x: number
  /** Likewise, down. */
  readonly y: number
  /** Null while it is seen. */
  readonly lost: LossReason | null
}

/** Options of {@link trackPoints} and {@link movePoints}. */
export interface TrackOptions {
  /** A point is lost where the stream's `confidence` is lower, 0 to 1. Default 0: never. */
  readonly minConfidence?: number | undefined
}

/** A frame of a stream, and the points in it. */
export interface TrackStep {
  /** In the order in which they were given. Those that are lost stay in the list, where they were seen last. */
  readonly points: readonly TrackedPoint[]
  readonly result: StreamResult
}

/**
 * Carries points along a stream, to a fraction of a pixel: by the flow at the place of each point, as {@link FlowField.at} gives it.
 * A point that is lost stays lost.
 *
 * ```ts
 * const stream = model.stream({ occlusion: true, sceneCut: true })
 * for await (const { points, result } of trackPoints(stream.from(camera), [{ x: 320, y: 240 }])) ...
 * ```
 *
 * There is a step for every result. Where a frame has no flow, as it was dropped or has failed, the points wait where they are in the
 * last frame that was computed.
 *
 * @param results what `stream.from(frames)` gives, or any results of one stream in their order. With `occlusion`, hidden points are
 *   lost; with `confidence`, those that `minConfidence` refuses.
 * @param points where they are in the first frame, in pixels of the flow: x to the right, y down, pixel centres at integers
 * @throws {FlowError} `ERR_ARGUMENT` for points without finite coordinates, or an option; and every error of the stream
 */
export function trackPoints(
  results: AsyncIterable<StreamResult> | Iterable<StreamResult>,
  points: Iterable<Readonly<Point>>,
  options: TrackOptions = {},
): AsyncGenerator<TrackStep, void, undefined> {
  // Checked at the call, and not at the first step.
  const first = checkPoints(points)
  checkTrackOptions(options)
  if (!isIterable(results))
    throw new FlowError('ERR_ARGUMENT', `results: must be those of a stream, not ${described(results)}`)
  return steps(results, first, options)
}

async function* steps(
  results: AsyncIterable<StreamResult> | Iterable<StreamResult>,
  first: readonly TrackedPoint[],
  options: TrackOptions,
): AsyncGenerator<TrackStep, void, undefined> {
  let points = first
  /** The frame that the points are in. Only its flow carries them. */
  let frame: number | undefined
  for await (const result of results) {
    if (result.flow !== null) {
      const follows = frame === undefined || result.from.index === frame
      points = follows ? movePoints(points, result, options) : allLost(points, 'gap')
      frame = result.index
    } else if (result.reason === 'cut' || result.reason === 'size') {
      points = allLost(points, 'cut')
      frame = result.index
    }
    yield { points, result }
  }
}

/**
 * Carries points by one flow: the step of {@link trackPoints}, for results of `push` and for pairs. Points may be added between the
 * steps.
 *
 * @param points where they are in frame 1. Those that are lost are returned as they are.
 * @param maps the flow from frame 1 to frame 2, and its `occlusion` and `confidence` if there are any
 * @returns where they are in frame 2, in the same order
 * @throws {FlowError} `ERR_ARGUMENT` for points without finite coordinates, or an option
 */
export function movePoints(
  points: Iterable<Readonly<Point> | TrackedPoint>,
  maps: FlowMaps,
  options: TrackOptions = {},
): readonly TrackedPoint[] {
  checkTrackOptions(options)
  checkField((maps as FlowMaps | undefined)?.flow, 'maps.flow')
  const vector: Point = { x: 0, y: 0 }
  return checkPoints(points).map((point) =>
    point.lost === null ? moved(point, maps, options, vector) : point,
  )
}

function moved(
  { x, y }: TrackedPoint,
  { flow, occlusion, confidence }: FlowMaps,
  { minConfidence = 0 }: TrackOptions,
  vector: Point,
): TrackedPoint {
  const { width, height } = flow
  const lost = (reason: LossReason) => ({ x, y, lost: reason })
  if (!isInside(x, y, width, height)) return lost('left')
  sampleFlow(flow, x, y, vector)
  const to = { x: x + vector.x, y: y + vector.y, lost: null }
  if (Number.isNaN(to.x)) return lost('unknown')
  if (!isInside(to.x, to.y, width, height)) return lost('left')
  // Rounding may reach the border, half a pixel beyond the last centre.
  const pixel = Math.min(Math.round(y), height - 1) * width + Math.min(Math.round(x), width - 1)
  if (occlusion !== undefined && occlusion.data[pixel] !== 0) return lost('occluded')
  if (confidence !== undefined && !(confidence.data[pixel]! >= minConfidence)) return lost('unsure')
  return to
}

function allLost(points: readonly TrackedPoint[], reason: LossReason): readonly TrackedPoint[] {
  return points.map((point) => (point.lost === null ? { ...point, lost: reason } : point))
}

function checkPoints(points: Iterable<Readonly<Point> | TrackedPoint>): readonly TrackedPoint[] {
  if (!isIterable(points))
    throw new FlowError('ERR_ARGUMENT', `points: must be a list of { x, y }, not ${described(points)}`)
  return Array.from(points, (point, i) => {
    if (!Number.isFinite(point?.x) || !Number.isFinite(point.y))
      throw new FlowError('ERR_ARGUMENT', `points: point ${i} must be { x, y } of finite numbers of pixels`)
    return { x: point.x, y: point.y, lost: 'lost' in point ? point.lost : null }
  })
}

function checkTrackOptions(options: TrackOptions): void {
  checkOptions(options)
  const { minConfidence = 0 } = options
  if (!(minConfidence >= 0 && minConfidence <= 1))
    throw new FlowError('ERR_ARGUMENT', `minConfidence: must be from 0 to 1, not ${shown(minConfidence)}`)
}
