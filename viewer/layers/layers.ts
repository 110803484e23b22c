import type { Grid, PageData } from '../../lib/cli/view/page-data.js'
import { writeColor } from '../../lib/viz/color-wheel.js'
import { endPointError, thereAndBack } from '../measure.js'
import type { LoadedShot } from '../shots.js'
import { CONFIDENCE_RAMP, ERROR_RAMP, OCCLUSION_COLOR, type Ramp, writeRamp } from './ramps.js'

export type LayerId = 'flow' | 'arrows' | 'error' | 'loop' | 'confidence' | 'occlusion'

/** The length, in pixels, at the end of the ramp of "there and back". */
export const LOOP_SCALE = 3

/** Something that is drawn over a picture, in the order of drawing. */
export interface Layer {
  readonly id: LayerId
  readonly name: string
  /** The key that shows and hides it. */
  readonly key: string
  /** What it shows, in a sentence for its tooltip. */
  readonly about: string
  /** Whether any flow of the page has it. */
  readonly isIn: (data: PageData) => boolean
  /** Its pixels on the grid; none for arrows, which are drawn at the size of the screen. */
  readonly paint: ((shot: LoadedShot, data: PageData, scale: number) => ImageData) | undefined
}

export const LAYERS: readonly Layer[] = [
  {
    id: 'flow',
    name: 'Flow',
    key: 'f',
    about: 'Hue is the direction, saturation the length. Transparent where it is unknown.',
    isIn: () => true,
    paint: ({ flow }, { grid }, scale) => {
      const rgb = new Uint8Array(3)
      return paint(grid, (i, out) => {
        const x = flow.x[i]! / scale
        const y = flow.y[i]! / scale
        if (Number.isNaN(x)) return
        writeColor(x, y, rgb, 0)
        out.set(rgb, 4 * i)
        out[4 * i + 3] = 255
      })
    },
  },
  {
    id: 'error',
    name: 'Error',
    key: 'e',
    about: 'End-point error: how far a motion ends from its ground truth. Transparent where that is unknown.',
    isIn: ({ shots }) => shots.some(({ truth }) => truth !== undefined),
    paint: ({ flow, truth }, { grid, errorScale }) =>
      paintRamp(grid, ERROR_RAMP, (i) =>
        truth === undefined ? NaN : endPointError(flow, truth, i) / errorScale!,
      ),
  },
  {
    id: 'loop',
    name: 'There and back',
    key: 'r',
    about:
      'How far a pixel ends from its start, along the flow and back. Transparent where it leaves the frame.',
    isIn: ({ shots }) => shots.some(({ backward }) => backward !== undefined),
    paint: ({ flow, backward }, { grid }) =>
      paintRamp(grid, ERROR_RAMP, (i) =>
        backward === undefined ? NaN : thereAndBack(flow, backward, i, grid) / LOOP_SCALE,
      ),
  },
  {
    id: 'confidence',
    name: 'Confidence',
    key: 'c',
    about: 'How certain the motion is: 0 is dark, 1 is bright.',
    isIn: ({ shots }) => shots.some(({ confidence }) => confidence !== undefined),
    paint: ({ confidence }, { grid }) => paintRamp(grid, CONFIDENCE_RAMP, (i) => confidence?.[i] ?? NaN),
  },
  {
    id: 'occlusion',
    name: 'Occlusion',
    key: 'o',
    about: 'Pixels that are hidden in the second frame.',
    isIn: ({ shots }) => shots.some(({ occlusion }) => occlusion !== undefined),
    paint: ({ occlusion }, { grid }) =>
      paint(grid, (i, out) => {
        if (!(occlusion !== undefined && occlusion[i]! >= 0.5)) return
        out.set(OCCLUSION_COLOR, 4 * i)
        out[4 * i + 3] = 255
      }),
  },
  {
    id: 'arrows',
    name: 'Arrows',
    key: 'a',
    about: 'From where a pixel is to where it goes.',
    isIn: () => true,
    paint: undefined,
  },
]

function paint({ columns, rows }: Grid, write: (i: number, out: Uint8ClampedArray) => void): ImageData {
  const image = new ImageData(columns, rows)
  for (let i = 0; i < columns * rows; i++) write(i, image.data)
  return image
}

function paintRamp(grid: Grid, ramp: Ramp, valueAt: (i: number) => number): ImageData {
  return paint(grid, (i, out) => {
    const value = valueAt(i)
    if (Number.isNaN(value)) return
    writeRamp(ramp, value, out, 4 * i)
    out[4 * i + 3] = 255
  })
}
