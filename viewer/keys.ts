import type { PageData } from '../lib/cli/view/page-data.js'
import { LAYERS } from './layers/layers.js'
import { swapPictures } from './panel/compare.js'
import type { Readout } from './panel/readout.js'
import type { Stage } from './stage/stage.js'
import type { Mode, Store } from './state.js'

/** What a key does. */
export interface Shortcut {
  /** The values of `KeyboardEvent.key`, in lower case. */
  readonly keys: readonly string[]
  /** How the help calls them. */
  readonly shown: readonly string[]
  readonly about: string
  readonly run: (event: KeyboardEvent) => void
}

/** What keys need besides the state. */
export interface KeyTargets {
  readonly data: PageData
  readonly store: Store
  readonly stage: Stage
  readonly readout: Readout
  readonly goTo: (shot: number) => Promise<void>
  readonly nextTheme: () => void
  readonly openHelp: () => void
}

const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  arrowleft: [-1, 0],
  arrowright: [1, 0],
  arrowup: [0, -1],
  arrowdown: [0, 1],
}

/** All keys of the page, in the order of the help. */
export function shortcutsOf(targets: KeyTargets): readonly Shortcut[] {
  const { data, store, stage, goTo } = targets
  const { camera } = stage
  const hasBoth = data.shots.some(({ first, second }) => first !== undefined && second !== undefined)
  const zoom = (factor: number) => () => {
    const { probe, pinned } = store.state
    camera.zoom(factor, probe && pinned ? camera.centerOf(probe.column, probe.row) : undefined)
    stage.redraw()
  }
  const mode = (chosen: Mode) => () => store.set({ mode: chosen })
  const wipe = (by: number) => () =>
    store.set({ mode: 'wipe', wipe: Math.min(Math.max(store.state.wipe + by, 0), 1) })
  const compare: readonly Shortcut[] = [
    { keys: ['w'], shown: ['W'], about: 'wipe: frame 1 and frame 2 side by side', run: mode('wipe') },
    {
      keys: ['[', ']'],
      shown: ['[', ']'],
      about: 'move the line of the wipe',
      run: ({ key }) => wipe(key === '[' ? -0.02 : 0.02)(),
    },
    {
      keys: ['b'],
      shown: ['B'],
      about: 'blink: frame 1 and frame 2 in turn',
      run: mode('blink'),
    },
    { keys: ['x'], shown: ['X'], about: 'blink: show the other picture', run: () => swapPictures(store) },
    { keys: ['l'], shown: ['L'], about: 'layers', run: mode('layers') },
  ]
  const sequence: readonly Shortcut[] = [
    {
      keys: [',', '.', 'pageup', 'pagedown'],
      shown: [',', '.'],
      about: 'flow before, next flow',
      run: ({ key }) => void goTo(store.state.shotIndex + ([',', 'PageUp'].includes(key) ? -1 : 1)),
    },
    {
      keys: ['home', 'end'],
      shown: ['Home', 'End'],
      about: 'first flow, last flow',
      run: ({ key }) => void goTo(key === 'Home' ? 0 : data.shots.length - 1),
    },
  ]
  return [
    {
      keys: Object.keys(MOVES),
      shown: ['←', '↑', '→', '↓'],
      about: 'move the crosshair; Shift: by ten',
      run: (event) => moveProbe(targets, event),
    },
    {
      keys: ['enter'],
      shown: ['Enter'],
      about: 'hold the crosshair, or let it go',
      run: () => store.set({ pinned: !store.state.pinned && store.state.probe !== undefined }),
    },
    {
      keys: ['escape'],
      shown: ['Esc'],
      about: 'let the crosshair go',
      run: () => store.set({ pinned: false, probe: undefined }),
    },
    {
      keys: ['+', '=', '-', '_'],
      shown: ['+', '-'],
      about: 'zoom in or out',
      run: ({ key }) => zoom('+='.includes(key) ? 1.5 : 1 / 1.5)(),
    },
    {
      keys: ['0'],
      shown: ['0'],
      about: 'the whole picture',
      run: () => {
        camera.fit()
        stage.redraw()
      },
    },
    {
      keys: ['1'],
      shown: ['1'],
      about: 'a pixel per pixel of the screen',
      run: () => zoom(data.grid.step / devicePixelRatio / camera.scale)(),
    },
    ...LAYERS.filter((layer) => layer.isIn(data)).map(({ id, name, key }) => ({
      keys: [key],
      shown: [key.toUpperCase()],
      about: `show or hide: ${name.toLowerCase()}`,
      run: () => store.toggle(id),
    })),
    ...(hasBoth ? compare : []),
    ...(data.shots.length > 1 ? sequence : []),
    ...(hasBoth || data.shots.length > 1
      ? [
          {
            keys: [' '],
            shown: ['Space'],
            about: data.shots.length > 1 ? 'play or pause' : 'blink by itself, or pause',
            run: () => play(targets),
          },
        ]
      : []),
    { keys: ['t'], shown: ['T'], about: 'light, dark, or as the system', run: targets.nextTheme },
    { keys: ['?', 'h'], shown: ['?'], about: 'this help', run: targets.openHelp },
  ]
}

/** Listens for keys anywhere on the page, except where a control needs them itself. */
export function listenForKeys(shortcuts: readonly Shortcut[], areOn: () => boolean): void {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    if (document.querySelector('dialog[open]') !== null) return
    const key = event.key.toLowerCase()
    const { target } = event
    const inStage = target instanceof Element && target.closest('#stage') !== null
    if (!inStage && !areOn() && key !== '?') return
    if (needsKey(target, key)) return
    const shortcut = shortcuts.find(({ keys }) => keys.includes(key))
    if (shortcut === undefined) return
    event.preventDefault()
    shortcut.run(event)
  })
}

/** Whether the focused control does something itself with a key. */
function needsKey(target: EventTarget | null, key: string): boolean {
  if (target instanceof HTMLButtonElement) return key === ' ' || key === 'enter'
  if (!(target instanceof HTMLInputElement)) return false
  if (target.type === 'checkbox') return key === ' '
  return key === ' ' || key in MOVES || ['home', 'end', 'pageup', 'pagedown'].includes(key)
}

function moveProbe({ data, store, stage, readout }: KeyTargets, event: KeyboardEvent): void {
  const { columns, rows } = data.grid
  const [dx, dy] = MOVES[event.key.toLowerCase()]!
  const by = event.shiftKey ? 10 : 1
  const start = store.state.probe ?? { column: (columns >> 1) - by * dx, row: (rows >> 1) - by * dy }
  const probe = {
    column: Math.min(Math.max(start.column + by * dx, 0), columns - 1),
    row: Math.min(Math.max(start.row + by * dy, 0), rows - 1),
  }
  store.set({ probe, pinned: true })
  stage.camera.reveal(probe)
  readout.announce()
}

function play({ data, store }: KeyTargets): void {
  const { mode, playing } = store.state
  const blinks = mode === 'blink' || data.shots.length === 1
  store.set(blinks ? { mode: 'blink', playing: mode !== 'blink' || !playing } : { playing: !playing })
}
