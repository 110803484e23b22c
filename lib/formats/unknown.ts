import type { FlowField } from '../flow-field.js'

/**
 * A component of this magnitude or more is no motion: files mark unknown flow with 1e9, 1e10 or the largest float, as well as with
 * NaN and infinity. Middlebury's rule is "above 1e9" (flow-code, README.txt).
 */
const UNKNOWN_FROM = 1e9

/** Whether the flow of a pixel is unknown: one component says so. */
export function isUnknown(x: number, y: number): boolean {
  // Written so that NaN, which compares false, counts as unknown.
  return !(Math.abs(x) < UNKNOWN_FROM && Math.abs(y) < UNKNOWN_FROM)
}

/** Replaces both components of every unknown pixel by NaN, whatever its file marks it with. Returns the same field. */
export function markUnknown(flow: FlowField): FlowField {
  const { x, y } = flow
  for (let i = 0; i < x.length; i++) if (isUnknown(x[i]!, y[i]!)) x[i] = y[i] = NaN
  return flow
}
