import type { Card } from './cards.mjs'

export type Counts = Readonly<Record<string, number>>
export interface Launch {
  readonly kernel: string
  readonly grid: readonly [number, number, number]
  readonly block: readonly [number, number, number]
  readonly [count: string]: unknown
}
export interface Prediction {
  readonly resources: Readonly<Record<string, number>>
  readonly limiter: string
  readonly us: number
  readonly waste: number
  readonly perfectUs: number
  readonly blocks: number
  readonly busy: number
  readonly residentBlocks: number
  readonly waves: number
}
export function mergeLaunches(lines: readonly object[]): readonly (object & { readonly times: number })[]
export function predictFrame(
  nodes: readonly object[],
  card: Card,
  registers: Readonly<Record<string, number>>,
): {
  readonly launches: readonly (Launch & Prediction)[]
  readonly nodes: number
  readonly dependentNodes: number
  readonly kernelUs: number
  readonly gapUs: number
  readonly savedUs: number
  readonly frameUs: number
  readonly perfectUs: number
}
