import { hashOf, jsonForHtml, pageOf, readBundle } from '../html.js'
import type { PageData } from './page-data.js'
import type { Parts } from './parts.js'

/**
 * The bytes of a page that needs no other file.
 *
 * @throws {FlowError} `ERR_NATIVE` if the package lacks the viewer
 */
export async function writePage(data: PageData, parts: Parts): Promise<Buffer> {
  const bundle = await readBundle('viewer')
  return pageOf({
    ...bundle,
    title: data.title,
    generator: data.generator,
    styles: `'${hashOf(bundle.style)}'`,
    images: 'data: blob:',
    body: `<noscript><p>This page draws optical flow by a script of its own, which is inside of it. Allow scripts to see it.</p></noscript>
<script type="application/json" id="page-data">${jsonForHtml(data)}</script>
${parts.html()}`,
  })
}
