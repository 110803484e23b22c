import { spawnSync } from 'node:child_process'
import { existsSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * Puts packages of PyPI, and nothing that they depend on, into a folder of their own below build/, once. What an interrupted run
 * leaves is not taken for the whole.
 *
 * @returns the folder; undefined if it is not possible here
 */
export function installFromPyPI(name: string, packages: readonly string[]): string | undefined {
  const site = fileURLToPath(new URL(`../../build/${name}`, import.meta.url))
  if (existsSync(site)) return site
  const part = `${site}.part`
  rmSync(part, { recursive: true, force: true })
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', part, ...packages]
  if (spawnSync('python3', pip).status !== 0) return undefined
  renameSync(part, site)
  return site
}
