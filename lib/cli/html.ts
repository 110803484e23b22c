import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlowError } from '../errors.js'
import { PACKAGE_ROOT } from './package.js'

/** The script and the style of a page, ready to stand in it. */
export interface Bundle {
  readonly script: string
  readonly style: string
}

/**
 * What `npm run build:ts` compiles from `viewer/` or `report/`.
 *
 * @throws {FlowError} `ERR_NATIVE` if the package lacks it
 */
export async function readBundle(name: 'viewer' | 'report'): Promise<Bundle> {
  const read = async (file: string) => {
    try {
      return inlined(await readFile(join(PACKAGE_ROOT, 'dist', name, file), 'utf8'))
    } catch (cause) {
      throw new FlowError(
        'ERR_NATIVE',
        `the page's script, dist/${name}/${file} of this package, is missing: install the package again, or run npm run build:ts in a clone`,
        { cause },
      )
    }
  }
  const [script, style] = await Promise.all([read(`${name}.js`), read(`${name}.css`)])
  return { script, style }
}

export interface Page extends Bundle {
  readonly title: string
  /** The program that wrote it, and its version. */
  readonly generator: string
  /** What the page's policy allows as styles and as images, in its own words. */
  readonly styles: string
  readonly images: string
  /** HTML, which the script stands behind. */
  readonly body: string
}

/** The bytes of a page that needs no other file. Its policy allows its own script, by its hash, and nothing from anywhere. */
export function pageOf({ title, generator, script, style, styles, images, body }: Page): Buffer {
  const policy = `default-src 'none'; script-src '${hashOf(script)}'; style-src ${styles}; img-src ${images}; base-uri 'none'; form-action 'none'`
  return Buffer.from(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="${escapeHtml(generator)}">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}<script>${script}</script>
</body>
</html>
`)
}

/** A script or a style inside of its element, which nothing in the text can end. */
function inlined(text: string): string {
  return text.replaceAll(/<\/(script|style)/gi, '<\\/$1').replaceAll('<!--', '<\\!--')
}

/** The hash that a content security policy allows a script or a style by. */
export function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

/** JSON in an element of HTML: no text in it can end the element. */
export function jsonForHtml(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c')
}

/** Text in an element or in an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
