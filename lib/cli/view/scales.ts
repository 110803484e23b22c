/** Of each field so many values are taken, evenly: enough for a percentile. */
const SAMPLES = 20_000

/** Finds the length of motion, or of an error, at the end of a ramp of colours, from a part of the values of many fields. */
export class ScaleFinder {
  readonly #values: number[] = []

  /** Adds the lengths of vectors, given by both components. Those that are not finite are left out. */
  add(x: ArrayLike<number>, y: ArrayLike<number>): void {
    const step = Math.max(1, Math.ceil(x.length / SAMPLES))
    for (let i = 0; i < x.length; i += step) {
      const length = Math.hypot(x[i]!, y[i]!)
      if (Number.isFinite(length)) this.#values.push(length)
    }
  }

  /**
   * The 99th percentile, rounded up to two digits: the few longest motions do not make all others pale. At least 1 px: what moves
   * less is drawn pale, as it is, and its noise not as motion.
   */
  find(): number {
    const sorted = Float64Array.from(this.#values).sort()
    const value = sorted[Math.min(sorted.length - 1, Math.floor(0.99 * sorted.length))] ?? 0
    if (value <= 1) return 1
    const unit = 10 ** (Math.floor(Math.log10(value)) - 1)
    return Number((Math.ceil(value / unit) * unit).toPrecision(2))
  }
}
