import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { PACKAGE_ROOT } from '../package.js'

/** What a build from source needs on this machine. */
export interface BuildTools {
  /** Folders of the headers of Node-API, for C and for C++. */
  readonly headers: readonly string[]
  /** CMake's name of what runs the compiler. */
  readonly generator: 'Ninja' | 'Unix Makefiles'
}

/** A thing that a build needs and that is not there, and how to get it. */
export interface Missing {
  readonly what: string
  readonly remedy: string
}

const HEADER_PACKAGES = ['node-api-headers', 'node-addon-api']
const OLDEST_CMAKE = [3, 22] as const

/** Looks for everything before anything is built, so that one answer names all that is missing. */
export function findTools(): BuildTools | readonly Missing[] {
  const missing: Missing[] = []
  const cmake = /version (\d+)\.(\d+)/.exec(outputOf('cmake') ?? '')
  if (cmake === null || !isAtLeast(OLDEST_CMAKE, [Number(cmake[1]), Number(cmake[2])])) {
    const found = cmake === null ? '' : `, not ${cmake[1]}.${cmake[2]}`
    missing.push({ what: `CMake ${OLDEST_CMAKE.join('.')} or newer${found}`, remedy: systemPackage('cmake') })
  }
  const compilers = process.env['CXX'] === undefined ? ['c++', 'g++', 'clang++'] : [process.env['CXX']]
  if (!compilers.some(runs))
    missing.push({
      what: `a compiler for C++20 (looked for ${compilers.join(', ')}; CXX names another)`,
      remedy: systemPackage('g++'),
    })
  const generator = runs('ninja') ? 'Ninja' : 'Unix Makefiles'
  if (generator !== 'Ninja' && !runs('make'))
    missing.push({ what: 'make or ninja', remedy: systemPackage('make') })
  const headers = HEADER_PACKAGES.map(headerFolder)
  if (headers.includes(undefined))
    missing.push({
      what: `the headers of Node-API (${HEADER_PACKAGES.join(', ')})`,
      remedy: `npm install --save-dev ${HEADER_PACKAGES.join(' ')}`,
    })
  if (missing.length > 0) return missing
  return { headers: headers.filter((folder) => folder !== undefined), generator }
}

/** What a program prints for `--version`; undefined if it cannot be run. */
function outputOf(program: string): string | undefined {
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  return status === 0 ? stdout : undefined
}

function runs(program: string): boolean {
  return outputOf(program) !== undefined
}

function isAtLeast([major, minor]: readonly [number, number], version: readonly [number, number]): boolean {
  return version[0] > major || (version[0] === major && version[1] >= minor)
}

/** A package of headers, of this package or of the project in whose folder the command runs. */
function headerFolder(name: string): string | undefined {
  for (const folder of [PACKAGE_ROOT, process.cwd()]) {
    try {
      const { include_dir: found } = createRequire(join(folder, 'package.json'))(name) as {
        include_dir: string
      }
      return resolve(found) // node-addon-api's is relative to the working directory
    } catch {
      // It is not installed there.
    }
  }
  return undefined
}

function systemPackage(name: 'cmake' | 'g++' | 'make'): string {
  if (process.platform === 'darwin') return name === 'cmake' ? 'brew install cmake' : 'xcode-select --install'
  return existsSync('/etc/alpine-release') ? `apk add ${name}` : `apt-get install ${name}`
}
