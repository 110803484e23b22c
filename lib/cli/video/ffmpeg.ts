import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { FlowError, messageOf } from '../../errors.js'
import { shortPath } from '../../support/quote.js'

/** The environment variable that names the program. */
const VARIABLE = 'DINOV3_FLOW_FFMPEG'
const INSTALL =
  'Install it (Debian, Ubuntu: apt-get install ffmpeg; macOS: brew install ffmpeg; or https://ffmpeg.org/download.html), ' +
  `or name the program with --ffmpeg or ${VARIABLE}.`

/** The ffmpeg that is used, and what it can do. */
export interface Ffmpeg {
  readonly path: string
  /** Such as `5.1.9`. */
  readonly version: string
  readonly encoders: ReadonlySet<string>
  /** The option that keeps timestamps as they are. Its name changed in version 5.1. */
  readonly keepTimestamps: readonly [string, string]
}

/**
 * Finds ffmpeg and asks it for its encoders.
 *
 * @param given the path of `--ffmpeg`
 * @throws {FlowError} `ERR_NATIVE` if it is missing or does not work; the message says how to get it
 */
export async function findFfmpeg(given: string | undefined): Promise<Ffmpeg> {
  const path = given ?? (process.env[VARIABLE] || 'ffmpeg')
  const { code, text } = await runFfmpeg(path, ['-nostdin', '-encoders'])
  const version = /ffmpeg version (\S+)/.exec(text)?.[1]
  if (code !== 0 || version === undefined)
    throw new FlowError('ERR_NATIVE', `${shortPath(path)} does not answer as ffmpeg does. ${INSTALL}`)
  const encoders = [...text.matchAll(/^ V\S{5} (\S+)/gm)].map(([, name]) => name!)
  const [, major, minor] = /^n?(\d+)\.(\d+)/.exec(version) ?? []
  const old = major !== undefined && Number(major) + Number(minor) / 100 < 5.01
  return {
    path,
    version,
    encoders: new Set(encoders),
    keepTimestamps: old ? ['-vsync', 'vfr'] : ['-fps_mode', 'vfr'],
  }
}

/** Runs ffmpeg to its end. Returns all that it printed. */
export async function runFfmpeg(
  path: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly text: string }> {
  const child = spawnFfmpeg(path, args, ['ignore', 'pipe', 'pipe'])
  let text = ''
  for (const output of [child.stdout!, child.stderr!])
    output.setEncoding('utf8').on('data', (part: string) => (text += part))
  const code = await exitOf(child, path)
  return { code, text }
}

/** Starts ffmpeg in a process group of its own, so that Ctrl-C reaches it only through this process. */
export function spawnFfmpeg(path: string, args: readonly string[], stdio: StdioOptions): ChildProcess {
  return spawn(path, args, { stdio, detached: true, windowsHide: true })
}

/**
 * Resolves once the process has ended and all its output was read.
 *
 * @throws {FlowError} `ERR_NATIVE` if it could not be started
 */
export async function exitOf(child: ChildProcess, path: string): Promise<number | null> {
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    return code
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT'
    const what = missing ? 'was not found' : `cannot be started: ${messageOf(cause)}`
    throw new FlowError(
      'ERR_NATIVE',
      `ffmpeg, which reads and writes video, ${what}${path === 'ffmpeg' ? '' : ` (${shortPath(path)})`}. ${INSTALL}`,
      { cause },
    )
  }
}
