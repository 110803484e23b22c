/** A grid of patches of one size. */
export interface FixedGrid {
  readonly height: number
  readonly width: number
}

/** The grid of patches: of one size, or of any. */
export type GraphGrid = FixedGrid | 'dynamic'
