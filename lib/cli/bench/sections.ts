import { byteCount, duration } from '../amounts.js'
import type { Comparison } from './against.js'
import type { BenchReport, Result, ScenarioReport } from './report.js'
import type { Ratio } from './statistics/bootstrap.js'

/** A part of the report for people: a table with notes. */
export interface Section {
  readonly title: string
  /** Cells of a row; the first row is the head. */
  readonly rows: readonly (readonly string[])[]
  readonly notes: readonly string[]
}

/** Names of scenarios for people. */
export const TITLES = {
  'single-stream': 'Single stream: one frame at a time',
  'multi-stream': 'Multi-stream: one frame of each stream at a time',
  offline: 'Offline: many frames at a time',
  camera: 'Camera: frames at a fixed rate, whether or not the last one is done',
} as const

/** The report as tables. */
export function sectionsOf(report: BenchReport, comparison?: Comparison): Section[] {
  return [
    machineSection(report),
    contendersSection(report),
    ...report.scenarios.flatMap((scenario) => scenarioSections(scenario)),
    ...(comparison === undefined ? [] : [comparisonSection(comparison)]),
  ]
}

function machineSection({
  version,
  date,
  machine,
  frames,
  memory,
  command,
  interrupted,
}: BenchReport): Section {
  const { clocks, maxClock, gpu, cpuLimit } = machine
  const known = (value: string | number | null, unit = '') =>
    value === null ? 'not told' : `${value}${unit}`
  const rows = [
    ['', 'what was measured, and where'],
    ['command', command],
    ['version', `dinov3-flow ${version}, Node ${machine.node}, ${machine.system}`],
    ['date', date],
    ['frames', frames.source],
    ['processor', machine.cpu],
    [
      'cores',
      `${machine.usableThreads} of ${machine.hardwareThreads} hardware threads` +
        (cpuLimit === null ? '' : `, limited to the time of ${cpuLimit}`),
    ],
    [
      'clock',
      clocks === null
        ? 'not told'
        : `${range(clocks)} MHz at the start${maxClock === null ? '' : `, at most ${Math.round(maxClock)} MHz`}`,
    ],
    ['governor', known(machine.governor)],
    ['power limit', known(machine.powerLimit, ' W')],
    ...(machine.driver === null ? [] : [['NVIDIA driver', machine.driver]]),
    ...(gpu === null
      ? []
      : [['GPU', `${gpu.name}, ${gpu.clock} of ${gpu.maxClock}, power limit ${gpu.powerLimit}`]]),
    ['load before', `${machine.load.toFixed(2)} tasks`],
    ['memory', `${byteCount(memory.before)} before, at most ${byteCount(memory.peak)} in the whole run`],
  ]
  const busy = machine.load > machine.usableThreads / 2
  return {
    title: 'Run',
    rows,
    notes: [
      ...(busy ? ['The machine was busy before: figures may be those of other work.'] : []),
      ...(interrupted ? ['Ctrl-C ended the run: the last scenario is shorter than was asked for.'] : []),
    ],
  }
}

function contendersSection({ contenders }: BenchReport): Section {
  return {
    title: 'Cold start',
    rows: [
      ['', 'load', 'first flow', 'memory'],
      ...contenders.map(({ name, load, firstFlow, rss }) => [
        name,
        load === null ? 'shared' : duration(load),
        duration(firstFlow),
        byteCount(rss),
      ]),
    ],
    notes: [
      'First flow: from the first frame after loading until its flow, which is there after two frames.',
      ...contenders.map(({ name, info }) => `${name}: ${describe(info)}`),
    ],
  }
}

function describe(info: Readonly<Record<string, unknown>>): string {
  return Object.entries(info)
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ')
}

function scenarioSections(report: ScenarioReport): Section[] {
  const { scenario, results, settings } = report
  const set = Object.entries(settings).map(
    ([key, value]) => `${key} ${Number(value.toFixed(2))}${UNITS[key] ?? ''}`,
  )
  const title = TITLES[scenario] + (set.length === 0 ? '' : ` (${set.join(', ')})`)
  const first = results[0]!.name
  const compared = results.length > 1
  const latency: Section = {
    title: `${title}: latency in ms`,
    rows: [
      ['', 'n', 'min', 'p50', 'p90', 'p95', 'p99', 'p99.9', 'max', 'p99/p50', 'frames/s'].concat(
        compared ? [`times ${first}`, '95 % interval'] : [],
      ),
      ...results.map((result) => latencyRow(result, compared)),
    ],
    notes: [...latencyNotes(report), ...observedNotes(report)],
  }
  const sections = [latency]
  if (results.some(({ parts }) => parts !== null)) sections.push(partsSection(report))
  if (scenario === 'camera') sections.push(cameraSection(report))
  return sections
}

const UNITS: Readonly<Record<string, string>> = { rate: ' Hz', deadline: ' ms' }

function latencyRow({ name, latency, throughput, ratio }: Result, compared: boolean): string[] {
  const { count, min, p50, p90, p95, p99, p999, max, jitter } = latency
  const times = [min, p50, p90, p95, p99, p999, max].map(ms)
  const cells = [name, String(count), ...times, jitter.toFixed(2), throughput.toPrecision(3)]
  return compared
    ? [...cells, ...(ratio === null ? ['1', ''] : [ratio.ratio.toFixed(3), interval(ratio)])]
    : cells
}

