import { FlowError } from '../../errors.js'
import { readWhole } from '../../support/read-file.js'
import { shortPath } from '../../support/quote.js'
import { type BenchReport, FORMAT, type Result, type Settings } from './report.js'
import { type Ratio, unpairedRatio } from './statistics/bootstrap.js'
import { median } from './statistics/summary.js'

/** One contender in one scenario, now against an earlier run. */
export interface Change {
  readonly scenario: string
  readonly name: string
  /** Milliseconds, medians. */
  readonly before: number
  readonly now: number
  /** Time now as a multiple of the time then. */
  readonly ratio: Ratio
  /** How far a median of this run wanders, as a share of it: the larger of both runs. */
  readonly noise: number
  /** Share of a camera's frames that were missed; null elsewhere. */
  readonly missed: { readonly before: number; readonly now: number } | null
  readonly verdict: 'slower' | 'faster' | 'same'
}

export interface Comparison {
  readonly file: string
  readonly changes: readonly Change[]
  /** Reasons why the runs may differ that are not of the code: the machine, the frames. */
  readonly differences: readonly string[]
}

/** A run is cut into so many parts, whose medians tell how far it wanders. */
const PARTS = 4
/** Standard errors beyond which a share of missed frames has grown: one in 200 by chance. */
const SURE = 2.58

/**
 * Reads the report of an earlier run.
 *
 * @throws {FlowError} `ERR_IO`; `ERR_FORMAT` for a file that is none
 */
export async function readReport(path: string): Promise<BenchReport> {
  const name = shortPath(path)
  const role = {
    name: `--against: ${name}`,
    expected: 'a report of bench --json',
    code: 'ERR_FORMAT',
  } as const
  const text = Buffer.from(await readWhole(path, role)).toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new FlowError(
      'ERR_FORMAT',
      `--against: ${name} is not JSON: give a file that bench --json has written`,
      { cause },
    )
  }
  const { benchFormat } = (value ?? {}) as Partial<BenchReport>
  if (benchFormat === undefined || !looksLikeReport(value))
    throw new FlowError(
      'ERR_FORMAT',
      `--against: ${name} is no report of bench: give a file that bench --json has written`,
    )
  if (benchFormat !== FORMAT)
    throw new FlowError(
      'ERR_FORMAT',
      `--against: ${name} has format ${String(benchFormat)}, this version reads ${FORMAT}: measure again`,
    )
  return value
}

/**
 * Checks before a run that its report can be compared.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if no scenario with its settings has a contender that both runs have
 */
export function checkComparable(
  scenarios: readonly { readonly scenario: string; readonly settings: Settings }[],
  names: readonly string[],
  then: BenchReport,
  file: string,
): void {
  const found = scenarios.some(({ scenario, settings }) =>
    then.scenarios.some(
      (each) =>
        each.scenario === scenario &&
        sameSettings(each.settings, settings) &&
        each.results.some(({ name }) => names.includes(name)),
    ),
  )
  if (found) return
  const has = then.scenarios.map(({ scenario, settings }) =>
    [scenario, ...Object.entries(settings).map(([key, value]) => `${key} ${value}`)].join(' '),
  )
  throw new FlowError(
    'ERR_ARGUMENT',
    `--against: ${shortPath(file)} has nothing that is measured now. It has ${has.join(', ')}: measure with its options, ` +
      `which were ${String(then.command)}`,
  )
}

/** Whether the parts that a comparison reads are there. */
function looksLikeReport(value: unknown): value is BenchReport {
  try {
    const { machine, frames, contenders, scenarios } = value as BenchReport
    return (
      [machine.cpu, frames.source].every((text) => typeof text === 'string') &&
      Array.isArray(contenders) &&
      scenarios.every(
        ({ scenario, settings, results }) =>
          typeof scenario === 'string' &&
          typeof settings === 'object' &&
          results.every(
            ({ name, samples }) =>
              typeof name === 'string' &&
              samples.latency.length > 0 &&
              samples.latency.every((ms) => Number.isFinite(ms) && ms >= 0),
          ),
      )
    )
  } catch {
    return false
  }
}

