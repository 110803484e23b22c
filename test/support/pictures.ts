import { expect } from 'vitest'
import {
  type FlowColorOptions,
  type FlowField,
  type FlowModel,
  type FlowOutput,
  flowToColor,
  type Frame,
} from '../../lib/index.js'
import { largestDifference } from './compare.js'

/** Every kind of colour options for a flow. Most lengths are below its longest motion, so that they have an effect. */
export function colorsOf({ x, y }: FlowField): readonly FlowColorOptions[] {
  const longest = x.reduce((max, value, i) => Math.max(max, Math.hypot(value, y[i]!)), 0)
  const [scale, clipMax, clipMin] = [0.5 * longest, 0.6 * longest, 0.4 * longest]
  return [
    {},
    { scale },
    { clipMax },
    { clipMin },
    { scale, clipMax, clipMin },
    { scale: 1e9 },
    { clipMin: Infinity },
  ]
}

/** The difference between a model's pictures and those that `flowToColor` draws of its flows. */
export interface PictureDifference {
  /** The largest difference of a byte, in levels of 255. */
  readonly worst: number
  /** The share of bytes that differ, 0 to 1. */
  readonly share: number
}

/** Compares pictures with every kind of options: at the size of the frame, larger, smaller, and of one pixel. */
export async function pictureDifference(model: FlowModel, a: Frame, b: Frame): Promise<PictureDifference> {
  let [worst, others, bytes] = [0, 0, 0]
  for (const output of ['frame', [150, 203], [7, 5], [1, 1]] satisfies FlowOutput[]) {
    const flow = await model.flow(a, b, { output })
    for (const colors of colorsOf(flow)) {
      const expected = flowToColor(flow, colors)
      const { width, height, data } = await model.flowPicture(a, b, { output, ...colors })
      expect([width, height]).toEqual([expected.width, expected.height])
      worst = Math.max(worst, largestDifference(data, expected.data))
      others += data.filter((value, i) => value !== expected.data[i]).length
      bytes += data.length
    }
  }
  return { worst, share: others / bytes }
}
