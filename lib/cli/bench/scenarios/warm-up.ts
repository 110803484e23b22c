import { median } from '../statistics/summary.js'

/** Queries whose median is compared with that of the next ones. */
export const WINDOW = 5
/** Medians of successive windows that are this near are stable. */
export const TOLERANCE = 0.05

/** How warming up went. */
export interface WarmUp {
  readonly queries: number
  readonly seconds: number
  readonly stable: boolean
  /** Milliseconds of a query at the end of it. NaN without a warm-up. */
  readonly median: number
}

/**
 * Runs queries until they are stable: until the medians of the last two windows of five differ by 5 % or less.
 *
 * @param query one query; resolves to its latency in milliseconds
 * @param limit seconds after which it ends all the same; 0 for none
 * @param stop ends it after the query that runs then
 */
export async function warmUp(
  query: () => Promise<number>,
  limit: number,
  stop?: AbortSignal,
  now: () => number = () => performance.now(),
): Promise<WarmUp> {
  const start = now()
  const times: number[] = []
  const result = (stable: boolean): WarmUp => ({
    queries: times.length,
    seconds: (now() - start) / 1000,
    stable,
    median: median(times.slice(-WINDOW)),
  })
  while (now() - start < 1000 * limit && stop?.aborted !== true) {
    times.push(await query())
    if (times.length < 2 * WINDOW || times.length % WINDOW !== 0) continue
    const [before, last] = [median(times.slice(-2 * WINDOW, -WINDOW)), median(times.slice(-WINDOW))]
    if (Math.abs(last - before) <= TOLERANCE * Math.min(last, before)) return result(true)
  }
  return result(false)
}
