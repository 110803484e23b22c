import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url)

/** Every block of TypeScript in the README. */
function snippets(): string[] {
  const text = readFileSync(new URL('README.md', ROOT), 'utf8')
  return [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => code)
}

test('the TypeScript of the README compiles against the package', () => {
  const codes = snippets()
  expect(codes.length).toBeGreaterThan(0)
  // Beside the other consumers of the package, from where its name leads to it.
  const folder = new URL('test/types/consumer/', ROOT)
  const names = codes.map(() => `readme-${randomUUID()}.mts`)
  const project = new URL(`${randomUUID()}.json`, folder)
  try {
    names.forEach((name, i) => writeFileSync(new URL(name, folder), codes[i]!))
    writeFileSync(project, JSON.stringify({ extends: './tsconfig.json', files: names }))
    const args = ['node_modules/typescript/bin/tsc', '-p', fileURLToPath(project)]
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  } finally {
    rmSync(project, { force: true })
    for (const name of names) rmSync(new URL(name, folder), { force: true })
  }
})
