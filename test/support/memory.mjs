// For scripts that measure the growth of memory.

const MIB = 2 ** 20

/** Collects garbage; returns the memory of the process in MiB. */
export function collectedMemory() {
  globalThis.gc()
  return process.memoryUsage.rss() / MIB
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/**
 * Growth over all samples after the warm-up, as a share of their median. It is the median rise between samples that lie `lag`
 * apart, drawn out to the whole run (Theil-Sen): a leak raises all of these pairs, while the steps of a few MiB that allocators
 * make now and then, up and down, raise few of them.
 */
export function growthOf(samples, warmUp, lag) {
  const steady = samples.slice(warmUp)
  const level = median(steady)
  const rise = median(steady.slice(lag).map((sample, i) => sample - steady[i]))
  return { level, growth: (rise * steady.length) / lag / level }
}
