import { count, duration } from '../amounts.js'
import { describePrepared } from '../run/summary.js'
import { columns } from '../table.js'
import { DATA_SETS } from './datasets/index.js'
import type { Evaluation } from './evaluate.js'
import type { EvalFlags } from './flags.js'
import type { EvalReport, Figures } from './report.js'

/** Describes the results of `eval` for people. */
export function summarize(
  { report, resumed, seconds, pictures, kept }: Evaluation,
  flags: EvalFlags,
): string[] {
  const { all, failed, dataset } = report
  const measured = all.pairs - resumed
  const time = measured === 0 ? '' : `, ${duration((1000 * seconds) / measured)} a pair`
  const before = resumed === 0 ? '' : `, ${resumed} of them before`
  return [
    ...figuresTable(report),
    '',
    rules(flags, DATA_SETS[dataset].note),
    `measured ${count(all.pairs, 'pair')}${before}${time}`,
    ...report.prepared.map((each) => `backbone by ${describePrepared(each)}`),
    ...(failed.length === 0
      ? []
      : [
          `${count(failed.length, 'pair')} failed and ${failed.length === 1 ? 'is' : 'are'} in no figure` +
            (kept === undefined
              ? ''
              : `; the same command tries ${failed.length === 1 ? 'it' : 'them'} again`),
        ]),
    ...(flags.json === undefined ? [] : [`wrote ${flags.json}`]),
    ...(pictures.length === 0
      ? []
      : [`wrote ${count(pictures.length, 'picture')}, the worst first: ${pictures[0]} ...`]),
  ]
}

const percent = (share: number) => fixed(100 * share)
const fixed = (value: number) => (Number.isNaN(value) ? '-' : value.toFixed(2))

/** The columns of the table: their heads and figures. */
const COLUMNS: readonly (readonly [head: string, value: (figures: Figures) => string])[] = [
  ['pairs', ({ pairs }) => String(pairs)],
  ['EPE', ({ epe }) => fixed(epe)],
  ['<1 px %', ({ px1 }) => percent(px1)],
  ['<3 px %', ({ px3 }) => percent(px3)],
  ['<5 px %', ({ px5 }) => percent(px5)],
  ['Fl-all %', ({ flAll }) => fixed(flAll)],
  ['s0-10', ({ s0to10 }) => fixed(s0to10)],
  ['s10-40', ({ s10to40 }) => fixed(s10to40)],
  ['s40+', ({ s40plus }) => fixed(s40plus)],
  ['matched', ({ matched }) => fixed(matched)],
  ['occluded', ({ occluded }) => fixed(occluded)],
]

/** The figures of each sequence and of all pairs, as lines of text. */
function figuresTable({ all, sequences }: Pick<EvalReport, 'all' | 'sequences'>): string[] {
  const told = !Number.isNaN(all.matched) || !Number.isNaN(all.occluded)
  const shown = COLUMNS.filter(([head]) => told || (head !== 'matched' && head !== 'occluded'))
  const row = (name: string, figures: Figures) => [name, ...shown.map(([, value]) => value(figures))]
  return columns([
    ['', ...shown.map(([head]) => head)],
    ...sequences.map((figures) => row(figures.sequence, figures)),
    row('all', all),
  ])
}

/** What to know of the figures. */
function rules({ maxFlow, excludeInvalid }: EvalFlags, note: string | undefined): string {
  const counted =
    maxFlow === Infinity ? 'whose motion is known' : `whose true motion is shorter than ${maxFlow} px`
  const without = excludeInvalid === true ? ', without the invalid ones' : ''
  return `EPE in px; all are means over the pixels ${counted}${without}${note === undefined ? '' : `; ${note}`}`
}