function latencyNotes({ scenario, results }: ScenarioReport): string[] {
  const notes: string[] = []
  const fewest = Math.min(...results.map(({ latency }) => latency.count))
  if (fewest < 100)
    notes.push(`Of ${fewest} queries, p99 and p99.9 are the slowest one or nearly so: measure longer.`)
  else if (fewest < 1000) notes.push(`Of ${fewest} queries, p99.9 is the slowest one: measure longer.`)
  for (const { name, warmUp } of results)
    if (!warmUp.stable && warmUp.queries > 0)
      notes.push(
        `${name} was not stable after ${warmUp.queries} queries of warming up (--warm-up allows more).`,
      )
  if (scenario === 'camera')
    notes.push(
      'Latency counts from when a frame was due, not from when it was pushed. Dropped frames have none.',
    )
  if (results.length > 1)
    notes.push('Contenders took turns. An interval without 1 in it is a real difference.')
  return notes
}

function observedNotes({ observed }: ScenarioReport): string[] {
  const { thermalThrottles, quotaThrottles, quotaMilliseconds, stolen, others, clocks, temperature } =
    observed
  const share = (value: number) => `${Number((100 * value).toPrecision(2))} %`
  const told = [
    thermalThrottles === null ? 'heat throttling is not told' : `slowed by heat ${thermalThrottles} times`,
    quotaThrottles === null
      ? []
      : `stopped by the container's limit ${quotaThrottles} times, ${duration(quotaMilliseconds ?? 0)}`,
    stolen === null ? [] : `${share(stolen)} of the processor taken by the host`,
    others === null ? [] : `${share(others)} by other processes`,
    clocks === null ? [] : `${range(clocks)} MHz`,
    temperature === null ? [] : `up to ${temperature.toFixed(0)} °C`,
    observed.gpuThrottle === null ? [] : `GPU throttle reasons ${observed.gpuThrottle}`,
  ].flat()
  const { eventLoop, rssPeak } = observed
  return [
    `Seen meanwhile: ${told.join('; ')}.`,
    `Memory at most ${byteCount(rssPeak)}. Event loop: a turn within ${ms(eventLoop.p50)} ms in 50 %, ${ms(eventLoop.p99)} ms in 99 %, ${ms(eventLoop.p999)} ms in 99.9 %, ` +
      `${ms(eventLoop.max)} ms always, a timer of 1 ms included.`,
  ]
}

function partsSection({ scenario, results }: ScenarioReport): Section {
  const late = scenario === 'camera'
  return {
    title: 'Where the time goes: medians in ms',
    rows: [
      ['', ...(late ? ['late'] : []), 'copy', 'queue', 'engine', 'result'],
      ...results.flatMap(({ name, parts }) => {
        if (parts === null) return []
        const { copy, queue, engine, result } = parts
        return [[name, ...[...(late ? [parts.late ?? 0] : []), copy, queue, engine, result].map(ms)]]
      }),
    ],
    notes: [
      'Copy is the call, which checks the frame and copies what cannot be read in place; engine has the copies to a GPU and back, ' +
        'unless the copy back overlaps the next frame; result is what remains until JavaScript has it.' +
        (late ? ' Late is from when a frame was due until it was pushed.' : ''),
    ],
  }
}

function cameraSection({ results }: ScenarioReport): Section {
  return {
    title: 'Frames of the camera',
    rows: [
      [
        '',
        'frames',
        'dropped',
        'missed',
        'age p50',
        'age p99',
        'age max',
        'p99 from due',
        'p99 from push',
        'late p99',
      ],
      ...results.flatMap(({ name, camera, latency }) => {
        if (camera === null) return []
        const { frames, dropped, missed, age, fromPush, lateness } = camera
        return [
          [
            name,
            String(frames),
            String(dropped),
            `${missed} (${((100 * missed) / frames).toFixed(1)} %)`,
            ...[age.p50, age.p99, age.max, latency.p99, fromPush.p99, lateness.p99].map(ms),
          ],
        ]
      }),
    ],
    notes: [
      'Dropped: a newer frame took its place. Missed: dropped, or its result came after the deadline. Age: how old the newest result ' +
        'is just before the next one comes. Late: pushed so long after it was due. Times in ms.',
    ],
  }
}

/** Noise that is worth a note. */
const NOISY = 0.1

function comparisonSection({ file, changes, differences }: Comparison): Section {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  const missed = changes.some((change) => change.missed !== null)
  return {
    title: `Against ${file}`,
    rows: [
      [
        '',
        'then, ms',
        'now, ms',
        'now / then',
        '95 % interval',
        'noise',
        ...(missed ? ['missed'] : []),
        'verdict',
      ],
      ...changes.map((change) => [
        `${change.scenario}, ${change.name}`,
        ms(change.before),
        ms(change.now),
        change.ratio.ratio.toFixed(3),
        interval(change.ratio),
        percent(change.noise),
        ...(missed
          ? [
              change.missed === null
                ? ''
                : `${percent(change.missed.before)} to ${percent(change.missed.now)}`,
            ]
          : []),
        change.verdict,
      ]),
    ],
    notes: [
      ...changes
        .filter(({ noise }) => noise > NOISY)
        .map(
          ({ scenario, name, noise }) =>
            `The noise of ${scenario}, ${name} hides changes of less than ${percent(noise)}: measure longer, or when the machine is quiet.`,
        ),
      ...differences.map((difference) => `Not the same: ${difference}.`),
    ],
  }
}

function interval({ low, high }: Ratio): string {
  return `${low.toFixed(3)} to ${high === Infinity ? 'unknown' : high.toFixed(3)}`
}

/** Milliseconds with three digits or more. */
export function ms(value: number): string {
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
      ? value.toFixed(1)
      : value >= 1
        ? value.toFixed(2)
        : value.toFixed(3)
}

function range(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => Math.round(value))
  return low === high ? String(low) : `${low} to ${high}`
}
