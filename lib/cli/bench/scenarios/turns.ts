import type { Target } from '../targets/target.js'
import type { Sample } from './sample.js'

/** The shape of a query, and when to end. */
export interface Turns {
  /** Streams that are asked at a time: MLPerf's multi-stream. */
  readonly streams: number
  /** Frames that one stream is given at a time: MLPerf's offline. */
  readonly batch: number
  /** Milliseconds for all contenders together. */
  readonly milliseconds: number
  /** Queries of each contender. */
  readonly queries: number
}

/**
 * Asks all contenders in turns, so that a slow moment of the machine affects all of them: sample i of one is taken right beside sample
 * i of the others. The contender that begins changes from round to round.
 *
 * @param first number of the first frame of each contender; the ones before it were computed when it was warmed up
 * @param stop ends it after the round that runs then
 * @param onRound called after each round with the number of rounds
 */
export async function takeTurns(
  targets: readonly Target[],
  { streams, batch, milliseconds, queries }: Turns,
  first: readonly number[],
  stop?: AbortSignal,
  onRound: (rounds: number) => void = () => {},
): Promise<Sample[][]> {
  const samples: Sample[][] = targets.map(() => [])
  const next = [...first]
  const start = performance.now()
  const isOver = (round: number) =>
    round === queries || (round > 0 && (stop?.aborted === true || performance.now() - start >= milliseconds))
  for (let round = 0; !isOver(round); round++) {
    for (let turn = 0; turn < targets.length; turn++) {
      const which = (round + turn) % targets.length
      samples[which]!.push(await ask(targets[which]!, streams, batch, next[which]!, start))
      next[which]! += batch
    }
    onRound(round + 1)
  }
  return samples
}

/** One query: frames `index` to `index + batch - 1` of each stream. */
export async function ask(
  target: Target,
  streams: number,
  batch: number,
  index: number,
  start: number,
): Promise<Sample> {
  const begin = performance.now()
  if (streams === 1 && batch === 1) {
    const { own, parts } = await target.push(0, index)
    return { at: begin - start, latency: own ?? performance.now() - begin, parts }
  }
  const pushes: ReturnType<Target['push']>[] = []
  for (let i = 0; i < batch; i++) for (let s = 0; s < streams; s++) pushes.push(target.push(s, index + i))
  const pushed = await Promise.all(pushes)
  const latency = performance.now() - begin
  // A contender with a clock of its own computes one frame after another.
  const own = pushed.reduce<number | undefined>(
    (sum, { own }) => (own === undefined ? sum : (sum ?? 0) + own),
    undefined,
  )
  return { at: begin - start, latency: own ?? latency }
}
