import { h, setText } from '../dom.js'
import type { State, Store } from '../state.js'
import { button, choice, slider } from './controls.js'

/** What frame 1 is compared with, and how: the place of the wipe's line, or how fast pictures blink. */
export function comparePanel(store: Store): HTMLElement {
  const other = choice<State['other']>(
    'Frame 1 is compared with',
    [
      { value: 'warped', text: 'Frame 2 warped back', enabled: true, title: 'What does not move is right' },
      { value: 'second', text: 'Frame 2', enabled: true },
    ],
    (value) => store.set({ other: value }),
  )
  const wipe = slider(
    'Place of the dividing line',
    { min: 0, max: 100, step: 0.5 },
    (value) => `${Math.round(value)} %`,
    (value) => store.set({ wipe: value / 100 }),
  )
  // At most three changes a second: more of them may harm people (WCAG 2.2, 2.3.1).
  const rate = slider(
    'Changes a second',
    { min: 0.5, max: 3, step: 0.25 },
    (value) => `${value} / s`,
    (value) => store.set({ rate: value }),
  )
  const swap = button('Swap', 'Show the other picture (space)', () => swapPictures(store))
  const play = button('', '', () => store.set({ playing: !store.state.playing }))
  const seen = h('p', { class: 'hint', 'aria-live': 'polite' })
  const wiping = h('div', { class: 'layer' }, h('span', {}, 'Line'), wipe.element, wipe.value)
  const blinking = h(
    'div',
    {},
    h('div', { class: 'layer' }, h('span', {}, 'Speed'), rate.element, rate.value),
    h('div', { class: 'buttons' }, play, swap),
  )
  const element = h(
    'section',
    { 'aria-label': 'Compare', class: 'compare' },
    h('h2', {}, 'Frame 1 against'),
    other.element,
    wiping,
    blinking,
    seen,
  )
  store.listen((state) => {
    element.hidden = state.mode === 'layers'
    wiping.hidden = state.mode !== 'wipe'
    blinking.hidden = state.mode !== 'blink'
    other.show(state.other)
    wipe.show(Math.round(200 * state.wipe) / 2)
    rate.show(state.rate)
    const playing = state.mode === 'blink' && state.playing
    setText(play, playing ? 'Pause' : 'Blink')
    play.setAttribute('aria-label', playing ? 'Pause the blinking' : 'Blink by itself')
    play.title = play.getAttribute('aria-label')!
    // Not told while it blinks by itself: a reader of screens would not stop.
    setText(seen, state.mode === 'wipe' ? wipeHint(state) : playing ? '' : blinkHint(state))
  })
  return element
}

/** Shows the other picture of two that blink, and stops the blinking. */
export function swapPictures(store: Store): void {
  store.set({ mode: 'blink', playing: false, phase: store.state.phase === 'first' ? 'other' : 'first' })
}

function nameOf(other: State['other']): string {
  return other === 'warped' ? 'frame 2 warped back' : 'frame 2'
}

function wipeHint({ other }: State): string {
  return `Left frame 1, right ${nameOf(other)}. Drag the line.`
}

function blinkHint({ phase, other }: State): string {
  return `Seen: ${phase === 'first' ? 'frame 1' : nameOf(other)}.`
}

/** Lets pictures blink while the state says so. */
export function startBlinking(store: Store): void {
  let timer: ReturnType<typeof setInterval> | undefined
  store.listen((state, before) => {
    const blinks = state.mode === 'blink' && state.playing
    const did = before.mode === 'blink' && before.playing
    if (blinks && did && timer !== undefined && state.rate === before.rate) return
    clearInterval(timer)
    timer = undefined
    if (!blinks) return
    timer = setInterval(
      () => store.set({ phase: store.state.phase === 'first' ? 'other' : 'first' }),
      1000 / state.rate,
    )
  })
}
