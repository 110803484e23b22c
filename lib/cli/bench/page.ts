import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlowError } from '../../errors.js'
import { escapeHtml, hashOf, inlined, jsonForHtml } from '../html.js'
import { PACKAGE_ROOT } from '../package.js'
import type { BenchReport } from './report.js'
import { isText } from './render.js'
import { type Section, TITLES } from './sections.js'

/** The script and the style of the page, as `npm run build:ts` compiles them from `report/`. */
const BUNDLE = join(PACKAGE_ROOT, 'dist', 'report')

/** What the page's script is given. */
export interface PagePlots {
  readonly scenarios: readonly {
    readonly title: string
    readonly results: readonly {
      readonly name: string
      /** Milliseconds. */
      readonly at: readonly number[]
      readonly latency: readonly number[]
    }[]
    /** Milliseconds; null outside of the camera. */
    readonly deadline: number | null
  }[]
}

/**
 * The bytes of a page with tables and plots, which needs no other file. Its policy allows its own script, by its hash, and nothing from
 * anywhere.
 *
 * @throws {FlowError} `ERR_NATIVE` if the package lacks the page's script
 */
export async function writePage(report: BenchReport, sections: readonly Section[]): Promise<Buffer> {
  const [script, style] = await Promise.all([readBundle('report.js'), readBundle('report.css')])
  // The plotting library styles its elements.
  const policy = `default-src 'none'; script-src '${hashOf(script)}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'`
  const plots: PagePlots = {
    scenarios: report.scenarios.map(({ scenario, results, settings }) => ({
      title: TITLES[scenario],
      results: results.map(({ name, samples }) => ({ name, ...samples })),
      deadline: settings.deadline ?? null,
    })),
  }
  return Buffer.from(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="dinov3-flow ${escapeHtml(report.version)}">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${escapeHtml(titleOf(report))}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${escapeHtml(titleOf(report))}</h1>
<div id="plots"><noscript><p>A script inside of this page draws the plots. The tables below need none.</p></noscript></div>
${sections.map(sectionHtml).join('\n')}
</main>
<script type="application/json" id="data">${jsonForHtml(plots)}</script>
<script>${script}</script>
</body>
</html>
`)
}

function titleOf({ machine, date }: BenchReport): string {
  return `dinov3-flow bench, ${machine.gpu?.name ?? machine.cpu}, ${date.slice(0, 10)}`
}

function sectionHtml({ title, rows, notes }: Section): string {
  const [head, ...body] = rows
  const row = (cells: readonly string[]) =>
    `<tr><th scope="row">${escapeHtml(cells[0]!)}</th>${cells
      .slice(1)
      .map((text) => `<td>${escapeHtml(text)}</td>`)
      .join('')}</tr>`
  const columns = head!.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join('')
  const facts = isText(rows)
  return `<section>
<h2>${escapeHtml(title)}</h2>
<div class="scroll" tabindex="0" role="group" aria-label="${escapeHtml(title)}"><table${facts ? ' class="facts"' : ''}>
${facts ? '' : `<thead><tr>${columns}</tr></thead>\n`}<tbody>
${body.map(row).join('\n')}
</tbody></table></div>
${notes.map((note) => `<p>${escapeHtml(note)}</p>`).join('\n')}
</section>`
}

async function readBundle(name: string): Promise<string> {
  try {
    return inlined(await readFile(join(BUNDLE, name), 'utf8'))
  } catch (cause) {
    throw new FlowError(
      'ERR_NATIVE',
      `the page's script, dist/report/${name} of this package, is missing: install the package again, or run npm run build:ts in a clone`,
      { cause },
    )
  }
}
