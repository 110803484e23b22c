import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import type { Cli } from '../../lib/cli/cli.js'
import { main } from '../../lib/cli/main.js'

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command line in this process. */
export async function call(...argv: readonly string[]): Promise<Outcome> {
  return callWith({}, ...argv)
}

export async function callWith(
  { debug = false, onInterrupt }: Partial<Pick<Cli, 'debug' | 'onInterrupt'>>,
  ...argv: readonly string[]
): Promise<Outcome> {
  let out = ''
  let err = ''
  const code = await main(argv, {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    debug,
    ...(onInterrupt === undefined ? {} : { onInterrupt }),
  })
  return { code, out, err }
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
}

export const TINY = {
  backbone: fixture('tiny/backbone.pth'),
  head: fixture('tiny/head.pth'),
  first: fixture('tiny/frame1.png'),
  second: fixture('tiny/frame2.png'),
} as const

/** A folder that is gone after the file's tests, and paths in it. */
export function scratch(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'cli-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return (name) => join(folder, name)
}
