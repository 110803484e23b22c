import type { PageData } from '../lib/cli/view/page-data.js'
import { type LayerId, LAYERS } from './layers/layers.js'
import type { LoadedShot } from './shots.js'

/** Layers over one picture; both pictures beside each other, divided by a line; or both in turn. */
export type Mode = 'layers' | 'wipe' | 'blink'

/** A picture: the first, the second, the second warped back by the flow, or none. */
export type Picture = 'first' | 'second' | 'warped' | 'none'

/** A pixel of the grid. */
export interface Cell {
  readonly column: number
  readonly row: number
}

/** Everything that decides what is seen. */
export interface State {
  readonly mode: Mode
  /** The picture below the layers. */
  readonly base: Picture
  /** What the first picture is compared with. */
  readonly other: 'warped' | 'second'
  readonly shown: Readonly<Record<LayerId, boolean>>
  /** 0 to 1. */
  readonly opacity: Readonly<Record<LayerId, number>>
  /** The length, in pixels, of a motion that gets the full colour. */
  readonly scale: number
  /** Where the line of the wipe is, 0 to 1 of what is seen of the picture. */
  readonly wipe: number
  /** Which of both pictures is seen while they blink. */
  readonly phase: 'first' | 'other'
  /** Whether pictures blink, or flows follow each other, by themselves. */
  readonly playing: boolean
  /** Changes a second of the blinking pictures. */
  readonly rate: number
  /** The pixel that is read. */
  readonly probe: Cell | undefined
  /** Whether the probe stays where it is when the pointer moves. */
  readonly pinned: boolean
  readonly shotIndex: number
  /** The flow that is seen; undefined until the first one is unpacked. */
  readonly shot: LoadedShot | undefined
}

/** Holds the state, and tells those who listen of its changes. */
export class Store {
  #state: State
  readonly #listeners: ((state: State, before: State) => void)[] = []

  constructor(data: PageData) {
    const hasFirst = data.shots.some(({ first }) => first !== undefined)
    const each = <T>(value: (id: LayerId) => T) =>
      Object.fromEntries(LAYERS.map(({ id }) => [id, value(id)])) as Record<LayerId, T>
    this.#state = {
      mode: 'layers',
      base: hasFirst ? 'first' : 'none',
      other: 'warped',
      shown: each((id) => id === 'flow'),
      opacity: each((id) => (id === 'flow' ? (hasFirst ? 0.7 : 1) : id === 'occlusion' ? 0.6 : 0.85)),
      scale: data.scale,
      wipe: 0.5,
      phase: 'first',
      playing: false,
      rate: 1.5,
      probe: undefined,
      pinned: false,
      shotIndex: 0,
      shot: undefined,
    }
  }

  get state(): State {
    return this.#state
  }

  set(change: Partial<State>): void {
    const before = this.#state
    this.#state = { ...before, ...change }
    for (const listener of this.#listeners) listener(this.#state, before)
  }

  /** Calls the listener at once, and after each change. */
  listen(listener: (state: State, before: State) => void): void {
    this.#listeners.push(listener)
    listener(this.#state, this.#state)
  }

  toggle(id: LayerId): void {
    const { shown } = this.#state
    this.set({ mode: 'layers', shown: { ...shown, [id]: !shown[id] } })
  }
}
