import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Folders with files that are made, or of others. */
const MADE = ['node_modules', 'reference', '.vitepress', '__pycache__', 'runs']

/** The pages of Markdown that these files and folders hold, by their paths from the root. */
export function pagesOf(...paths: readonly string[]): string[] {
  return paths.flatMap((path) =>
    path.endsWith('.md')
      ? [path]
      : readdirSync(`${ROOT}/${path}`, { withFileTypes: true })
          .filter(({ name }) => !MADE.includes(name))
          .filter((entry) => entry.isDirectory() || entry.name.endsWith('.md'))
          .flatMap(({ name }) => pagesOf(`${path}/${name}`)),
  )
}

export function textOf(page: string): string {
  return readFileSync(`${ROOT}/${page}`, 'utf8')
}

/** A block of code between fences. */
export interface CodeBlock {
  readonly page: string
  /** Line of the page, from 1, that the code's first line is. */
  readonly line: number
  readonly language: string
  readonly code: string
}

/** The blocks of code of a page, without the indentation that they have in lists. */
export function codeBlocks(page: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  let open: { readonly fence: string; readonly indent: string; readonly line: number } | undefined
  let language = ''
  let code: string[] = []
  textOf(page)
    .split('\n')
    .forEach((text, i) => {
      const fence = /^( *)(`{3,})(\w*)/.exec(text)
      if (open === undefined) {
        if (fence === null) return
        open = { fence: fence[2]!, indent: fence[1]!, line: i + 2 }
        language = fence[3]!
        code = []
      } else if (text === open.indent + open.fence) {
        blocks.push({ page, line: open.line, language, code: code.join('\n') })
        open = undefined
      } else code.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text)
    })
  return blocks
}

/** The text of a page without its code, in which nothing is a link or a heading. */
export function proseOf(page: string): string {
  return textOf(page)
    .replace(/^ *(`{3,})[^]*?^ *\1$/gm, '')
    .replace(/<!--[^]*?-->/g, '')
}
