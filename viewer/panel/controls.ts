import { h, setText } from '../dom.js'

/** A row of buttons of which one is chosen: radio buttons that look like one control. */
export function choice<Value extends string>(
  label: string,
  options: readonly {
    readonly value: Value
    readonly text: string
    readonly enabled: boolean
    readonly title?: string
  }[],
  onChange: (value: Value) => void,
): { readonly element: HTMLElement; readonly show: (value: Value) => void } {
  const name = `choice-${label.toLowerCase().replaceAll(/\W+/g, '-')}`
  const inputs = new Map<Value, HTMLInputElement>()
  const labels = options.map(({ value, text, enabled, title = '' }) => {
    const input = h('input', { type: 'radio', name, value })
    input.disabled = !enabled
    input.addEventListener('change', () => onChange(value))
    inputs.set(value, input)
    return h('label', title === '' ? {} : { title }, input, h('span', {}, text))
  })
  const element = h('div', { class: 'choice', role: 'radiogroup', 'aria-label': label }, ...labels)
  return {
    element,
    show: (value) => {
      inputs.get(value)!.checked = true
    },
  }
}

/** A slider with its value beside it. */
export function slider(
  label: string,
  range: { readonly min: number; readonly max: number; readonly step: number },
  describe: (value: number) => string,
  onInput: (value: number) => void,
): {
  readonly element: HTMLInputElement
  readonly value: HTMLElement
  readonly show: (value: number) => void
} {
  const { min, max, step } = range
  const element = h('input', {
    type: 'range',
    min: String(min),
    max: String(max),
    step: String(step),
    'aria-label': label,
  })
  const value = h('span', { class: 'value', 'aria-hidden': 'true' })
  element.addEventListener('input', () => onInput(element.valueAsNumber))
  return {
    element,
    value,
    show: (shown) => {
      if (element.valueAsNumber !== shown) element.valueAsNumber = shown
      // The part left of the thumb is coloured by it.
      element.style.setProperty('--part', `${(100 * (shown - min)) / (max - min)}%`)
      element.setAttribute('aria-valuetext', describe(shown))
      setText(value, describe(shown))
    },
  }
}

export function button(text: string, title: string, onClick: () => void): HTMLButtonElement {
  const element = h('button', { type: 'button', title, 'aria-label': title }, text)
  element.addEventListener('click', onClick)
  return element
}
