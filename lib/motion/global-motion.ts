import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { isUnknown } from '../formats/unknown.js'
import type { PixelMap } from '../request.js'
import { sameSize } from '../size.js'
import { allocateBytes } from '../support/allocate.js'
import { checkField, checkOptions } from '../support/arguments.js'
import { shown } from '../support/quote.js'
import { Homography } from './homography.js'
import { MOTION_MODELS, type Matches, type MotionModel } from './fit.js'
import type { Point } from './point.js'

/**
 * The motions that are looked for: a shift; a shift, a rotation and a scale, as of a camera that is turned and zoomed; or any motion of
 * a plane, as of a camera that turns about itself.
 *
 * @useDeclaredType
 */
export type GlobalMotionModel = keyof typeof MOTION_MODELS

/** Options of {@link globalMotion}. The maps of a stream's result may be given as they are: `globalMotion(result.flow, result)`. */
export interface GlobalMotionOptions {
  /** Default `'homography'`. */
  readonly model?: GlobalMotionModel | undefined
  /** A pixel follows the motion if its flow ends at most so far from where the motion ends, in pixels. Default 1. */
  readonly threshold?: number | undefined
  /** How sure the flow of each pixel is, 0 to 1: only pixels with `minConfidence` or more count. */
  readonly confidence?: PixelMap<Float32Array> | undefined
  /** Default 0.5. */
  readonly minConfidence?: number | undefined
  /** Pixels that are not 0 do not count. */
  readonly occlusion?: PixelMap<Uint8Array> | undefined
  /** Whether the result says which pixels follow the motion. Default false. */
  readonly mask?: boolean | undefined
}

/** The motion that most pixels of a field share. */
export interface GlobalMotion {
  /** From frame 1 to frame 2. */
  readonly homography: Homography
  /** The share of the pixels that count, 0 to 1, that follow it. */
  readonly inliers: number
  /** The root mean square distance, in pixels, of the flow of those from the motion. */
  readonly error: number
  /** The number of pixels that count: their flow is known, sure and not hidden. */
  readonly counted: number
  /** 1 for every pixel that follows the motion, else 0. Only if it was asked for. */
  readonly mask?: PixelMap<Uint8Array>
}

/** Pixels that motions are fitted to. More would hardly tell more of at most eight unknowns. */
const MOST_MATCHES = 2048
/** Wrong with this probability, if the pixels outside of the motion are spread evenly. */
const MOST_DOUBT = 1e-4
const MOST_TRIALS = 2000
const MOST_REFITS = 50
/** The threshold of the first refit, in those of the motion. */
const WIDEST = 4

/**
 * The motion that most pixels share, by random sample consensus (Fischler & Bolles, 1981) with truncated squares of distances as
 * the cost (MSAC; Torr & Zisserman, 2000), over up to 2048 pixels spread over all that count. The best motion is fitted anew to all of
 * them that follow it. The same field always gives the same motion.
 *
 * @param flow from frame 1 to frame 2
 * @returns null if too few pixels count (1, 2 or 4, by the model), or they determine no motion, as those of a line
 * @throws {FlowError} `ERR_ARGUMENT` for an option, or a map of another size than the flow
 */
export function globalMotion(flow: FlowField, options: GlobalMotionOptions = {}): GlobalMotion | null {
  checkField(flow, 'flow')
  checkOptions(options)
  const { model: name = 'homography', threshold = 1 } = options
  check(flow, options)
  const model = MOTION_MODELS[name]
  const counted = countedPixels(flow, options)
  if (counted.length < model.least) return null
  const { width, height } = flow
  const [centreX, centreY] = [(width - 1) / 2, (height - 1) / 2]
  const scale = Math.max(1, Math.hypot(width, height) / 2)
  const random = randomNumbers()
  const matches = spread(flow, counted, { centreX, centreY, scale }, random)
  const found = consensus(matches, model, threshold / scale, random)
  if (found === undefined) return null
  const toCentre = new Homography([1 / scale, 0, -centreX / scale, 0, 1 / scale, -centreY / scale, 0, 0, 1])
  const homography = toCentre.followedBy(new Homography(found)).followedBy(toCentre.inverse())
  return { homography, ...judge(flow, counted, homography, threshold, options.mask === true) }
}

