import { readdirSync, readFileSync } from 'node:fs'
import type { BenchReport, Result } from '../../lib/cli/bench/report.js'

/** A run of a benchmark that a table shows. */
export interface Run {
  /** Under bench/results. */
  readonly file: string
  readonly date: string
  readonly machine: string
  readonly command: string
}

/** A table of figures. */
export interface Figures {
  /** Of all figures, unless a cell or a column says otherwise. */
  readonly unit: string
  /** Cells of a row; the first row is the head. */
  readonly rows: readonly (readonly string[])[]
  readonly runs: readonly Run[]
}

const RESULTS = new URL('../../bench/results/', import.meta.url)

/** The reports of `dinov3-flow bench` under bench/results. */
export function benchReports(): { readonly name: string; readonly report: BenchReport }[] {
  return files()
    .map((file) => ({ name: file.replace('.json', ''), report: read<BenchReport>(file) }))
    .filter(({ report }) => report.benchFormat === 1)
}

/** All tables of the guides, from the newest file of each kind. */
export const FIGURES = {
  presets,
  opencv,
  stream,
  camera,
  cameraParts,
  video,
  view,
  peers,
  evaluation,
} as const

/** The name of a table. */
export type FiguresName = keyof typeof FIGURES

/**
 * A table and where its figures are from, as Markdown.
 *
 * @param results the path from the page to bench/results
 */
export function figuresAsMarkdown(name: FiguresName, results: string): string {
  const { unit, rows, runs } = FIGURES[name]()
  const [head, ...body] = rows.map((cells) => `| ${cells.map(unbroken).join(' | ')} |`)
  const machines = [...new Set(runs.map(({ machine, date }) => `${machine}, ${date}`))]
  return [
    head,
    `|${' --- |'.repeat(rows[0]!.length)}`,
    ...body,
    '',
    `In ${unit}.`,
    '',
    '<details>',
    `<summary>${machines.join('; ')}</summary>`,
    '',
    ...runs.map(({ file, command }) => `- [${file}](${results}/${file}): \`${command}\``),
    '',
    '</details>',
  ].join('\n')
}

/** A figure with what belongs to it stays on one line. */
const unbroken = (cell: string) =>
  /^\d[^a-z]*( to [^a-z]*)?$/.test(cell) ? cell.replaceAll(' ', '\u00a0') : cell

const SIZES = ['480x640', '720x1280', '1080x1920', '2160x3840']
/** Contenders of these reports by the head of their column. */
const PRESETS = [
  ['fast', 'preset=fast'],
  ['balanced', 'dinov3-flow'],
  ['best', 'preset=best'],
  ["network alone, 'fit'", 'size=fit,refine=off'],
] as const

function presets(): Figures {
  const reports = SIZES.map((size) => newest(`presets-${size}`))
  return {
    unit: 'milliseconds a frame of a stream: median (p99)',
    rows: [
      ['frame', ...PRESETS.map(([head]) => head)],
      ...reports.map((file) => {
        const { frames, scenarios } = read<BenchReport>(file)
        const latencies = PRESETS.map(([, contender]) => find(scenarios[0]!.results, contender).latency)
        return [
          `${frames.width}\u00a0x\u00a0${frames.height}`,
          ...latencies.map(({ p50, p99 }) => `${ms(p50)} (${ms(p99)})`),
        ]
      }),
    ],
    runs: reports.map(benchRun),
  }
}

function opencv(): Figures {
  const file = newest('presets-and-opencv')
  const names = new Map<string, string>([
    ...PRESETS.map(([head, contender]) => [contender, head] as const),
    ['opencv=medium', 'OpenCV’s DIS, medium'],
  ])
  const { results } = read<BenchReport>(file).scenarios[0]!
  return {
    unit: 'milliseconds; times is by medians, with its interval of 95 %',
    rows: [
      ['', 'p50', 'p90', 'p99', 'p99/p50', 'times balanced'],
      ...results.map(({ name, latency, ratio }) => [
        names.get(name) ?? name,
        ...[latency.p50, latency.p90, latency.p99].map(ms),
        latency.jitter.toFixed(2),
        ratio === null
          ? '1'
          : `${ratio.ratio.toFixed(2)} (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)})`,
      ]),
    ],
    runs: [benchRun(file)],
  }
}

