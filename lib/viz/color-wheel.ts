// The colour wheel of Baker et al., "A Database and Evaluation Methodology for Optical Flow" (IJCV 2011), section 4.2. Hues
// that the eye tells apart well get more of the wheel, so that equal angles look equally different.

/** @inline */
type Rgb = readonly [number, number, number]

const RED: Rgb = [255, 0, 0]
const YELLOW: Rgb = [255, 255, 0]
const GREEN: Rgb = [0, 255, 0]
const CYAN: Rgb = [0, 255, 255]
const BLUE: Rgb = [0, 0, 255]
const MAGENTA: Rgb = [255, 0, 255]

/** Sectors of the wheel: from one hue to the next, and the number of colours between them. */
const SECTORS: readonly (readonly [Rgb, Rgb, number])[] = [
  [RED, YELLOW, 15],
  [YELLOW, GREEN, 6],
  [GREEN, CYAN, 4],
  [CYAN, BLUE, 11],
  [BLUE, MAGENTA, 13],
  [MAGENTA, RED, 6],
]

/** The 55 colours of the wheel, 0 to 255, from red at angle 0 (motion to the right) on towards yellow (downwards). */
export const COLOR_WHEEL: readonly Rgb[] = SECTORS.flatMap(([from, to, count]) =>
  Array.from({ length: count }, (_, i) => blend(from, to, i / count)),
)

/** Factor that darkens the colour of a motion longer than 1. */
const BEYOND = 0.75

/**
 * Writes the colour of one motion to `out[at]`, `out[at + 1]`, `out[at + 2]`: its direction is the hue, its length the
 * saturation, from white at 0 to the full colour at 1; beyond 1 the colour is darkened.
 *
 * @param x to the right, @param y downwards, in units of the longest motion; finite.
 */
export function writeColor(x: number, y: number, out: Uint8Array, at: number): void {
  const radius = Math.hypot(x, y)
  // The range -1 to 1 is spread over the 54 gaps between 55 colours. The gap from the last colour to the first has no width.
  const turn = Math.atan2(-y, -x) / Math.PI
  const place = ((turn + 1) / 2) * (COLOR_WHEEL.length - 1)
  const index = Math.floor(place)
  const share = place - index
  const from = COLOR_WHEEL[index]!
  const to = COLOR_WHEEL[(index + 1) % COLOR_WHEEL.length]!
  for (let channel = 0; channel < 3; channel++) {
    const full = ((1 - share) * from[channel]! + share * to[channel]!) / 255
    const color = radius <= 1 ? 1 - radius * (1 - full) : BEYOND * full
    out[at + channel] = Math.floor(255 * color)
  }
}

/** Rounded towards `from`, as the reference implementation rounds. */
function blend(from: Rgb, to: Rgb, share: number): Rgb {
  const mix = (a: number, b: number): number => a + Math.sign(b - a) * Math.floor(Math.abs(b - a) * share)
  return [mix(from[0], to[0]), mix(from[1], to[1]), mix(from[2], to[2])]
}
