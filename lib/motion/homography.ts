import { FlowError } from '../errors.js'
import { FlowField } from '../flow-field.js'
import { described } from '../support/arguments.js'
import type { Point } from './point.js'

/**
 * A motion of a plane: a 3 x 3 matrix that leads a place (x, y, 1) of frame 1 to its place in frame 2, up to a factor. Shifts,
 * rotations and scalings are special ones. Pixel centres are at integers, x is to the right, y down, as in OpenCV's
 * `warpPerspective`.
 */
export class Homography {
  /** Nothing moves. */
  static readonly IDENTITY = new Homography([1, 0, 0, 0, 1, 0, 0, 0, 1])

  /** Nine values, row by row. The last one is 1, unless it was 0. */
  readonly matrix: readonly number[]

  /** @throws {FlowError} `ERR_ARGUMENT` if `matrix` is not nine finite numbers, row by row, some of which are not 0 */
  constructor(matrix: ArrayLike<number>) {
    const values = Array.from(matrix ?? [])
    if (values.length !== 9 || !values.every(Number.isFinite) || values.every((value) => value === 0))
      throw new FlowError('ERR_ARGUMENT', 'a homography is nine finite numbers, row by row')
    const scale = values[8] === 0 ? 1 : values[8]!
    this.matrix = Object.freeze(values.map((value) => value / scale))
  }

  /**
   * Where a place of frame 1 is in frame 2. It is NaN on the horizon, whose places go to infinity, and behind it.
   *
   * @param into the place to write to and return, instead of a new one
   */
  apply(x: number, y: number, into: Point = { x: 0, y: 0 }): Point {
    const m = this.matrix
    const depth = m[6]! * x + m[7]! * y + m[8]!
    const scale = depth > 0 ? 1 / depth : NaN
    into.x = scale * (m[0]! * x + m[1]! * y + m[2]!)
    into.y = scale * (m[3]! * x + m[4]! * y + m[5]!)
    return into
  }

  /**
   * The motion from frame 2 to frame 1.
   *
   * @throws {FlowError} `ERR_ARGUMENT` if there is none, as the motion makes a line of the plane
   */
  inverse(): Homography {
    const [a, b, c, d, e, f, g, h, i] = this.matrix as Nine
    const [p, q, r] = [e * i - f * h, f * g - d * i, d * h - e * g]
    const determinant = a * p + b * q + c * r
    if (determinant === 0 || !Number.isFinite(1 / determinant))
      throw new FlowError('ERR_ARGUMENT', 'the homography is singular: it has no inverse')
    const adjugate = [
      p,
      c * h - b * i,
      b * f - c * e,
      q,
      a * i - c * g,
      c * d - a * f,
      r,
      b * g - a * h,
      a * e - b * d,
    ]
    return new Homography(adjugate.map((value) => value / determinant))
  }

  /** This motion and then another one: from frame 1 to frame 3, if `next` is from frame 2 to frame 3. */
  followedBy(next: Homography): Homography {
    if (!(next instanceof Homography))
      throw new FlowError('ERR_ARGUMENT', `next: must be a Homography, not ${described(next)}`)
    const [first, second] = [this.matrix, next.matrix]
    const product = Array.from({ length: 9 }, (_, at) => {
      const [row, column] = [3 * Math.floor(at / 3), at % 3]
      return [0, 1, 2].reduce((sum, k) => sum + second[row + k]! * first[3 * k + column]!, 0)
    })
    return new Homography(product)
  }

  /**
   * The motion as flow from frame 1 to frame 2. `warp(frame2, homography.field(width, height))` brings frame 2 back to frame 1: it is
   * what OpenCV calls `warpPerspective` with `WARP_INVERSE_MAP`.
   *
   * @param options `into`: a field of that size that is written to and returned, instead of a new one
   * @throws {FlowError} `ERR_ARGUMENT` if a side is not a positive integer, or `into` has another size; `ERR_OUT_OF_MEMORY`
   */
  field(width: number, height: number, { into }: { readonly into?: FlowField | undefined } = {}): FlowField {
    const field = into ?? new FlowField(width, height)
    if (field.width !== width || field.height !== height)
      throw new FlowError('ERR_ARGUMENT', `into: must be a FlowField of ${width} x ${height}`)
    const { data } = field
    const pixels = width * height
    const place: Point = { x: 0, y: 0 }
    for (let row = 0, i = 0; row < height; row++) {
      for (let column = 0; column < width; column++, i++) {
        this.apply(column, row, place)
        data[i] = place.x - column
        data[i + pixels] = place.y - row
      }
    }
    return field
  }
}

type Nine = readonly [number, number, number, number, number, number, number, number, number]
