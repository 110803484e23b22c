import { readdir } from 'node:fs/promises'
import { extname, join, parse } from 'node:path'
import { FlowError } from '../../errors.js'
import { ioError } from '../../support/io-error.js'
import { shortPath } from '../../support/quote.js'

/** A file of a sequence. */
export interface NumberedFile {
  readonly path: string
  /** The last number in its name, or its place in the folder, from 0, if a name has none. */
  readonly number: number
}

/** The files of a sequence, in order. */
export interface NumberedFiles {
  readonly files: readonly NumberedFile[]
  /** Names of files that look as if they belonged to it, and are of another extension. */
  readonly ignored: number
}

/** What belongs to a flow has one of these before its extension: `video --flow` writes `NAME.flo` and `NAME.backward.flo`. */
const SIDES = ['backward', 'confidence', 'occlusion'] as const

/** The files that lie beside a flow and belong to it. */
export type Beside = Readonly<Partial<Record<(typeof SIDES)[number], string>>>

/** The flows of a folder, without those back, and what lies beside each. */
export async function listFlows(
  folder: string,
  extensions: readonly string[],
  mapExtensions: readonly string[],
): Promise<NumberedFiles & { readonly beside: ReadonlyMap<string, Beside> }> {
  const isSide = (name: string) => SIDES.some((side) => parse(name).name.endsWith(`.${side}`))
  const flows = await list(folder, extensions, 'flow files', (name) => !isSide(name))
  const sides = (await namesIn(folder)).filter(isSide)
  const beside = new Map<string, Record<string, string>>()
  for (const name of sides) {
    const { name: stem } = parse(name)
    const side = SIDES.find((each) => stem.endsWith(`.${each}`))!
    if (!hasOneOf(name, side === 'backward' ? extensions : mapExtensions)) continue
    const flow = stem.slice(0, -side.length - 1)
    beside.set(flow, { ...beside.get(flow), [side]: join(folder, name) })
  }
  return { ...flows, beside }
}

/** The files of a folder that have one of some extensions. */
export function listFiles(
  folder: string,
  extensions: readonly string[],
  what: string,
): Promise<NumberedFiles> {
  return list(folder, extensions, what, () => true)
}

async function list(
  folder: string,
  extensions: readonly string[],
  what: string,
  wanted: (name: string) => boolean,
): Promise<NumberedFiles> {
  const names = (await namesIn(folder)).filter((name) => hasOneOf(name, extensions) && wanted(name))
  if (names.length === 0)
    throw new FlowError('ERR_IO', `${shortPath(folder)}: has no ${what} (${extensions.join(', ')})`)
  // Pictures often lie beside their flows: the extension that most files have is that of the sequence.
  const byExtension = new Map<string, string[]>()
  for (const name of names) {
    const extension = extname(name).toLowerCase()
    byExtension.set(extension, [...(byExtension.get(extension) ?? []), name])
  }
  const [chosen = []] = [...byExtension.values()].sort((a, b) => b.length - a.length)
  const numbers = chosen.map(lastNumber)
  // Names without numbers, or with one number for all, such as a version, are taken by their order.
  const numbered = numbers.every((number) => number !== undefined) && new Set(numbers).size === numbers.length
  const sorted = [...chosen].sort((a, b) => (numbered ? lastNumber(a)! - lastNumber(b)! : compareNames(a, b)))
  const files = sorted.map((name, place) => ({
    path: join(folder, name),
    number: numbered ? lastNumber(name)! : place,
  }))
  return { files, ignored: names.length - chosen.length }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
  } catch (cause) {
    throw ioError(folder, 'read', cause)
  }
}

function hasOneOf(name: string, extensions: readonly string[]): boolean {
  return extensions.includes(extname(name).toLowerCase())
}

const { compare: compareNames } = new Intl.Collator('en', { numeric: true })

function lastNumber(name: string): number | undefined {
  const digits = /(\d+)\D*$/.exec(parse(name).name)?.[1]
  return digits === undefined || digits.length > 15 ? undefined : Number(digits)
}

/** The numbers that a sequence leaves out: it goes on by the commonest distance between two of its numbers. */
export function gapsOf(numbers: readonly number[]): { readonly spacing: number; readonly gaps: number[] } {
  const counts = new Map<number, number>()
  for (let i = 1; i < numbers.length; i++) {
    const distance = numbers[i]! - numbers[i - 1]!
    counts.set(distance, (counts.get(distance) ?? 0) + 1)
  }
  const [spacing = 1] = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || a - b)
  const gaps: number[] = []
  for (let i = 1; i < numbers.length; i++) {
    const [from, to] = [numbers[i - 1]!, numbers[i]!]
    if (to - from > LONGEST_GAP * spacing) continue
    for (let n = from + spacing; n < to; n += spacing) gaps.push(n)
  }
  return { spacing, gaps }
}

/** A longer jump, such as to a name that is a date, is not taken for frames that are missing. */
const LONGEST_GAP = 1000
