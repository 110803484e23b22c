import { FlowError } from '../../errors.js'
import { FlowMetrics, type FlowSums } from '../../metrics.js'
import { count, pixels } from '../amounts.js'
import type { Cli } from '../cli.js'
import type { Progress } from '../run/progress.js'
import type { Pair } from './datasets/dataset.js'
import type { EvalFlags } from './flags.js'
import type { Ledger } from './ledger.js'
import type { Predictor } from './predictor.js'
import { readPair, type ReadPair } from './read-pair.js'
import type { EvalReport, FailedPair, Figures } from './report.js'
import { drawPair, worstOf } from './worst.js'

const DEFAULT_WORST = 10

/** Codes of errors that are of the files of one pair. Any other error is of the model, and would be that of all pairs. */
const OF_A_PAIR: readonly string[] = ['ERR_IO', 'ERR_FRAME', 'ERR_FORMAT', 'ERR_ARGUMENT']

type Outcome<T> = { readonly value: T } | { readonly error: unknown }

const settled = <T>(promise: Promise<T>): Promise<Outcome<T>> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )

/** The pairs of one evaluation. */
export class Work {
  readonly #pairs: readonly Pair[]
  readonly #predictor: Predictor
  readonly #flags: EvalFlags
  readonly #progress: Progress
  readonly #cli: Cli
  readonly #ledger: Ledger | undefined
  readonly #done = new Map<string, FlowSums>()
  readonly #total: FlowMetrics
  readonly failed = new Map<string, FailedPair>()
  readonly resumed: number

  constructor(
    pairs: readonly Pair[],
    predictor: Predictor,
    flags: EvalFlags,
    progress: Progress,
    cli: Cli,
    ledger: Ledger | undefined,
  ) {
    this.#pairs = pairs
    this.#predictor = predictor
    this.#flags = flags
    this.#progress = progress
    this.#cli = cli
    this.#ledger = ledger
    this.#total = new FlowMetrics(flags)
    for (const { name } of pairs) {
      const sums = ledger?.finished.get(name)
      if (sums !== undefined) this.#finish(name, sums)
    }
    this.resumed = this.#done.size
  }

  /** Measures the pairs that are not finished. The files of the next one are read while one is computed. */
  async run(): Promise<void> {
    const left = this.#pairs.filter(({ name }) => !this.#done.has(name))
    const began = performance.now()
    let ahead = this.#read(left[0])
    for (const [i, pair] of left.entries()) {
      this.#tell(i, left.length, (performance.now() - began) / 1000)
      const read = await ahead!
      ahead = this.#read(left[i + 1])
      let sums: FlowSums
      try {
        if ('error' in read) throw read.error
        const { truth, masks } = read.value
        const flow = await this.#predictor.flow(pair, read.value)
        sums = new FlowMetrics(this.#flags).add(flow, truth, masks).sums()
      } catch (error) {
        this.#fail(pair, error)
        continue
      }
      this.#ledger?.add(pair.name, sums)
      this.#finish(pair.name, sums)
    }
  }

  /** Draws the worst pairs, whose flow is computed again. Returns the paths. */
  async drawWorst(): Promise<string[]> {
    const { output, worst = DEFAULT_WORST } = this.#flags
    if (output === undefined) return []
    const byName = new Map(this.#pairs.map((pair) => [pair.name, pair]))
    const chosen = worstOf(this.figures().pairs, worst)
    const paths: string[] = []
    for (const [i, { pair: name }] of chosen.entries()) {
      this.#progress.tell(`drawing the worst pairs, ${i + 1} of ${chosen.length}`)
      const pair = byName.get(name)!
      const read = await readPair(pair, { excludeInvalid: false })
      paths.push(await drawPair(output, i + 1, name, read, await this.#predictor.flow(pair, read)))
    }
    return paths
  }

  figures(): Pick<EvalReport, 'all' | 'sequences' | 'pairs'> {
    const done = this.#pairs.filter(({ name }) => this.#done.has(name))
    const sequences = [...new Set(done.flatMap(({ sequence }) => sequence ?? []))]
    return {
      all: this.#figuresOf(done),
      sequences: sequences.map((sequence) => ({
        sequence,
        ...this.#figuresOf(done.filter((pair) => pair.sequence === sequence)),
      })),
      pairs: done.map(({ name }) => ({
        pair: name,
        ...new FlowMetrics().addSums(this.#done.get(name)!).result(),
      })),
    }
  }

  #figuresOf(pairs: readonly Pair[]): Figures {
    const metrics = new FlowMetrics()
    for (const { name } of pairs) metrics.addSums(this.#done.get(name)!)
    return { pairs: pairs.length, ...metrics.result() }
  }

  #read(pair: Pair | undefined): Promise<Outcome<ReadPair>> | undefined {
    if (pair === undefined) return undefined
    return settled(readPair(pair, { excludeInvalid: this.#flags.excludeInvalid === true }))
  }

  #finish(name: string, sums: FlowSums): void {
    this.#done.set(name, sums)
    this.#total.addSums(sums)
  }

  #fail({ name }: Pair, error: unknown): void {
    if (!(error instanceof FlowError) || !OF_A_PAIR.includes(error.code)) throw error
    this.#progress.clear()
    this.#cli.err.write(`error: ${name}: ${error.message} (${error.code})\n`)
    this.failed.set(name, { pair: name, code: error.code, message: error.message })
  }

  #tell(measured: number, wanted: number, seconds: number): void {
    const parts = [`${this.resumed + measured} of ${count(this.#pairs.length, 'pair')}`]
    if (this.#done.size > 0) parts.push(`EPE ${pixels(this.#total.result().epe)}`)
    const rate = measured / seconds
    if (measured > 0)
      parts.push(`${rate.toPrecision(2)} pairs/s`, `${timeLeft((wanted - measured) / rate)} left`)
    this.#progress.tell(parts.join(', '))
  }
}

/** `45 s`, `12 min`, `3 h 5 min`. */
function timeLeft(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