interface Spread {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

interface StreamRun extends ScriptRun {
  readonly msPerFlow: Readonly<Record<string, Spread>>
  readonly timesAsFastAsPairs: Readonly<Record<string, number>>
}

function stream(): Figures {
  const file = newest('stream')
  const { msPerFlow, timesAsFastAsPairs } = read<StreamRun>(file)
  return {
    unit: 'milliseconds a flow; the original’s configuration at 640 x 640',
    rows: [
      ['', 'p50', 'p99', 'times as many flows as pairs'],
      ...Object.entries(msPerFlow).map(([name, { p50, p99 }]) => [
        name,
        ms(p50),
        ms(p99),
        timesAsFastAsPairs[name]!.toFixed(2),
      ]),
    ],
    runs: [scriptRun(file)],
  }
}

function camera(): Figures {
  const { report, file } = cameraReport()
  const { frames, scenarios } = report
  const { latency, camera } = scenarios[0]!.results[0]!
  const { age, rate, deadline, dropped, missed } = camera!
  const row = (name: string, of: Result['latency']) => [name, ...[of.p50, of.p90, of.p99, of.max].map(ms)]
  return {
    unit:
      `milliseconds; ${frames.width} x ${frames.height} at ${rate.toFixed(1)} Hz: of ${camera!.frames} frames ` +
      `${dropped} dropped, ${missed - dropped} later than ${ms(deadline)} ms`,
    rows: [
      ['', 'p50', 'p90', 'p99', 'max'],
      row('from when a frame was due to its result', latency),
      row('age of the newest result', age),
    ],
    runs: [benchRun(file)],
  }
}

function cameraParts(): Figures {
  const { report, file } = cameraReport()
  const { late, copy, queue, engine, result } = report.scenarios[0]!.results[0]!.parts!
  const row = (name: string, value: number, what: string) => [name, value.toFixed(3), what]
  return {
    unit: 'milliseconds, the medians',
    rows: [
      ['part', 'median', 'from, to'],
      row('late', late!, 'the frame is due, it is pushed'),
      row('copy', copy, 'the push, its return'),
      row('queue', queue, 'the push has returned, the engine begins'),
      row('engine', engine, 'the engine begins, it is done'),
      row('result', result, 'the engine is done, the promise is settled'),
    ],
    runs: [benchRun(file)],
  }
}

function cameraReport(): { readonly file: string; readonly report: BenchReport } {
  const file = newest('camera')
  return { file, report: read(file) }
}

interface VideoRun extends ScriptRun {
  readonly clip: string
  readonly frames: number
  readonly ratio: number
  readonly turns: readonly { readonly stream: number; readonly video: number; readonly ratio: number }[]
}

function video(): Figures {
  const file = newest('video')
  const { frames, ratio, turns } = read<VideoRun>(file)
  return {
    unit: `frames per second; a clip of 640 x 480, ${frames} frames; the median of the ratios is ${ratio.toFixed(2)}`,
    rows: [
      ['turn', 'a bare stream on decoded frames', '`video`', 'ratio'],
      ...turns.map(({ stream, video, ratio }, i) => [
        String(i + 1),
        stream.toFixed(1),
        video.toFixed(1),
        ratio.toFixed(2),
      ]),
    ],
    runs: [scriptRun(file)],
  }
}

interface ViewRun extends ScriptRun {
  readonly browser: string
  readonly size: { readonly width: number; readonly height: number }
  readonly pageBytes: number
  readonly pictureBytes: number
  readonly openMs: Spread
}

function view(): Figures {
  const file = newest('view')
  const { size, pageBytes, pictureBytes, openMs, browser } = read<ViewRun>(file)
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  return {
    unit: `the page of a pair of ${size.width} x ${size.height}, in headless Chromium ${browser}`,
    rows: [
      ['page without its pictures', 'pictures', 'opens in, p50', 'p95', 'p99'],
      [
        mb(pageBytes - pictureBytes),
        mb(pictureBytes),
        ...[openMs.p50, openMs.p95, openMs.p99].map((t) => `${ms(t)} ms`),
      ],
    ],
    runs: [scriptRun(file)],
  }
}

interface PeersRun extends ScriptRun {
  readonly contenders: readonly {
    readonly name: string
    readonly backboneMs: Spread
    readonly headMs: Spread
    readonly backboneRatio: number
    readonly headRatio: number
  }[]
}

function peers(): Figures {
  const all = files().filter((file) => file.endsWith('-2-threads.json'))
  return {
    unit: 'milliseconds; the original’s configuration at 640 x 640, float32',
    rows: [
      ['', 'machine', 'p50', 'p95', 'p99', 'times ours'],
      ...all.flatMap((file) => {
        const run = read<PeersRun>(file)
        const machine = `${run.cpu.replace(/\(R\)| Processor/g, '')}, ${INSTRUCTIONS[run.instructionSet!]}`
        const row = (what: string, { p50, p95, p99 }: Spread, ratio: number) => [
          what,
          machine,
          ...[p50, p95, p99].map(ms),
          ratio === 1 ? '' : ratio.toFixed(2),
        ]
        return [
          ...run.contenders.map((each) => row(`backbone, ${each.name}`, each.backboneMs, each.backboneRatio)),
          ...run.contenders.map((each) => row(`head, ${each.name}`, each.headMs, each.headRatio)),
        ]
      }),
    ],
    runs: all.map(scriptRun),
  }
}

interface EvaluationRun extends ScriptRun {
  /** Of each suite, of each method: end-point error in px, and the share of pixels that are more than 1 px off, in per cent. */
  readonly suites: Readonly<
    Record<string, Readonly<Record<string, { readonly epe: number; readonly out1: number }>>>
  >
}

/** The suites of the evaluation, in the words of the card. */
const SUITES: Readonly<Record<string, string>> = {
  scenes: 'procedural scenes, held-out seeds and textures, 512 x 512, to 64 px',
  ellipses: 'clouded ellipses, 480 x 640, to 40 px',
  picture: 'a rendered picture and its warp by a homography, to 40 px',
  'picture changed': 'the same, frame 2 brighter, blurred and noisy',
  'picture grey': 'the same without colour',
  photographs: 'photographs and their warps, to 40 px',
  'photographs changed': 'the same, frame 2 brighter, blurred and noisy',
  exposure: 'gains of 0.6 to 1.6 that vary over rows and time',
  noise: 'dark, strong sensor noise, streaks of rain',
  small: 'motions below 3 px',
  still: 'a picture that moves by less than 0.1 px',
  thin: 'strokes of 1.5 to 6 px over another motion',
  repeated: 'windows, bricks, pickets, tiles, by up to two periods',
  chairs: 'furniture that flies over a picture, as in FlyingChairs',
  'chairs photographs': 'furniture that flies over photographs',
  large: 'motions of 40 to 100 px (12 pairs)',
  'large far': 'motions of 140 to 300 px (12 pairs)',
}

function evaluation(): Figures {
  const file = newest('evaluation')
  const { suites } = read<EvaluationRun>(file)
  const ours = ['without the network', 'fast', 'balanced', 'best']
  return {
    unit: 'pixels, and the part of DIS medium’s',
    rows: [
      ['pairs', 'zero flow', 'DIS, medium', 'DIS, refined', ...ours, 'over 1 px, DIS / balanced'],
      ...Object.entries(SUITES).map(([suite, text]) => {
        const of = suites[suite]!
        const [zero, dis, refined] = ['zero', 'DIS medium', 'DIS medium + VariationalRefinement'].map(
          (method) => of[method]!.epe,
        ) as [number, number, number]
        return [
          text,
          ...[zero, dis, refined].map(px),
          ...ours.map((method) => `${px(of[method]!.epe)}, ${Math.round((100 * of[method]!.epe) / dis)} %`),
          `${of['DIS medium']!.out1.toFixed(1)} / ${of['balanced']!.out1.toFixed(1)} %`,
        ]
      }),
    ],
    runs: [scriptRun(file)],
  }
}

// ---- files

function files(): string[] {
  return readdirSync(RESULTS)
    .filter((file) => file.endsWith('.json'))
    .sort()
}

/** The newest file whose name, after the date and the machine, is this one. */
function newest(name: string): string {
  const named = new RegExp(`^\\d{4}-\\d\\d-\\d\\d-\\w+-\\w+-${name}\\.json$`)
  const found = files()
    .filter((file) => named.test(file))
    .at(-1)
  if (found === undefined) throw new Error(`bench/results has no report of ${name}`)
  return found
}

function read<Report>(file: string): Report {
  return JSON.parse(readFileSync(new URL(file, RESULTS), 'utf8')) as Report
}

/** What the reports of our scripts have in common. */
interface ScriptRun {
  readonly date: string
  readonly command: string
  readonly cpu: string
  readonly node: string
  readonly threads: number
  readonly instructionSet?: string
}

function scriptRun(file: string): Run {
  const run = read<ScriptRun>(file)
  const { date, command } = run
  return { file, date, command, machine: machineOf(run) }
}

function machineOf({ cpu, threads, instructionSet, node }: ScriptRun): string {
  const of = [
    cpu,
    instructionSet && INSTRUCTIONS[instructionSet],
    threads && `${threads} threads`,
    `Node ${node}`,
  ]
  return of.filter(Boolean).join(', ')
}

const INSTRUCTIONS: Readonly<Record<string, string>> = { avx512: 'AVX-512', avx2: 'AVX2' }

function benchRun(file: string): Run {
  const { date, command, machine, contenders } = read<BenchReport>(file)
  const { threads, instructionSet } = contenders[0]!.info
  const of = { cpu: machine.cpu, node: machine.node, threads, instructionSet } as ScriptRun
  return { file, date: date.slice(0, 10), command, machine: machineOf(of) }
}

function find(results: readonly Result[], name: string): Result {
  const found = results.find((result) => result.name === name)
  if (found === undefined) throw new Error(`a report has no contender ${name}`)
  return found
}

/** An error in pixels: three digits, and two below 0.1 px. */
function px(value: number): string {
  return value.toFixed(value >= 10 ? 1 : value >= 0.1 ? 2 : 3)
}

/** Three digits are more than a run tells. */
function ms(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}
