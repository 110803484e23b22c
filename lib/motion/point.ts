/** A place in a frame, or a vector between two places, in pixels: x to the right, y down. Pixel centres are at integers. */
export interface Point {
  x: number
  y: number
}

/** Whether a place lies in a frame, whose pixels reach half a pixel beyond their centres. NaN does not. */
export function isInside(x: number, y: number, width: number, height: number): boolean {
  return x >= -0.5 && x < width - 0.5 && y >= -0.5 && y < height - 0.5
}
