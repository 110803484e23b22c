import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DEFAULT_MODEL } from '../../lib/checkpoint/default-model.js'
import { PACKAGE_ROOT } from '../../lib/cli/package.js'

/** The paths that `npm pack` puts into the package. */
function packed(): Set<string> {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: PACKAGE_ROOT,
    encoding: 'utf8',
    // npm is a script there, which only a shell starts.
    shell: process.platform === 'win32',
  })
  const packages = JSON.parse(stdout) as readonly { readonly files: readonly { readonly path: string }[] }[]
  return new Set(packages.flatMap(({ files }) => files.map(({ path }) => path)))
}

/** The sources of the addon, which is compiled where the package is installed. */
function nativeSources(): string[] {
  const text = readFileSync(new URL('../../CMakeLists.txt', import.meta.url), 'utf8')
  const named = [...text.matchAll(/\bnative\/[\w/]+\.\w+/g)].map(([path]) => path)
  const perInstructionSet = [...text.matchAll(/\bflow_add_isa\((\w+)/g)].map(([, isa]) => isa)
  return [
    // Tests have sources of the same folder's name.
    ...named.filter((path) => !text.includes(`test/${path}`)),
    ...perInstructionSet.filter((isa) => isa !== 'file').map((isa) => `native/cpu/isa/${isa}.cpp`),
  ]
}

test('the package holds all that is compiled, loaded or run from it', () => {
  const sources = nativeSources()
  expect(sources.length).toBeGreaterThan(15)
  const weights = DEFAULT_MODEL.slice(PACKAGE_ROOT.length).replaceAll('\\', '/')
  const viewer = ['dist/viewer/viewer.js', 'dist/viewer/viewer.css']
  const program = ['addon.cjs', 'dist/cli/index.js', 'dist/index.js', 'dist/index.d.ts', ...viewer]
  const files = packed()
  const needed = [
    'CMakeLists.txt',
    'include/dinov3_flow.h',
    'tools/cmake/kernels.cmake',
    'tools/cmake/node_headers.cmake',
    ...sources,
    weights,
    ...program,
  ]
  expect(needed.filter((path) => !files.has(path))).toEqual([])
})