function check(flow: FlowField, options: GlobalMotionOptions): void {
  const fail = (message: string): never => {
    throw new FlowError('ERR_ARGUMENT', message)
  }
  const { model = 'homography', threshold = 1, minConfidence = 0.5 } = options
  if (!Object.hasOwn(MOTION_MODELS, model))
    fail(`model: must be one of ${Object.keys(MOTION_MODELS).join(', ')}, not ${shown(model)}`)
  if (!(threshold > 0 && threshold < Infinity))
    fail(`threshold: must be a number of pixels above 0, not ${shown(threshold)}`)
  if (!(minConfidence >= 0 && minConfidence <= 1))
    fail(`minConfidence: must be from 0 to 1, not ${shown(minConfidence)}`)
  for (const map of ['confidence', 'occlusion'] as const) {
    const given = options[map]
    if (given !== undefined && !sameSize(given, flow))
      fail(`${map}: is ${given.width} x ${given.height}, the flow ${flow.width} x ${flow.height}`)
  }
}

/** Indices of the pixels whose flow is known, sure and not hidden. */
function countedPixels(
  { width, height, data }: FlowField,
  { confidence, occlusion, minConfidence = 0.5 }: GlobalMotionOptions,
): Uint32Array {
  const pixels = width * height
  const counted = new Uint32Array(pixels)
  let count = 0
  for (let i = 0; i < pixels; i++) {
    if (isUnknown(data[i]!, data[i + pixels]!)) continue
    if (confidence !== undefined && !(confidence.data[i]! >= minConfidence)) continue
    if (occlusion !== undefined && occlusion.data[i] !== 0) continue
    counted[count++] = i
  }
  return counted.subarray(0, count)
}

interface Frame {
  readonly centreX: number
  readonly centreY: number
  readonly scale: number
}

/** Up to so many of the pixels, one at random of each run of equally many of them. */
function spread(
  { width, height, data }: FlowField,
  counted: Uint32Array,
  { centreX, centreY, scale }: Frame,
  random: () => number,
): Matches {
  const pixels = width * height
  const count = Math.min(MOST_MATCHES, counted.length)
  const made = () => new Float64Array(count)
  const matches = { fromX: made(), fromY: made(), toX: made(), toY: made() }
  for (let n = 0; n < count; n++) {
    const i = counted[Math.floor(((n + random()) * counted.length) / count)]!
    const x = i % width
    const y = Math.floor(i / width)
    matches.fromX[n] = (x - centreX) / scale
    matches.fromY[n] = (y - centreY) / scale
    matches.toX[n] = (x + data[i]! - centreX) / scale
    matches.toY[n] = (y + data[i + pixels]! - centreY) / scale
  }
  return matches
}

/** The motion that the most matches follow; nine values. */
function consensus(
  matches: Matches,
  model: MotionModel,
  threshold: number,
  random: () => number,
): Float64Array | undefined {
  const count = matches.fromX.length
  const chosen = new Int32Array(model.least)
  let best: { readonly motion: Float64Array; readonly cost: number } | undefined
  let trials = MOST_TRIALS
  for (let trial = 0; trial < trials; trial++) {
    draw(chosen, count, random)
    const motion = model.fit(matches, chosen)
    if (motion === undefined) continue
    const cost = costOf(matches, motion, threshold, best?.cost ?? Infinity)
    if (best !== undefined && !(cost < best.cost)) continue
    best = refitted(matches, model, { motion, cost }, threshold)
    const share = followers(matches, best.motion, threshold).length / count
    // Trials after which one of followers alone was probably drawn.
    trials = Math.min(trials, Math.log(MOST_DOUBT) / Math.log1p(-(share ** model.least)))
  }
  return best?.motion
}

