import type { PageData } from '../lib/cli/view/page-data.js'
import { h } from './dom.js'
import type { Shortcut } from './keys.js'
import { button } from './panel/controls.js'

/** The help: how to look, and all keys. */
export class Help {
  readonly element: HTMLDialogElement
  readonly #keysOn = h('input', { type: 'checkbox', id: 'keys-on' })

  constructor(data: PageData) {
    this.#keysOn.checked = true
    const close = button('Close', 'Close', () => this.element.close())
    close.setAttribute('autofocus', '')
    this.element = h(
      'dialog',
      { 'aria-labelledby': 'help-title', class: 'help' },
      h('div', { class: 'help-head' }, h('h2', { id: 'help-title' }, 'How to look'), close),
      h(
        'p',
        {},
        'Every pixel of frame 1 has a motion: where it goes in frame 2. x is to the right, y is down, both in pixels; the centre of the first pixel is 0, 0. An angle of 0° is right, 90° down.',
      ),
      h(
        'ul',
        {},
        h(
          'li',
          {},
          h('b', {}, 'Mouse: '),
          'point to read, click to hold, drag to move, wheel to zoom, double-click for the whole picture.',
        ),
        h('li', {}, h('b', {}, 'Finger: '), 'one reads, two move and zoom.'),
        h(
          'li',
          {},
          h('b', {}, 'Warped: '),
          'frame 2, each pixel fetched from where the flow says. It is like frame 1 where the flow is right.',
        ),
      ),
      h('p', { class: 'hint' }, `Vectors are exact to 0.004 px. ${data.generator}.`),
    )
  }

  /** Puts the keys in. */
  list(shortcuts: readonly Shortcut[]): void {
    const rows = shortcuts.map(({ shown, about }) =>
      h(
        'div',
        {},
        h('dt', {}, ...shown.flatMap((key, i) => (i === 0 ? [h('kbd', {}, key)] : [' ', h('kbd', {}, key)]))),
        h('dd', {}, about),
      ),
    )
    this.element.append(
      h('h2', {}, 'Keys'),
      h('dl', { class: 'keys' }, ...rows),
      h(
        'label',
        { class: 'check' },
        this.#keysOn,
        'Keys work everywhere on the page; otherwise only in the picture',
      ),
    )
  }

  keysAreOn(): boolean {
    return this.#keysOn.checked
  }

  open(): void {
    this.element.showModal()
  }
}
