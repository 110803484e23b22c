type Rgb = readonly [red: number, green: number, blue: number]

/** Colours over 0 to 1. */
export type Ramp = readonly Rgb[]

/** Dark is little, bright is much: five colours of matplotlib's inferno. */
export const ERROR_RAMP: Ramp = [
  [12, 8, 38],
  [87, 16, 110],
  [188, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
]

/** Dark is uncertain, bright is certain: five colours of matplotlib's viridis. */
export const CONFIDENCE_RAMP: Ramp = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
]

/** The colour of what is hidden. */
export const OCCLUSION_COLOR: Rgb = [230, 60, 150]

/** Writes the colour of a value to `out[at]` and the two places behind it. Values beyond 0 to 1 have the colour of their end. */
export function writeRamp(ramp: Ramp, value: number, out: Uint8ClampedArray, at: number): void {
  const place = Math.min(Math.max(value, 0), 1) * (ramp.length - 1)
  const index = Math.min(Math.floor(place), ramp.length - 2)
  const share = place - index
  for (let channel = 0; channel < 3; channel++)
    out[at + channel] = Math.round((1 - share) * ramp[index]![channel]! + share * ramp[index + 1]![channel]!)
}

/** The ramp as a gradient of CSS. */
export function gradientOf(ramp: Ramp): string {
  return `linear-gradient(to right, ${ramp.map((rgb) => `rgb(${rgb.join(' ')})`).join(', ')})`
}
