import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { type CodeBlock, codeBlocks, pagesOf, ROOT } from './pages.js'

const PAGES = pagesOf('README.md', 'CHANGELOG.md', 'weights/README.md', 'docs')
const BLOCKS = PAGES.flatMap(codeBlocks)

const codeBlocksOf = (wanted: string) => BLOCKS.filter(({ language }) => language === wanted)

test('every block of TypeScript compiles against the package, by itself', () => {
  const blocks = codeBlocksOf('ts')
  expect(blocks.length).toBeGreaterThan(10)
  expect(errorsOf(blocks)).toEqual([])
})

test.each(codeBlocksOf('c'))('the block of C at $page:$line compiles against the header', ({ code }) => {
  const { include_dir } = createRequire(import.meta.url)('node-api-headers') as {
    readonly include_dir: string
  }
  const args = ['-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror', '-fsyntax-only', '-x', 'c']
  const include = ['-I', join(ROOT, 'include'), '-isystem', include_dir]
  const { status, stderr } = spawnSync(process.env['CC'] ?? 'cc', [...args, ...include, '-'], {
    input: code,
    encoding: 'utf8',
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})

test('code for Node.js is TypeScript, so that it is compiled', () => {
  const others = ['js', 'javascript', 'mjs', 'cjs', 'jsx', 'tsx', 'typescript', 'mts']
  const found = BLOCKS.filter(({ language }) => others.includes(language))
  expect(found.map(({ page, line }) => `${page}:${line}`)).toEqual([])
})

test('a block that does not compile is told with its page and line', () => {
  const block: CodeBlock = {
    page: 'docs/page.md',
    line: 7,
    language: 'ts',
    code: "import { FlowModel } from 'dinov3-flow'\n\nawait FlowModel.load({ preset: 'slow' })",
  }
  expect(errorsOf([block])).toEqual([expect.stringMatching(/^docs\/page\.md:9: .*"slow".*ModelPreset/)])
})

/** The errors of blocks as `page:line: message`. All are compiled in one project, each as a module of its own. */
function errorsOf(blocks: readonly CodeBlock[]): string[] {
  // In the package, where its name leads to itself.
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'build/compiled-'))
  try {
    const files = blocks.map((_, i) => `${i}.mts`)
    blocks.forEach(({ code }, i) => writeFileSync(join(folder, files[i]!), `${code}\nexport {}\n`))
    const config = {
      extends: '../../test/types/consumer/tsconfig.json',
      compilerOptions: { skipLibCheck: true },
      files,
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    const args = ['node_modules/typescript/bin/tsc', '--pretty', 'false', '-p', folder]
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
    const errors = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => atItsPage(line, basename(folder), blocks))
    if (status !== 0 && errors.length === 0) throw new Error(`tsc failed: ${stderr}`)
    return errors
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** `test/docs/compiled-x/3.mts(2,5): error ...` as `docs/guide/streams.md:41: error ...`. */
function atItsPage(line: string, folder: string, blocks: readonly CodeBlock[]): string {
  const found = new RegExp(`${folder}/(\\d+)\\.\\w+\\((\\d+),\\d+\\): (.*)$`).exec(line)
  if (found === null) return line
  const { page, line: first } = blocks[Number(found[1])]!
  return `${page}:${first + Number(found[2]) - 1}: ${found[3]}`
}
