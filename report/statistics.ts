/** Ascending. */
export function sorted(values: readonly number[]): Float64Array {
  return Float64Array.from(values).sort()
}

/** The percentile by nearest rank; `share` is 0 to 1. */
export function quantile(ascending: Float64Array, share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.max(0, Math.ceil(share * ascending.length) - 1))]!
}

/** Bins of equal width: their left edges, and the share of each contender's samples in them. */
export interface Histogram {
  readonly edges: readonly number[]
  readonly shares: readonly (readonly number[])[]
}

const MOST_BINS = 80

/** Bins by Freedman and Diaconis for the contender with the narrowest distribution. */
export function histogram(all: readonly Float64Array[]): Histogram {
  const low = Math.min(...all.map((values) => values[0]!))
  const high = Math.max(...all.map((values) => values.at(-1)!))
  const widths = all.map((values) => {
    const range = quantile(values, 0.75) - quantile(values, 0.25)
    return (2 * range) / Math.cbrt(values.length)
  })
  const wanted = Math.min(...widths.filter((width) => width > 0), Infinity)
  const spread = high - low || Math.max(1e-3, high / 100)
  const count = Math.max(4, Math.min(MOST_BINS, Math.ceil(spread / wanted) || 4))
  const width = spread / count
  const edges = Array.from({ length: count + 1 }, (_, i) => low + i * width)
  const shares = all.map((values) => {
    const bins = Array.from({ length: count + 1 }, () => 0)
    for (const value of values)
      bins[Math.min(count - 1, Math.floor((value - low) / width))]! += 1 / values.length
    return bins
  })
  return { edges, shares }
}

/** The percentile curve: `x` is -log10(1 - share), so that every nine takes as much room as the one before. */
export function percentileCurve(all: readonly Float64Array[]): {
  readonly x: readonly number[]
  readonly curves: readonly (readonly (number | null)[])[]
} {
  const most = Math.max(...all.map((values) => Math.log10(values.length)))
  const steps = 200
  const x = Array.from({ length: steps + 1 }, (_, i) => (Math.max(1, most) * i) / steps)
  const curves = all.map((values) =>
    x.map((nines) => (nines > Math.log10(values.length) + 1e-9 ? null : quantile(values, 1 - 10 ** -nines))),
  )
  return { x, curves }
}
