import { existsSync, readFileSync } from 'node:fs'
import { type DefaultTheme, defineConfig } from 'vitepress'
import { checkSite } from './check-site.js'
import { listCommands } from './commands.js'
import { linkWithinSite } from './site-links.js'
import { slugOf } from './slug.js'

/** The guides by their files, in the order in which they are read. */
const GUIDES: Readonly<Record<string, readonly string[]>> = {
  Begin: ['guide/install', 'guide/first-flow', 'guide/video', 'guide/view'],
  'Cameras and robots': [
    'guide/camera-to-robot',
    'guide/streams',
    'guide/jetson',
    'guide/tensorrt',
    'guide/ros',
  ],
  'Using flow': ['guide/motion', 'guide/formats', 'guide/tensors'],
  Models: ['guide/presets', 'guide/checkpoints', 'guide/onnx', 'model-card'],
  Measured: ['guide/exactness', 'guide/speed'],
  'Coming from': ['guide/from-optical-flow-dinov3', 'guide/from-opencv', 'guide/from-ptlflow'],
  'If something fails': ['guide/errors'],
}

/** The path that the site is served from. */
const BASE = process.env['DOCS_BASE'] ?? '/'

export default defineConfig({
  title: 'dinov3-flow',
  description: 'Dense optical flow for Node.js on DINOv3 features',
  lang: 'en-GB',
  srcExclude: ['node_modules/**'],
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${BASE}icon.svg` }]],
  base: BASE,
  themeConfig: {
    nav: [
      { text: 'Guide', link: '/guide/first-flow', activeMatch: '^/(guide/|model-card)' },
      { text: 'How it works', link: '/how-it-works' },
      { text: 'Reference', link: '/reference/', activeMatch: '^/reference/' },
      { text: 'Command line', link: '/cli/', activeMatch: '^/cli/' },
      { text: 'Figures', link: '/figures/', activeMatch: '^/figures/' },
    ],
    sidebar: {
      '/guide/': guides(),
      '/model-card': guides(),
      '/reference/': [{ text: 'Reference', link: '/reference/', items: reference() }],
      '/cli/': [
        {
          text: 'Command line',
          link: '/cli/',
          items: listCommands().map(({ name }) => ({ text: name, link: `/cli/${name}` })),
        },
      ],
    },
    outline: { level: [2, 3] },
    search: { provider: 'local' },
    externalLinkIcon: true,
    footer: { message: 'Apache-2.0' },
  },
  markdown: {
    anchor: { slugify: slugOf },
    config: (md) => void md.use(linkWithinSite),
  },
  buildEnd: ({ outDir, site }) => checkSite(outDir, site.base),
})

function guides(): DefaultTheme.SidebarItem[] {
  return Object.entries(GUIDES).map(([text, files]) => ({
    text,
    items: files.map((file) => ({ text: titleOf(file), link: `/${file}` })),
  }))
}

function page(file: string): URL {
  return new URL(`../${file}.md`, import.meta.url)
}

/** `title` of the front matter, or the first heading. */
function titleOf(file: string): string {
  const text = readFileSync(page(file), 'utf8')
  const title = /^---\n(?:.*\n)*?title: (.+)\n/.exec(text) ?? /^# (.+)$/m.exec(text)
  if (title === null) throw new Error(`${file}.md has no heading`)
  return title[1]!
}

function reference(): DefaultTheme.SidebarItem[] {
  const made = new URL('../reference/typedoc-sidebar.json', import.meta.url)
  if (!existsSync(made)) throw new Error('docs/reference is missing: npm run reference makes it')
  return JSON.parse(readFileSync(made, 'utf8')) as DefaultTheme.SidebarItem[]
}