/**
 * Compares the contenders and scenarios that both runs have.
 *
 * Slower is a contender whose ratio of medians, now / then, is above 1 by more than the tolerance and by more than both runs' own
 * noise, with 97.5 % confidence; or whose share of missed frames has grown by more than the tolerance and more than by chance.
 *
 * @param tolerance a share, such as 0.03
 */
export function compare(now: BenchReport, then: BenchReport, file: string, tolerance: number): Comparison {
  const changes = now.scenarios.flatMap(({ scenario, settings, results }) => {
    const before = then.scenarios.find(
      (each) => each.scenario === scenario && sameSettings(each.settings, settings),
    )
    return results.flatMap((result) => {
      const old = before?.results.find(({ name }) => name === result.name)
      return old === undefined ? [] : [changeOf(scenario, result, old, tolerance)]
    })
  })
  return { file, changes, differences: differencesOf(now, then) }
}

function changeOf(scenario: string, now: Result, then: Result, tolerance: number): Change {
  const [a, b] = [now.samples.latency, then.samples.latency]
  const ratio = unpairedRatio(a, b)
  const noise = Math.max(wander(a), wander(b))
  const least = Math.max(tolerance, noise)
  const missed =
    now.camera == null || then.camera == null
      ? null
      : { before: missedOf(then.camera), now: missedOf(now.camera) }
  const worse = missed !== null && moreMissed(now.camera!, then.camera!, tolerance)
  const verdict = ratio.low > 1 + least || worse ? 'slower' : ratio.high < 1 / (1 + least) ? 'faster' : 'same'
  return { scenario, name: now.name, before: median(b), now: median(a), ratio, noise, missed, verdict }
}

/** The farthest that the median of a quarter of the run is from that of the whole, as a share of it. */
export function wander(times: readonly number[]): number {
  const whole = median(times)
  if (times.length < 2 * PARTS || whole === 0) return 0
  const quarter = (i: number) => times.slice((i * times.length) / PARTS, ((i + 1) * times.length) / PARTS)
  return Math.max(...Array.from({ length: PARTS }, (_, i) => Math.abs(median(quarter(i)) / whole - 1)))
}

type Camera = NonNullable<Result['camera']>
const missedOf = ({ missed, frames }: Camera) => missed / frames

/** The test of two proportions. */
function moreMissed(now: Camera, then: Camera, tolerance: number): boolean {
  const [p, q] = [missedOf(now), missedOf(then)]
  const all = (now.missed + then.missed) / (now.frames + then.frames)
  const error = Math.sqrt(all * (1 - all) * (1 / now.frames + 1 / then.frames))
  return p - q > Math.max(tolerance, SURE * error)
}

function sameSettings(a: Settings, b: Settings): boolean {
  const near = (x: number | undefined, y: number | undefined) => x === y || Math.abs(x! - y!) <= 1e-6 * x!
  return (['streams', 'batch', 'rate', 'deadline'] as const).every((key) => near(a[key], b[key]))
}

function differencesOf(now: BenchReport, then: BenchReport): string[] {
  const differ = (what: string, a: unknown, b: unknown) =>
    JSON.stringify(a) === JSON.stringify(b) ? [] : [`${what}: ${show(b)} then, ${show(a)} now`]
  const machine = (
    ['cpu', 'hardwareThreads', 'usableThreads', 'cpuLimit', 'governor', 'node', 'gpu'] as const
  ).flatMap((key) => differ(key, now.machine[key], then.machine[key]))
  const contenders = now.contenders.flatMap(({ name, info }) => {
    const old = then.contenders.find((each) => each.name === name)?.info
    if (old === undefined) return []
    return Object.keys(info).flatMap((key) => differ(`${name}, ${key}`, info[key], old[key]))
  })
  const gpu = differ('gpu', now.machine.gpu?.name, then.machine.gpu?.name)
  return [...machine, ...gpu, ...differ('frames', now.frames, then.frames), ...contenders]
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
}
