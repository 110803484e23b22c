import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, parse, resolve } from 'node:path'
import { FlowError } from '../../errors.js'
import { toPath } from '../../support/file-path.js'
import { ioError } from '../../support/io-error.js'
import { shortPath } from '../../support/quote.js'
import { STANDARD_INPUT } from '../../support/read-file.js'
import { count } from '../amounts.js'
import { UsageError } from '../cli.js'

/** Where frames come from, for ffmpeg. */
export interface VideoSource {
  /** Its name in messages. */
  readonly name: string
  /** The arguments that make ffmpeg read it. */
  readonly input: readonly string[]
  /** Whether ffmpeg can begin in the middle. */
  readonly seekable: boolean
  readonly standardInput: boolean
  /** The files that are read and must not be written, where they are known. */
  readonly files: readonly string[]
  /** The names of the pictures without their extensions, in order; empty for a video. */
  readonly pictures: readonly string[]
  /** Pictures per second. */
  readonly rate: number
  /** What the user should know about it. */
  readonly notes: readonly string[]
}

const DEFAULTS = {
  seekable: true,
  standardInput: false,
  files: [],
  pictures: [],
  rate: 25,
  notes: [],
} as const

/**
 * Finds out what the user named: a file, a pattern of pictures, a device, an address, or standard input.
 *
 * @param rate frames per second of pictures, or those to ask a camera for
 * @throws {UsageError} for a rate that the source cannot have
 * @throws {FlowError} `ERR_IO` for a file, or pictures, that do not exist
 */
export function findSource(given: string, rate: number | undefined): VideoSource {
  const framerate = rate === undefined ? [] : ['-framerate', String(rate)]
  if (given === STANDARD_INPUT) {
    refuseRate(rate, 'standard input')
    return {
      ...DEFAULTS,
      name: 'standard input',
      input: ['-i', 'pipe:0'],
      seekable: false,
      standardInput: true,
    }
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(given) && !/^file:/i.test(given)) {
    refuseRate(rate, 'an address')
    // Over UDP, cameras lose parts of frames.
    const transport = /^rtsps?:/i.test(given) ? ['-rtsp_transport', 'tcp'] : []
    return {
      ...DEFAULTS,
      name: withoutPassword(given),
      input: [...transport, '-i', given],
      seekable: /^https?:/i.test(given),
    }
  }
  const path = resolve(/^file:/i.test(given) ? toPath(given, 'the video') : given)
  const name = shortPath(given)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return findPictures(path, name, rate)
  if (found.isDirectory())
    throw new FlowError(
      'ERR_IO',
      `${name}: is a folder: name a video, or its pictures by a pattern such as '${join(given, '%04d.png')}' or '${join(given, '*.png')}'`,
    )
  if (found.isCharacterDevice() && path.startsWith('/dev/video'))
    return { ...DEFAULTS, name, input: ['-f', 'v4l2', ...framerate, '-i', path], seekable: false }
  refuseRate(rate, 'a video')
  const regular = found.isFile()
  return { ...DEFAULTS, name, input: ['-i', `file:${path}`], seekable: regular, files: regular ? [path] : [] }
}

/** Pictures by a pattern: `%04d` as in ffmpeg, or `*` and `?` as in a shell. */
function findPictures(path: string, name: string, rate: number | undefined): VideoSource {
  const file = basename(path)
  const numbered = /^(.*?)%(?:0?(\d+))?d(.*)$/.exec(file)
  const glob = /[*?[]/.test(file)
  if (numbered === null && !glob) throw new FlowError('ERR_IO', `${name}: no such file`)
  const names = filesIn(dirname(path), name)
  const { files, first, notes } =
    numbered === null
      ? { files: names.filter((each) => globPattern(file).test(each)).sort(), first: undefined, notes: [] }
      : numberedFiles(names, numbered[1]!, Number(numbered[2] ?? 0), numbered[3]!)
  if (files.length === 0) throw new FlowError('ERR_IO', `${name}: no picture has such a name`)
  const pattern =
    first === undefined
      ? ['-pattern_type', 'glob', '-i', join(escapeGlob(dirname(path)), file)]
      : ['-start_number', String(first), '-i', join(dirname(path).replaceAll('%', '%%'), file)]
  return {
    ...DEFAULTS,
    name,
    // With more threads, errors are told before the frames that come before them.
    input: ['-threads', '1', '-f', 'image2', '-framerate', String(rate ?? DEFAULTS.rate), ...pattern],
    rate: rate ?? DEFAULTS.rate,
    files: files.map((each) => join(dirname(path), each)),
    pictures: files.map((each) => parse(each).name),
    notes,
  }
}

/** The files whose names have numbers that follow each other, from the least one. */
function numberedFiles(names: readonly string[], before: string, digits: number, after: string) {
  const numbers = new Map<number, string>()
  for (const each of names) {
    if (!each.startsWith(before) || !each.endsWith(after)) continue
    const number = each.slice(before.length, each.length - after.length)
    if (/^\d+$/.test(number) && number === String(Number(number)).padStart(digits, '0'))
      numbers.set(Number(number), each)
  }
  const sorted = [...numbers.keys()].sort((a, b) => a - b)
  const first = sorted[0] ?? 0
  let length = 0
  while (numbers.has(first + length)) length += 1
  const files = sorted.slice(0, length).map((number) => numbers.get(number)!)
  const rest = sorted.length - length
  const missing = before + String(first + length).padStart(digits, '0') + after
  const star = `'${before}*${after}'`
  const notes =
    rest === 0
      ? []
      : [`${missing} is missing: ${count(rest, 'picture')} after it left out (${star} takes all)`]
  return { files, first, notes }
}

function filesIn(folder: string, name: string): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    throw ioError(name, 'read', cause)
  }
}

/** A pattern of the shell for one name, as glob(7) defines it. A name that begins with a dot is matched only by a dot. */
function globPattern(pattern: string): RegExp {
  const source = pattern.replace(/\[(!?)((?:\]|[^\]])[^\]]*)\]|[*?]|[\\^$.|+(){}[\]]/g, (part, not, set) => {
    if (part === '*') return '[^]*'
    if (part === '?') return '[^]'
    if (set === undefined) return `\\${part}`
    return `[${not === '!' ? '^' : ''}${String(set).replace(/[\\\]^]/g, '\\$&')}]`
  })
  return new RegExp(`^${pattern.startsWith('.') ? '' : '(?!\\.)'}${source}$`)
}

function escapeGlob(folder: string): string {
  return folder.replace(/[\\*?[\]{}]/g, '\\$&')
}

function refuseRate(rate: number | undefined, what: string): void {
  if (rate !== undefined)
    throw new UsageError(`--fps is for pictures and cameras: ${what} has frame rates of its own`)
}

function withoutPassword(address: string): string {
  return shortPath(address.replace(/^([a-z][a-z0-9+.-]+:\/\/)[^/@]*@/i, '$1'))
}
