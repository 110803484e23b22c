import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder of this package. The path is the same for lib/ and for dist/, so the sources can run uncompiled. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../..', import.meta.url))

export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { version } = JSON.parse(text) as { version: string }
  return version
}
