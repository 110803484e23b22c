import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/**
 * Finds links that lead nowhere, and whatever a page would fetch from elsewhere. VitePress itself only checks whether the pages that
 * Markdown links to exist: neither anchors, nor links of the menu and of components.
 *
 * @param folder the site as it was built
 * @param base the path of the site, such as `/` or `/dinov3-flow/`
 * @throws {Error} lists them
 */
export function checkSite(folder: string, base: string): void {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const read = (name: string) => readFileSync(join(folder, name), 'utf8')
  const pages = new Map<string, Page>()
  for (const name of names) if (name.endsWith('.html')) pages.set(base + name, pageOf(read(name)))

  const problems: string[] = []
  for (const [path, { hrefs, fetched }] of pages) {
    for (const href of hrefs) if (isDead(href, path, pages)) problems.push(`${path}: dead link ${href}`)
    for (const url of fetched) problems.push(`${path}: fetches ${url}`)
  }
  for (const name of names)
    if (name.endsWith('.css'))
      for (const [url] of read(name).matchAll(/(?:url\(|@import )["']?(?:https?:)?\/\/[^"')]+/g))
        problems.push(`${name}: fetches ${url}`)
  if (problems.length > 0) throw new Error(`the site has problems:\n${problems.join('\n')}`)
}

interface Page {
  readonly ids: ReadonlySet<string>
  /** Of links within the site. */
  readonly hrefs: readonly string[]
  /** Addresses of other sites that a browser fetches by itself. */
  readonly fetched: readonly string[]
}

function pageOf(html: string): Page {
  const all = (pattern: RegExp) => [...html.matchAll(pattern)].map(([, value]) => decode(value!))
  return {
    ids: new Set(all(/\sid="([^"]+)"/g)),
    hrefs: all(/<a [^>]*?href="([^"]+)"/g).filter((href) => !/^[a-z]+:/.test(href)),
    fetched: [
      ...all(/\ssrc="((?:https?:)?\/\/[^"]+)"/g),
      ...all(/<link [^>]*?href="((?:https?:)?\/\/[^"]+)"/g),
    ],
  }
}

function isDead(href: string, from: string, pages: ReadonlyMap<string, Page>): boolean {
  const [path, hash] = href.split('#') as [string, string?]
  const target = path === '' ? from : posix.resolve(posix.dirname(from), decodeURI(path))
  const page = [target, `${target}.html`, posix.join(target, 'index.html')].find((name) => pages.has(name))
  if (page === undefined) return true
  return hash !== undefined && hash !== '' && !pages.get(page)!.ids.has(decodeURIComponent(hash))
}

function decode(attribute: string): string {
  return attribute.replaceAll('&#39;', "'").replaceAll('&quot;', '"').replaceAll('&amp;', '&')
}
