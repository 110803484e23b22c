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

/** Growth from the median of the samples after the warm-up to that of the last samples, each of `count` samples. */
export function growthOf(samples, warmUp, count) {
  const start = median(samples.slice(warmUp, warmUp + count))
  const end = median(samples.slice(-count))
  return { start, end, growth: end / start - 1 }
}
