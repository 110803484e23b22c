/** Places of frame 1 and where they are in frame 2. Their coordinates are near to 1, so that all sums are of one order. */
export interface Matches {
  readonly fromX: Float64Array
  readonly fromY: Float64Array
  readonly toX: Float64Array
  readonly toY: Float64Array
}

/** Nine values of a matrix, row by row; undefined if the matches do not determine one. */
export type Fit = Float64Array | undefined

/** A kind of motion. */
export interface MotionModel {
  /** Matches that determine a motion. */
  readonly least: number
  /** The motion with the least squares of distances in frame 2, over the matches that `chosen` lists. */
  readonly fit: (matches: Matches, chosen: Int32Array) => Fit
}

export const MOTION_MODELS = {
  translation: { least: 1, fit: fitTranslation },
  similarity: { least: 2, fit: fitSimilarity },
  homography: { least: 4, fit: fitHomography },
} as const satisfies Record<string, MotionModel>

interface Means {
  readonly fx: number
  readonly fy: number
  readonly tx: number
  readonly ty: number
}

function means({ fromX, fromY, toX, toY }: Matches, chosen: Int32Array): Means {
  let [fx, fy, tx, ty] = [0, 0, 0, 0]
  for (const i of chosen) {
    fx += fromX[i]!
    fy += fromY[i]!
    tx += toX[i]!
    ty += toY[i]!
  }
  const n = chosen.length
  return { fx: fx / n, fy: fy / n, tx: tx / n, ty: ty / n }
}

function fitTranslation(matches: Matches, chosen: Int32Array): Fit {
  const { fx, fy, tx, ty } = means(matches, chosen)
  return Float64Array.of(1, 0, tx - fx, 0, 1, ty - fy, 0, 0, 1)
}

/** Rotation, scale and shift: complex numbers, z to a z + b. */
function fitSimilarity(matches: Matches, chosen: Int32Array): Fit {
  const { fromX, fromY, toX, toY } = matches
  const { fx, fy, tx, ty } = means(matches, chosen)
  let [real, imaginary, norm] = [0, 0, 0]
  for (const i of chosen) {
    const x = fromX[i]! - fx
    const y = fromY[i]! - fy
    const u = toX[i]! - tx
    const v = toY[i]! - ty
    real += x * u + y * v
    imaginary += x * v - y * u
    norm += x * x + y * y
  }
  if (norm < 1e-12) return undefined
  const [a, b] = [real / norm, imaginary / norm]
  return Float64Array.of(a, -b, tx - a * fx + b * fy, b, a, ty - b * fx - a * fy, 0, 0, 1)
}

const UNKNOWNS = 8
const GAUSS_NEWTON_STEPS = 5

/**
 * The direct linear transform with a last value of 1 (Hartley & Zisserman, Multiple View Geometry, 4.1), which is exact for four
 * matches. For more of them Gauss-Newton then takes the distances in frame 2.
 */
function fitHomography(matches: Matches, chosen: Int32Array): Fit {
  let h: Fit = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1)
  const steps = chosen.length > MOTION_MODELS.homography.least ? GAUSS_NEWTON_STEPS : 0
  for (let step = 0; step <= steps; step++) {
    h = step === 0 ? solveStep(matches, chosen, h, 'algebraic') : solveStep(matches, chosen, h, 'geometric')
    if (h === undefined) return undefined
  }
  return h
}

/**
 * Equations of both coordinates of each match, linear in the unknowns. The algebraic ones are multiplied by the depth, so they are
 * linear by themselves; the geometric ones are divided by that of the motion so far.
 */
function solveStep(
  { fromX, fromY, toX, toY }: Matches,
  chosen: Int32Array,
  so: Float64Array,
  kind: 'algebraic' | 'geometric',
): Fit {
  const system = new Float64Array(UNKNOWNS * (UNKNOWNS + 1))
  const row = new Float64Array(UNKNOWNS + 1)
  for (const i of chosen) {
    const x = fromX[i]!
    const y = fromY[i]!
    const u = toX[i]!
    const v = toY[i]!
    const depth = kind === 'algebraic' ? 1 : so[6]! * x + so[7]! * y + 1
    if (!(depth > 1e-6)) continue
    // Geometric: the distance u - (h0 x + h1 y + h2) / (h6 x + h7 y + 1), linearised at the motion so far.
    const [atU, atV] =
      kind === 'algebraic'
        ? [u, v]
        : [(so[0]! * x + so[1]! * y + so[2]!) / depth, (so[3]! * x + so[4]! * y + so[5]!) / depth]
    const px = x / depth
    const py = y / depth
    const p1 = 1 / depth
    row.set([px, py, p1, 0, 0, 0, -atU * px, -atU * py, u - atU + atU * p1])
    accumulate(system, row)
    row.set([0, 0, 0, px, py, p1, -atV * px, -atV * py, v - atV + atV * p1])
    accumulate(system, row)
  }
  const solved = solve(system)
  return solved === undefined ? undefined : Float64Array.of(...solved, 1)
}

/** Adds an equation to the upper half of the normal equations: eight factors, and the right side. */
function accumulate(system: Float64Array, row: Float64Array): void {
  for (let i = 0; i < UNKNOWNS; i++) {
    const factor = row[i]!
    if (factor === 0) continue
    for (let j = i; j <= UNKNOWNS; j++) system[i * (UNKNOWNS + 1) + j]! += factor * row[j]!
  }
}

/** Cholesky's decomposition of the upper half; undefined if the matrix is singular. */
function solve(system: Float64Array): Float64Array | undefined {
  const width = UNKNOWNS + 1
  const at = (i: number, j: number) => i * width + j
  for (let i = 0; i < UNKNOWNS; i++) {
    const before = system[at(i, i)]!
    let pivot = before
    for (let k = 0; k < i; k++) pivot -= system[at(k, i)]! ** 2
    if (!(pivot > 1e-12 * before)) return undefined
    pivot = Math.sqrt(pivot)
    system[at(i, i)] = pivot
    for (let j = i + 1; j <= UNKNOWNS; j++) {
      let value = system[at(i, j)]!
      for (let k = 0; k < i; k++) value -= system[at(k, i)]! * system[at(k, j)]!
      system[at(i, j)] = value / pivot
    }
  }
  const solution = new Float64Array(UNKNOWNS)
  for (let i = UNKNOWNS - 1; i >= 0; i--) {
    let value = system[at(i, UNKNOWNS)]!
    for (let j = i + 1; j < UNKNOWNS; j++) value -= system[at(i, j)]! * solution[j]!
    solution[i] = value / system[at(i, i)]!
  }
  return solution
}
