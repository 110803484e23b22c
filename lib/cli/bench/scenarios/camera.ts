import { setTimeout as sleep } from 'node:timers/promises'
import { distribution, type Distribution } from '../statistics/summary.js'
import type { CameraTarget } from '../targets/target.js'
import type { Parts } from './sample.js'

/** The camera: so many frames at a fixed rate. */
export interface CameraSchedule {
  /** Frames per second. */
  readonly rate: number
  readonly frames: number
  /** A result is late if it comes this many milliseconds after its frame was due. */
  readonly deadline: number
}

/** One frame of the camera. Times are milliseconds from the start of the scenario. */
export interface CameraFrame {
  /** When the camera had it, by its schedule. */
  readonly due: number
  /** When it was pushed: later than due if the event loop was busy. */
  readonly pushed: number
  /** When its result was there; null if it was dropped. */
  readonly done: number | null
  readonly parts?: Parts | undefined
}

/** Figures of a camera. Latencies count from when a frame was due, so a stall counts for each frame that it keeps waiting. */
export interface CameraFigures {
  readonly rate: number
  readonly deadline: number
  readonly frames: number
  /** Frames without a result, because a newer one took their place. */
  readonly dropped: number
  /** Frames whose result came after the deadline, and dropped ones. */
  readonly missed: number
  /** From when a frame was pushed: what a benchmark with coordinated omission would have told. */
  readonly fromPush: Distribution
  /** How old the newest result is just before the next one comes, counted from when its frame was due. */
  readonly age: Distribution
  /** From when a frame was due until it was pushed. */
  readonly lateness: Distribution
}

/** The time, and a way to wait. Tests have their own. */
export interface Clock {
  /** Milliseconds. */
  now(): number
  until(time: number): Promise<void>
}

/** Timers come up to so many milliseconds too late, so the rest is waited turn by turn of the event loop. */
const COARSE = 1.5

const CLOCK: Clock = {
  now: () => performance.now(),
  async until(time) {
    const wait = time - performance.now()
    if (wait > COARSE) await sleep(wait - COARSE)
    // At least one turn, so that results arrive even if the camera is late.
    do await new Promise((resolve) => setImmediate(resolve))
    while (performance.now() < time)
  },
}

/**
 * Pushes frames by the schedule, whether or not the results of earlier ones are there.
 *
 * @param first number of the first frame
 * @param start the time that frames count from
 * @param stop ends it after the frame that is pushed then
 */
export async function runCamera(
  camera: CameraTarget,
  { rate, frames }: Pick<CameraSchedule, 'rate' | 'frames'>,
  first = 0,
  clock: Clock = CLOCK,
  start = clock.now(),
  onFrame: (frames: number) => void = () => {},
  stop?: AbortSignal,
): Promise<CameraFrame[]> {
  const period = 1000 / rate
  const begin = clock.now()
  const results: Promise<CameraFrame>[] = []
  for (let i = 0; i < frames && (i === 0 || stop?.aborted !== true); i++) {
    const due = begin + i * period
    await clock.until(due)
    const pushed = clock.now()
    results.push(
      camera.push(first + i).then((outcome) => ({
        due: due - start,
        pushed: pushed - start,
        done: outcome === null ? null : clock.now() - start,
        parts: outcome?.parts,
      })),
    )
    onFrame(i + 1)
  }
  return Promise.all(results)
}

/** @param stretches frames without a pause of the camera inside of one; each has a result */
export function cameraFigures(
  stretches: readonly (readonly CameraFrame[])[],
  { rate, deadline }: Pick<CameraSchedule, 'rate' | 'deadline'>,
): CameraFigures {
  const frames = stretches.flat()
  const finished = stretches.map((stretch) => stretch.filter(hasResult))
  const ages = finished.flatMap((stretch) => stretch.slice(1).map(({ done }, i) => done - stretch[i]!.due))
  const all = finished.flat()
  const dropped = frames.length - all.length
  return {
    rate,
    deadline,
    frames: frames.length,
    dropped,
    missed: dropped + all.filter(({ due, done }) => done - due > deadline).length,
    fromPush: distribution(all.map(({ pushed, done }) => done - pushed)),
    age: distribution(ages.length === 0 ? all.map(({ due, done }) => done - due) : ages),
    lateness: distribution(frames.map(({ due, pushed }) => pushed - due)),
  }
}

/** Whether a frame was not dropped. */
export function hasResult(frame: CameraFrame): frame is CameraFrame & { readonly done: number } {
  return frame.done !== null
}
