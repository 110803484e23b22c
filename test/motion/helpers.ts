import { FlowField } from '../../lib/flow-field.js'

/** A field whose vectors are a function of the pixel. */
export function fieldOf(
  width: number,
  height: number,
  vector: (x: number, y: number) => readonly [number, number],
): FlowField {
  const flow = new FlowField(width, height)
  for (let i = 0; i < width * height; i++) [flow.x[i], flow.y[i]] = vector(i % width, Math.floor(i / width))
  return flow
}

/** Every pixel moves alike. */
export function uniform(width: number, height: number, x: number, y: number): FlowField {
  return fieldOf(width, height, () => [x, y])
}
