import type { OutputSize } from '../../size.js'
import type { Grid } from './page-data.js'

/** The most pixels of flow in a page, over all its flows: about 30 MB of a file, and what a browser shows at ease. */
export const MOST_PIXELS = 2 ** 24

/** A sequence keeps so many pixels along the longer side before frames are left out. */
const LONGER_SIDE = 320

/** What of a sequence goes into a page. */
export interface Thinning {
  readonly grid: Grid
  /** 1 if every flow is taken, 2 for every second one, and so on. */
  readonly every: number
}

/**
 * Fits a number of flows into a page: of each it takes every 2nd, 3rd ... pixel of every 2nd, 3rd ... row, down to
 * {@link LONGER_SIDE}; and then every 2nd, 3rd ... flow.
 */
export function thin(size: OutputSize, count: number): Thinning {
  let grid = gridOf(size, 1)
  for (let step = 2; grid.columns * grid.rows * count > MOST_PIXELS; step++) {
    const coarser = gridOf(size, step)
    const fits = count > 1 && Math.max(coarser.columns, coarser.rows) < LONGER_SIDE
    if (fits) break
    grid = coarser
  }
  return { grid, every: Math.ceil((grid.columns * grid.rows * count) / MOST_PIXELS) }
}

/** Every `step`-th pixel, the first one in the middle of its square, as far as the field has one. */
function gridOf({ width, height }: OutputSize, step: number): Grid {
  const offset = Math.min((step - 1) >> 1, width - 1, height - 1)
  return {
    columns: Math.ceil((width - offset) / step),
    rows: Math.ceil((height - offset) / step),
    step,
    offset,
  }
}
