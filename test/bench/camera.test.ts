import { describe, expect, test } from 'vitest'
import { cameraFigures, type Clock, runCamera } from '../../lib/cli/bench/scenarios/camera.js'
import type { CameraTarget } from '../../lib/cli/bench/targets/target.js'

/** A clock of events: time goes on only when all that is to happen before has happened. */
class EventClock implements Clock {
  #now = 0
  readonly #events: { readonly time: number; readonly run: () => void }[] = []

  now(): number {
    return this.#now
  }

  at(time: number, run: () => void): void {
    this.#events.push({ time, run })
    this.#events.sort((a, b) => a.time - b.time)
  }

  until(time: number): Promise<void> {
    return new Promise((resolve) => this.at(Math.max(time, this.#now), resolve))
  }

  /** Stops the world, as a blocked event loop does: what was to happen meanwhile happens afterwards. */
  skipTo(time: number): void {
    this.#now = Math.max(this.#now, time)
  }

  async run(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve)) // all that follows from the last event
      const event = this.#events.shift()
      if (event === undefined) return
      this.skipTo(event.time)
      event.run()
    }
  }
}

/** An engine that takes a known time for each frame, one after another, with a queue of `depth` that drops the oldest. */
function engine(clock: EventClock, service: (index: number) => number, depth = Infinity): CameraTarget {
  const waiting: { readonly index: number; readonly resolve: (result: object | null) => void }[] = []
  let busy = false
  const start = () => {
    const next = waiting.shift()
    busy = next !== undefined
    if (next === undefined) return
    clock.at(clock.now() + service(next.index), () => {
      next.resolve({})
      start()
    })
  }
  return {
    push: (index) =>
      new Promise((resolve) => {
        waiting.push({ index, resolve })
        if (!busy) start()
        if (waiting.length > depth) waiting.shift()!.resolve(null)
      }),
    close: () => {},
  }
}

async function record(clock: EventClock, target: CameraTarget, rate: number, frames: number) {
  const taken = runCamera(target, { rate, frames }, 0, clock)
  await clock.run()
  return taken
}

describe('a camera', () => {
  test('counts a stall for every frame that it holds up, from when the frame was due', async () => {
    const clock = new EventClock()
    // 100 frames a second, 1 ms each, but frame 10 takes 101 ms: the frames behind it wait.
    const frames = await record(
      clock,
      engine(clock, (i) => (i === 10 ? 101 : 1)),
      100,
      40,
    )
    const expected = Array.from({ length: 40 }, (_, i) =>
      i < 10 ? 1 : Math.max(1, 101 - 10 * (i - 10) + (i - 10)),
    )
    expect(frames.map(({ due, done }) => done! - due)).toEqual(expected)
    const { missed, dropped } = cameraFigures([frames], { rate: 100, deadline: 10 })
    expect({ missed, dropped }).toEqual({ missed: expected.filter((ms) => ms > 10).length, dropped: 0 })
    expect(missed).toBe(11)
  })

  test('counts frames that became due while the event loop was blocked, which timing from the push would hide', async () => {
    const clock = new EventClock()
    const target = engine(clock, () => 1)
    const blocking: CameraTarget = {
      ...target,
      push: (index) => {
        if (index === 10) clock.skipTo(clock.now() + 55)
        return target.push(index)
      },
    }
    const frames = await record(clock, blocking, 100, 40)
    const latencies = frames.map(({ due, done }) => done! - due)
    // Frame 10 was due at 100, and the loop went on at 155, when frames 11 to 15 were due already.
    expect(latencies.slice(9, 19)).toEqual([1, 56, 47, 38, 29, 20, 11, 2, 1, 1])
    const figures = cameraFigures([frames], { rate: 100, deadline: 10 })
    expect(figures.missed).toBe(6)
    expect(figures.lateness.max).toBe(45) // frame 11 was due at 110
  })

  test('drops the oldest frames when it is too fast, and tells how old the newest result is', async () => {
    const clock = new EventClock()
    const frames = await record(
      clock,
      engine(clock, () => 25, 1),
      100,
      41,
    )
    const figures = cameraFigures([frames], { rate: 100, deadline: 40 })
    const done = frames.filter((frame) => frame.done !== null)
    expect(figures.dropped).toBe(frames.length - done.length)
    expect(figures.dropped).toBeGreaterThan(20)
    expect(figures.missed).toBeGreaterThanOrEqual(figures.dropped)
    // A result comes each 25 ms, of a frame that waited for less than a period and then took 25 ms.
    expect(figures.age.max).toBeLessThanOrEqual(25 + 10 + 25)
    expect(figures.age.min).toBeGreaterThanOrEqual(25 + 10)
  })

  test('does not count the pause between two stretches as age', async () => {
    const clock = new EventClock()
    const target = engine(clock, () => 1)
    const first = await record(clock, target, 100, 5)
    clock.skipTo(10_000)
    const taken = runCamera(target, { rate: 100, frames: 5 }, 5, clock, 0)
    await clock.run()
    expect(cameraFigures([first, await taken], { rate: 100, deadline: 10 }).age.max).toBe(11)
  })
})