interface Candidate {
  readonly motion: Float64Array
  readonly cost: number
}

/**
 * Fits a motion to all that follow it, again and again, and returns the best (locally optimised RANSAC; Chum, Matas & Kittler, 2003).
 * The first fits take in what is farther away: what follows a motion of few matches is near to them alone.
 */
function refitted(matches: Matches, model: MotionModel, start: Candidate, threshold: number): Candidate {
  let best = start
  let { motion } = start
  for (let refit = 0; refit < MOST_REFITS; refit++) {
    const chosen = followers(matches, motion, threshold * Math.max(1, WIDEST - refit))
    const fitted = chosen.length < model.least ? undefined : model.fit(matches, chosen)
    if (fitted === undefined) break
    const cost = costOf(matches, fitted, threshold, best.cost)
    if (cost < best.cost) best = { motion: fitted, cost }
    else if (refit >= WIDEST) break
    motion = fitted
  }
  return best
}

/** Different matches at random. */
function draw(chosen: Int32Array, count: number, random: () => number): void {
  for (let n = 0; n < chosen.length; n++) {
    let drawn: number
    do drawn = Math.floor(random() * count)
    while (chosen.subarray(0, n).includes(drawn))
    chosen[n] = drawn
  }
}

/** The squared distance in frame 2 of a match from a motion; NaN behind the horizon. */
function squaredDistance({ fromX, fromY, toX, toY }: Matches, i: number, m: Float64Array): number {
  const x = fromX[i]!
  const y = fromY[i]!
  const depth = m[6]! * x + m[7]! * y + m[8]!
  if (!(depth > 0)) return NaN
  const u = (m[0]! * x + m[1]! * y + m[2]!) / depth - toX[i]!
  const v = (m[3]! * x + m[4]! * y + m[5]!) / depth - toY[i]!
  return u * u + v * v
}

/** The sum of the squared distances, none of which counts for more than the threshold's. It is given up at `limit`. */
function costOf(matches: Matches, motion: Float64Array, threshold: number, limit: number): number {
  const most = threshold * threshold
  const count = matches.fromX.length
  let cost = 0
  for (let i = 0; i < count && cost < limit; i++) {
    const square = squaredDistance(matches, i, motion)
    cost += square < most ? square : most
  }
  return cost
}

function followers(matches: Matches, motion: Float64Array, threshold: number): Int32Array {
  const chosen = new Int32Array(matches.fromX.length)
  let count = 0
  for (let i = 0; i < chosen.length; i++)
    if (squaredDistance(matches, i, motion) <= threshold * threshold) chosen[count++] = i
  return chosen.subarray(0, count)
}

/** What all pixels that count say of a motion. */
function judge(
  { width, height, data }: FlowField,
  counted: Uint32Array,
  homography: Homography,
  threshold: number,
  wanted: boolean,
): Omit<GlobalMotion, 'homography'> {
  const pixels = width * height
  const mask = wanted ? { width, height, data: allocateBytes(pixels, 'a mask of global motion') } : undefined
  const place: Point = { x: 0, y: 0 }
  let following = 0
  let squares = 0
  for (const i of counted) {
    const x = i % width
    const y = Math.floor(i / width)
    homography.apply(x, y, place)
    const square = (place.x - x - data[i]!) ** 2 + (place.y - y - data[i + pixels]!) ** 2
    if (!(square <= threshold * threshold)) continue
    following += 1
    squares += square
    if (mask !== undefined) mask.data[i] = 1
  }
  return {
    inliers: following / counted.length,
    error: Math.sqrt(squares / following),
    counted: counted.length,
    ...(mask && { mask }),
  }
}

/** Always the same numbers, 0 to below 1: the generator mulberry32. */
function randomNumbers(): () => number {
  let state = 1
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
