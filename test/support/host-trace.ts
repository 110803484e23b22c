import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import type { FlowModel, FrameBuffer } from '../../lib/index.js'
import { type RgbFrame, withFolder } from './fixtures.js'

/** An event of memory, as the trace of the emulator (EMULATOR_TRACE) records it. */
export interface HostEvent {
  readonly what: string
  readonly address: string
  readonly bytes: number
}

/** The result of a call, and what the emulated driver did meanwhile. */
export interface Traced<T> {
  readonly result: T
  readonly events: readonly HostEvent[]
  /** Allocations and releases of the device's memory. */
  readonly onDevice: readonly HostEvent[]
  /** Graphs that were recorded. */
  readonly captures: number
  /** Graphs that were launched. */
  readonly replays: number
  /** How the threads of the host waited, in order: `spin` or `block`, or `default` as the context says. */
  readonly waits: readonly string[]
}

/** Runs a call, which may ask for all events so far. */
export async function traced<T>(
  call: (soFar: () => readonly HostEvent[]) => T | Promise<T>,
): Promise<Traced<T>> {
  let result: T
  let all: readonly HostEvent[] = []
  await withFolder(async (folder) => {
    const path = join(folder, 'trace')
    vi.stubEnv('EMULATOR_TRACE', path)
    result = await call(() => readEvents(path))
    vi.stubEnv('EMULATOR_TRACE', '')
    all = readEvents(path)
  })
  const count = (what: string) => all.filter((event) => event.what === what).length
  const [captures, replays] = [count('capture'), count('replay')]
  const isOnDevice = ({ what }: HostEvent) => what.startsWith('device-')
  const isWait = ({ what }: HostEvent) => what.startsWith('wait-')
  const isOther = (event: HostEvent) =>
    ['capture', 'replay', 'replayed'].includes(event.what) || isOnDevice(event) || isWait(event)
  const events = all.filter((event) => !isOther(event))
  const waits = all.filter(isWait).map(({ what }) => what.slice('wait-'.length))
  return { result: result!, events, onDevice: all.filter(isOnDevice), captures, replays, waits }
}

function readEvents(path: string): HostEvent[] {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
  return lines.map((line) => {
    const [what = '', address = '', bytes] = line.split(' ')
    return { what, address, bytes: Number(bytes) }
  })
}

/** Holds all calls of one function of the driver, until the returned function is called. */
export type Hold = (name: string) => () => void

/** Runs a test that decides when calls of the driver go on, so that it does not depend on which thread is faster. */
export async function holding(use: (hold: Hold) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    vi.stubEnv('EMULATOR_HOLD', folder)
    await use((name) => {
      writeFileSync(join(folder, name), '')
      return () => rmSync(join(folder, name))
    })
  })
}

/** Waits for a state of the trace without returning to the event loop. */
export function waitUntil(reached: () => boolean, what: string): void {
  const deadline = performance.now() + 10_000
  while (!reached()) if (performance.now() > deadline) throw new Error(`${what}: not after 10 s`)
}

/** Runs `make`, which must allocate host memory once. Returns its result and the address of the memory. */
export async function made<T>(make: () => T): Promise<readonly [T, string]> {
  const { result, events } = await traced(make)
  expect(events).toMatchObject([{ what: 'alloc' }])
  return [result, events[0]!.address] as const
}

/** Copies a frame to memory that the model allocated. Returns the copy and its address. */
export async function madeCopy(model: FlowModel, frame: RgbFrame): Promise<readonly [FrameBuffer, string]> {
  const [copy, address] = await made(() => model.createFrame(frame))
  copy.data.set(frame.data)
  return [copy, address]
}
