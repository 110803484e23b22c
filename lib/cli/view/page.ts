import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlowError } from '../../errors.js'
import { escapeHtml, hashOf, inlined, jsonForHtml } from '../html.js'
import { PACKAGE_ROOT } from '../package.js'
import type { PageData } from './page-data.js'
import type { Parts } from './parts.js'

/** The viewer, as `npm run build:ts` compiles it from `viewer/`. */
const VIEWER = join(PACKAGE_ROOT, 'dist', 'viewer')

/**
 * The bytes of a page that needs no other file. Its policy allows its own script and style, by their hashes, and nothing from anywhere.
 *
 * @throws {FlowError} `ERR_NATIVE` if the package lacks the viewer
 */
export async function writePage(data: PageData, parts: Parts): Promise<Buffer> {
  const [script, style] = await Promise.all([readViewer('viewer.js'), readViewer('viewer.css')])
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    'img-src data: blob:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
  return Buffer.from(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="${escapeHtml(data.generator)}">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(data.title)}</title>
<style>${style}</style>
</head>
<body>
<noscript><p>This page draws optical flow by a script of its own, which is inside of it. Allow scripts to see it.</p></noscript>
<script type="application/json" id="page-data">${jsonForHtml(data)}</script>
${parts.html()}<script>${script}</script>
</body>
</html>
`)
}

async function readViewer(name: string): Promise<string> {
  try {
    return inlined(await readFile(join(VIEWER, name), 'utf8'))
  } catch (cause) {
    throw new FlowError(
      'ERR_NATIVE',
      `the viewer, dist/viewer/${name} of this package, is missing: install the package again, or run npm run build:ts in a clone`,
      { cause },
    )
  }
}
