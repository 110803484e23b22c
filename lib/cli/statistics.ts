import type { FlowField } from '../flow-field.js'

/** Lengths of the motions in a field, in pixels; null if the flow of no pixel is known. */
export interface MotionStatistics {
  readonly mean: number | null
  readonly max: number | null
  /** Pixels whose flow is not finite. */
  readonly unknown: number
}

export function motionStatistics({ x, y }: FlowField): MotionStatistics {
  let sum = 0
  let max = 0
  let known = 0
  for (let i = 0; i < x.length; i++) {
    const length = Math.hypot(x[i]!, y[i]!)
    if (!Number.isFinite(length)) continue
    known += 1
    sum += length
    if (length > max) max = length
  }
  const unknown = x.length - known
  return known === 0 ? { mean: null, max: null, unknown } : { mean: sum / known, max, unknown }
}
