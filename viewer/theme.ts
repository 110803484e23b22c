import { button } from './panel/controls.js'
import { setText } from './dom.js'

type Theme = 'auto' | 'light' | 'dark'

const NEXT: Readonly<Record<Theme, Theme>> = { auto: 'light', light: 'dark', dark: 'auto' }
const SIGNS: Readonly<Record<Theme, string>> = { auto: '◐', light: '☀', dark: '☾' }

/** The switch between light, dark, and what the system prefers. */
export class ThemeSwitch {
  readonly element = button('', '', () => this.next())
  readonly #onChange: () => void
  #theme: Theme = 'auto'

  /** @param onChange called when colours are others, by the switch or by the system */
  constructor(onChange: () => void) {
    this.#onChange = onChange
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange)
    this.#show()
  }

  next(): void {
    this.#theme = NEXT[this.#theme]
    document.documentElement.dataset['theme'] = this.#theme
    this.#show()
    this.#onChange()
  }

  #show(): void {
    setText(this.element, SIGNS[this.#theme])
    const title = `Colours: ${this.#theme === 'auto' ? 'as the system' : this.#theme} (T)`
    this.element.title = title
    this.element.setAttribute('aria-label', title)
  }
}
