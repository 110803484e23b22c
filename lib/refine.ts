import { FlowError } from './errors.js'
import type { NativeRefinement } from './native/contract.js'
import { inJson, shown } from './support/quote.js'

/**
 * How much work refines a flow. `'fast'` ends at half the output's size, and the flow is doubled from there; `'best'` spends
 * more on every step than `'default'` and sharpens the flow's edges.
 */
export type RefinePreset = 'fast' | 'default' | 'best'

/** How a flow is refined. */
export interface RefineOptions {
  /** Default `'default'`. */
  readonly preset?: RefinePreset | undefined
  /**
   * Factor on the smoothness of the flow, 0.01 to 100. Less follows small parts more closely, more hides the noise of a bad
   * camera. Default 1.
   */
  readonly smoothness?: number | undefined
}

/**
 * Whether and how a flow is refined by the pixels of its frames: patches look for themselves in the other frame, near to where
 * the network found them and where nothing moves, and a variational step fits their motions to a fraction of a pixel. It works
 * at the size of the output. `'off'` returns the network's own flow.
 */
export type Refine = 'off' | RefinePreset | RefineOptions

const PRESETS: readonly unknown[] = ['fast', 'default', 'best'] satisfies RefinePreset[]

/**
 * @returns undefined for `'off'`
 * @throws {FlowError} `ERR_ARGUMENT` if it is not a {@link Refine}
 */
export function checkRefine(refine: Refine): NativeRefinement | undefined {
  if (refine === 'off') return undefined
  if (typeof refine === 'string') return { preset: checkPreset(refine, 'refine', "'off', "), smoothness: 1 }
  if (typeof refine !== 'object' || refine === null)
    throw new FlowError(
      'ERR_ARGUMENT',
      `refine: must be 'off', 'fast', 'default', 'best' or { preset, smoothness }, not ${shown(refine)}`,
    )
  const { preset = 'default', smoothness = 1 } = refine
  if (!(typeof smoothness === 'number' && smoothness >= 0.01 && smoothness <= 100))
    throw new FlowError(
      'ERR_ARGUMENT',
      `refine.smoothness: must be a number from 0.01 to 100, not ${shown(smoothness)}`,
    )
  return { preset: checkPreset(preset, 'refine.preset', ''), smoothness }
}

function checkPreset(preset: RefinePreset, name: string, others: string): RefinePreset {
  if (PRESETS.includes(preset)) return preset
  throw new FlowError(
    'ERR_ARGUMENT',
    `${name}: must be one of ${others}'fast', 'default', 'best', not ${inJson(preset)}`,
  )
}
