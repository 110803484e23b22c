import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'
import { slugOf } from '../../docs/.vitepress/slug.js'
import { pagesOf, proseOf, ROOT } from './pages.js'

const FOLDERS = ['docs', 'weights', 'training', 'bench', 'native', 'examples']
const PAGES = pagesOf('README.md', 'CHANGELOG.md', ...FOLDERS)

test.each(PAGES)('%s has no dead link', (page) => {
  const dead = linksOf(page).filter((link) => isDead(link, page))
  expect(dead).toEqual([])
})

test('links are found, and dead ones told', () => {
  expect(linksOf('README.md')).toContain('weights/README.md#the-originals-weights')
  expect(isDead('weights/README.md#the-originals-weights', 'README.md')).toBe(false)
  expect(isDead('weights/README.md#the-copys-weights', 'README.md')).toBe(true)
  expect(isDead('../weights/README.md', 'docs/model-card.md')).toBe(false)
  expect(isDead('weights/README.md', 'docs/model-card.md')).toBe(true)
})

/** Targets of links and pictures. */
function linksOf(page: string): string[] {
  const prose = proseOf(page).replace(/`[^`\n]*`/g, '')
  const inline = prose.matchAll(/\]\(<?([^)\s>]+)>?(?: "[^"]*")?\)/g)
  const html = prose.matchAll(/\s(?:src|href)="([^"]+)"/g)
  const named = prose.matchAll(/^\[[^\]]+\]: (\S+)/gm)
  return [...inline, ...html, ...named].map(([, target]) => target!)
}

function isDead(link: string, page: string): boolean {
  if (/^[a-z]+:/.test(link)) return false
  const [path, anchor] = decodeURI(link).split('#') as [string, string?]
  const file = path === '' ? page : normalize(join(dirname(page), path))
  if (file.startsWith('docs/reference/')) return false
  if (!existsSync(join(ROOT, file))) return true
  return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor)
}

const known = new Map<string, Set<string>>()

function anchorsOf(page: string): Set<string> {
  const anchors = known.get(page) ?? new Set<string>()
  if (known.has(page)) return anchors
  known.set(page, anchors)
  for (const [, heading] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = slugOf(heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', ''))
    let unique = slug
    for (let i = 1; anchors.has(unique); i++) unique = `${slug}-${i}`
    anchors.add(unique)
  }
  for (const [, id] of readFileSync(join(ROOT, page), 'utf8').matchAll(/\sid="([^"]+)"/g)) anchors.add(id!)
  return anchors
}
