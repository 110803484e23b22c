import type { Frame } from '../../frame.js'
import { backgroundOf } from '../../image/background.js'
import { toSharp } from '../../image/rgb-image.js'
import type { Grid } from './page-data.js'
import type { Parts } from './parts.js'

/** WebP cannot be wider or higher. */
const WEBP_SIDE = 16383

/** The quality of the pictures of a sequence. Those of a single flow are kept without loss. */
const QUALITY = 82

/** Frames by their place in a sequence. They are asked for in ascending order. */
export interface Frames {
  /** How many there are; null if only their end will tell. */
  readonly count: number | null
  /** A frame, and what is told about it; undefined behind the last one. */
  at(index: number): Promise<{ readonly frame: Frame; readonly note?: string | undefined } | undefined>
  close(): void
}

/** Puts a frame, resized to the grid, into a page; returns the name of its part. */
export async function packPicture(
  frame: Frame,
  grid: Grid,
  parts: Parts,
  how: 'lossless' | 'lossy',
): Promise<string> {
  const picture = await toSharp(await backgroundOf(frame, { width: grid.columns, height: grid.rows }))
  if (Math.max(grid.columns, grid.rows) > WEBP_SIDE) return parts.add(await picture.png().toBuffer())
  const options = how === 'lossless' ? { lossless: true } : { quality: QUALITY }
  return parts.add(await picture.webp(options).toBuffer())
}
