import { CommanderError } from 'commander'
import { expect, test } from 'vitest'
import { createProgram } from '../../lib/cli/main.js'
import { codeBlocks, pagesOf } from './pages.js'

const PAGES = pagesOf(
  'README.md',
  'CHANGELOG.md',
  'weights/README.md',
  'docs',
  'training',
  'bench',
  'examples',
)
const SHELLS = ['sh', 'bash', 'shell', 'console']

/** The command lines of the pages, in words. */
const LINES = PAGES.flatMap(codeBlocks)
  .filter(({ language }) => SHELLS.includes(language))
  .flatMap(({ page, line, code }) =>
    code
      .replaceAll('\\\n', ' \0') // one line, and its number is kept
      .split('\n')
      .flatMap((text, i, all) => {
        const before = all.slice(0, i).join('').split('\0').length - 1
        return commandsOf(text.replaceAll('\0', '')).map((words) => ({
          page,
          line: line + i + before,
          words,
        }))
      }),
  )

test('every command line of the pages is one that the program takes', async () => {
  expect(LINES.length).toBeGreaterThan(20)
  const refused: string[] = []
  for (const { page, line, words } of LINES) {
    const reason = await refusal(words)
    if (reason !== undefined) refused.push(`${page}:${line}: dinov3-flow ${words.join(' ')}: ${reason}`)
  }
  expect(refused).toEqual([])
})

test.each([
  [['bench', '--secnario', 'camera'], "unknown option '--secnario'"],
  [['bench', '--scenario', 'cameras'], 'cameras'],
  [['inspcet', 'x'], "unknown command 'inspcet'"],
  [['convert', 'a.flo'], "missing required argument 'out'"],
])('%s is refused', async (words, reason) => {
  expect(await refusal(words)).toContain(reason)
})

/** The reason why the program does not take a command line; undefined if it does. Nothing is run. */
async function refusal(words: readonly string[]): Promise<string | undefined> {
  let told = ''
  const program = createProgram({
    out: { write() {} },
    err: { write: (text) => (told += text) },
    debug: false,
  })
  for (const command of program.commands) command.action(() => {})
  try {
    await program.parseAsync(words, { from: 'user' })
    return undefined
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? undefined : told.trim()
  }
}

/** The arguments of each call of the program in a line of a shell. */
function commandsOf(text: string): string[][] {
  return sequence(text).flatMap((words) => {
    const at = words.findIndex((word) => word === 'dinov3-flow')
    const leads = words.slice(0, at).every((word) => word === 'npx' || word.includes('=') || word === '$')
    return at === -1 || !leads ? [] : [words.slice(at + 1)]
  })
}

/** The commands of a line that `&&`, `||`, `|` or `;` separate, in words. Comments and redirections are left out. */
function sequence(text: string): string[][] {
  const commands: string[][] = [[]]
  for (const [token, single, double] of text.matchAll(/'([^']*)'|"([^"]*)"|&&|\|\|?|;|#.*|[^\s;|&#'"]+/g)) {
    if (token.startsWith('#')) break
    if (/^(?:&&|\|\|?|;)$/.test(token)) commands.push([])
    else if (!/^\d?>/.test(token)) commands.at(-1)!.push(single ?? double ?? token)
  }
  return commands
}
