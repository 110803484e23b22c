import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { MarkdownRenderer } from 'vitepress'
import { benchReports } from './figures.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Files outside docs/ that are pages of the site. */
const PAGES: Readonly<Record<string, string>> = {
  'weights/README.md': '/model-card',
  'CHANGELOG.md': '/changelog',
}

/**
 * Links that leave docs/ lead to the page that shows their file. The site has no source code: links to it become plain text. In
 * the repository all of them work as they are.
 */
export function linkWithinSite(md: MarkdownRenderer): void {
  md.core.ruler.push('link-within-site', ({ tokens, env }) => {
    const { path } = env as { readonly path: string }
    for (const token of tokens) {
      let dropped = false
      token.children &&= token.children.filter((child) => {
        if (child.type === 'link_open') {
          const page = pageOf(String(child.attrGet('href')), path)
          dropped = page === undefined
          if (!dropped) child.attrSet('href', page!)
        }
        return !(dropped && child.type.startsWith('link_'))
      })
    }
  })
}

/** Where a link leads on the site; undefined if nowhere. */
function pageOf(href: string, from: string): string | undefined {
  if (/^([a-z]+:|[#/])/.test(href)) return href
  const [path, hash] = href.split('#') as [string, string?]
  const file = relative(ROOT, resolve(dirname(from), decodeURI(path)))
  if (file.startsWith('docs/')) return href
  const page = PAGES[file] ?? reportPage(file)
  return page === undefined || hash === undefined ? page : `${page}#${hash}`
}

function reportPage(file: string): string | undefined {
  const report = /^bench\/results\/(.+)\.json$/.exec(file)?.[1]
  if (report === undefined) return undefined
  return benchReports().some(({ name }) => name === report) ? `/figures/${report}` : '/figures/'
}
