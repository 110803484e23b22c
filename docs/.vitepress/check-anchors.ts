import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/**
 * Finds links to anchors that are not there. VitePress checks only that the page of a link exists.
 *
 * @throws {Error} lists them
 */
export function checkAnchors(folder: string): void {
  const pages = new Map<string, string>()
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.html')) pages.set(`/${name}`, readFileSync(join(folder, name), 'utf8'))
  const ids = new Map<string, Set<string>>()
  for (const [page, html] of pages)
    ids.set(page, new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => decode(id!))))
  const dead: string[] = []
  for (const [page, html] of pages)
    for (const [, href] of html.matchAll(/<a [^>]*?href="([^"]*#[^"]+)"/g)) {
      if (/^[a-z]+:/.test(href!)) continue
      const [path, hash] = decode(href!).split('#') as [string, string]
      const target = path === '' ? page : posix.resolve(posix.dirname(page), path)
      const file = target.endsWith('.html') ? target : posix.join(target, 'index.html')
      if (!ids.get(file)?.has(decodeURIComponent(hash))) dead.push(`${page}: ${href}`)
    }
  if (dead.length > 0) throw new Error(`dead anchors:\n${dead.join('\n')}`)
}

function decode(attribute: string): string {
  return attribute.replaceAll('&#39;', "'").replaceAll('&quot;', '"').replaceAll('&amp;', '&')
}
