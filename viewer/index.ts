import './style.css'
import { h } from './dom.js'
import { Help } from './help.js'
import { listenForKeys, shortcutsOf } from './keys.js'
import { comparePanel, startBlinking } from './panel/compare.js'
import { button, choice } from './panel/controls.js'
import { layersPanel } from './panel/layers.js'
import { legendPanel, notesPanel, shotLabel } from './panel/legend.js'
import { Readout } from './panel/readout.js'
import { readPageData } from './parts.js'
import { Shots, unpackCompanions } from './shots.js'
import { Stage } from './stage/stage.js'
import { type Mode, Store } from './state.js'
import { ThemeSwitch } from './theme.js'
import { timelinePanel } from './timeline.js'

const data = readPageData()
const store = new Store(data)
const shots = new Shots(data)
const stage = new Stage(data, store, 'readings')
const readout = new Readout(data, store, 'readings')
const help = new Help(data)
const theme = new ThemeSwitch(() => store.set({}))

/** Shows another flow. If one is asked for before the last one is unpacked, the latest wins. */
let wanted = 0
async function goTo(index: number): Promise<void> {
  const last = data.shots.length - 1
  wanted = Math.min(Math.max(index, 0), last)
  const mine = wanted
  const shot = await shots.load(mine)
  if (mine !== wanted) return
  store.set({ shot, shotIndex: mine })
  // Not before the flow is seen.
  requestAnimationFrame(() => unpackCompanions(shot))
  // The next one is unpacked while this one is looked at.
  if (mine < last) void shots.load(mine + 1)
}

function zoomBy(factor: number): void {
  stage.camera.zoom(factor)
  stage.redraw()
}

const hasBoth = data.shots.some(({ first, second }) => first !== undefined && second !== undefined)
const needsBoth = hasBoth ? {} : { title: 'Needs both pictures: dinov3-flow view FLOW A B' }
const modes = choice<Mode>(
  'What is shown',
  [
    { value: 'layers', text: 'Layers', enabled: true },
    { value: 'wipe', text: 'Wipe', enabled: hasBoth, ...needsBoth },
    { value: 'blink', text: 'Blink', enabled: hasBoth, ...needsBoth },
  ],
  // Pictures do not begin to move by themselves.
  (mode) => store.set({ mode, playing: false }),
)
store.listen(({ mode }) => modes.show(mode))

const shortcuts = shortcutsOf({
  data,
  store,
  stage,
  readout,
  goTo,
  nextTheme: () => theme.next(),
  openHelp: () => help.open(),
})
help.list(shortcuts)
listenForKeys(shortcuts, () => help.keysAreOn())
startBlinking(store)

const title = h('h1', {}, data.title)
const label = shotLabel(store)
label.hidden = data.shots.length === 1
const timeline = timelinePanel(data, store, goTo)
document.body.append(
  h(
    'header',
    {},
    h('div', { class: 'names' }, title, label),
    modes.element,
    h(
      'div',
      { class: 'buttons' },
      theme.element,
      button('?', 'Help (?)', () => help.open()),
    ),
  ),
  h(
    'main',
    {},
    h(
      'div',
      { class: 'view' },
      stage.element,
      h(
        'div',
        { class: 'buttons zoom', role: 'group', 'aria-label': 'Zoom' },
        stage.zoomText,
        button('−', 'Zoom out (-)', () => zoomBy(1 / 1.5)),
        button('⤢', 'Whole picture (0)', () => {
          stage.camera.fit()
          stage.redraw()
        }),
        button('+', 'Zoom in (+)', () => zoomBy(1.5)),
      ),
    ),
    h(
      'aside',
      { 'aria-label': 'Figures and layers' },
      readout.element,
      layersPanel(data, store, stage.arrowText),
      ...(hasBoth ? [comparePanel(store)] : []),
      legendPanel(data, store),
      notesPanel(data.notes),
    ),
  ),
  ...(timeline === undefined ? [] : [timeline]),
  help.element,
)
goTo(0).catch((cause: unknown) => {
  const why =
    'DecompressionStream' in window
      ? `The file is damaged (${String(cause)}). Write it again.`
      : 'This browser is too old: Chrome 103, Firefox 113 and Safari 16.4 can, and later ones.'
  stage.element.after(h('p', { class: 'alert', role: 'alert' }, `The flow cannot be shown. ${why}`))
})
