import { escapeHtml, jsonForHtml, pageOf, readBundle } from '../html.js'
import type { BenchReport } from './report.js'
import { isText } from './render.js'
import { type Section, TITLES } from './sections.js'

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
 * The bytes of a page with tables and plots, which needs no other file.
 *
 * @throws {FlowError} `ERR_NATIVE` if the package lacks the page's script
 */
export async function writePage(report: BenchReport, sections: readonly Section[]): Promise<Buffer> {
  const plots: PagePlots = {
    scenarios: report.scenarios.map(({ scenario, results, settings }) => ({
      title: TITLES[scenario],
      results: results.map(({ name, samples }) => ({ name, ...samples })),
      deadline: settings.deadline ?? null,
    })),
  }
  return pageOf({
    ...(await readBundle('report')),
    title: titleOf(report),
    generator: `dinov3-flow ${report.version}`,
    styles: "'unsafe-inline'", // the plotting library styles its elements
    images: 'data:',
    body: `<main>
<h1>${escapeHtml(titleOf(report))}</h1>
<div id="plots"><noscript><p>A script inside of this page draws the plots. The tables below need none.</p></noscript></div>
${sections.map(sectionHtml).join('\n')}
</main>
<script type="application/json" id="data">${jsonForHtml(plots)}</script>
`,
  })
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
