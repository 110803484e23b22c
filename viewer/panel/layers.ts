import type { PageData } from '../../lib/cli/view/page-data.js'
import { h } from '../dom.js'
import { LAYERS } from '../layers/layers.js'
import type { Picture, Store } from '../state.js'
import { choice, slider } from './controls.js'
import { layerLegend } from './legend.js'

/**
 * The picture below, and a checkbox, a slider and a legend for each layer.
 *
 * @param arrowLegend says how long arrows are
 */
export function layersPanel(data: PageData, store: Store, arrowLegend: HTMLElement): HTMLElement {
  const has = (name: 'first' | 'second') => data.shots.some((shot) => shot[name] !== undefined)
  const base = choice<Picture>(
    'Picture below the layers',
    [
      { value: 'first', text: 'Frame 1', enabled: has('first') },
      { value: 'second', text: 'Frame 2', enabled: has('second') },
      {
        value: 'warped',
        text: 'Warped',
        enabled: has('second'),
        title: 'Frame 2 warped back by the flow: like frame 1 where the flow is right',
      },
      { value: 'none', text: 'None', enabled: true },
    ],
    (picture) => store.set({ base: picture }),
  )
  const rows = LAYERS.filter((layer) => layer.isIn(data)).map((layer) => {
    const shown = h('input', { type: 'checkbox', id: `layer-${layer.id}` })
    shown.addEventListener('change', () => store.toggle(layer.id))
    const opacity = slider(
      `Opacity of ${layer.name.toLowerCase()}`,
      { min: 0, max: 100, step: 1 },
      (value) => `${value} %`,
      (value) => {
        const { state } = store
        store.set({
          opacity: { ...state.opacity, [layer.id]: value / 100 },
          shown: { ...state.shown, [layer.id]: true },
        })
      },
    )
    const legend = layer.id === 'arrows' ? arrowLegend : layerLegend(layer.id, data)
    const show = (): void => {
      if (legend !== undefined) legend.hidden = !store.state.shown[layer.id]
      shown.checked = store.state.shown[layer.id]
      opacity.show(Math.round(100 * store.state.opacity[layer.id]))
    }
    const label = h('label', { for: `layer-${layer.id}`, title: layer.about }, shown, layer.name)
    const line = h('div', { class: 'layer' }, label, opacity.element, opacity.value)
    return { show, elements: legend === undefined ? [line] : [line, legend] }
  })
  const element = h(
    'section',
    { 'aria-label': 'Layers' },
    h('h2', {}, 'Picture'),
    base.element,
    h('h2', {}, 'Layers'),
    ...rows.flatMap((row) => row.elements),
  )
  store.listen((state) => {
    element.hidden = state.mode !== 'layers'
    base.show(state.base)
    for (const row of rows) row.show()
  })
  return element
}
