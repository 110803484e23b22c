import { deflateRawSync } from 'node:zlib'
import type { FlowField } from '../../flow-field.js'
import { isUnknown } from '../../formats/unknown.js'
import type { PixelMap } from '../../request.js'
import type { Grid, PackedPlanes } from './page-data.js'
import { packPlane } from './plane-code.js'
import type { Parts } from './parts.js'

/** The value of 1 in a plane of flow, in pixels. A value is off by half of it at most, 0.004 px. */
const FLOW_QUANTUM = 1 / 128

/** Beyond this many quanta a float32 itself is coarser than a quantum. It is also far from the end of an int32. */
const MOST_QUANTA = 2 ** 29

/** Packs the pixels of a flow that are on the grid. */
export function packFlow(flow: FlowField, grid: Grid, parts: Parts): PackedPlanes {
  const pixels = pixelsOf(grid, flow.width)
  const unknown = new Uint8Array(pixels.length)
  let longest = 0
  const { x, y } = flow
  for (let i = 0; i < pixels.length; i++) {
    const pixel = pixels[i]!
    if (isUnknown(x[pixel]!, y[pixel]!)) unknown[i] = 1
    else longest = Math.max(longest, Math.abs(x[pixel]!), Math.abs(y[pixel]!))
  }
  let quantum = FLOW_QUANTUM
  while (longest / quantum > MOST_QUANTA) quantum *= 2
  const planes = [x, y].map((values) =>
    Int32Array.from(pixels, (pixel, i) => (unknown[i] === 1 ? 0 : Math.round(values[pixel]! / quantum))),
  )
  return pack(planes, quantum, unknown, grid, parts)
}

/** Packs the pixels of a map that are on the grid: a confidence of 0 to 1 in 255ths, a mask of 0 and 1 as it is. */
export function packMap(
  map: PixelMap<Uint8Array | Float32Array>,
  quantum: number,
  grid: Grid,
  parts: Parts,
): PackedPlanes {
  const pixels = pixelsOf(grid, map.width)
  const unknown = Uint8Array.from(pixels, (pixel) => (Number.isFinite(map.data[pixel]!) ? 0 : 1))
  const plane = Int32Array.from(pixels, (pixel, i) =>
    unknown[i] === 1 ? 0 : Math.round(Math.min(Math.max(map.data[pixel]!, 0), 1) / quantum),
  )
  return pack([plane], quantum, unknown, grid, parts)
}

function pack(
  planes: readonly Int32Array[],
  quantum: number,
  unknown: Uint8Array,
  grid: Grid,
  parts: Parts,
): PackedPlanes {
  const codes = planes.map((plane) => packPlane(plane, grid.columns, unknown))
  const hasUnknown = unknown.includes(1)
  const all = Buffer.concat([...codes.map(({ code }) => code), ...(hasUnknown ? [unknown] : [])])
  return {
    part: parts.add(deflateRawSync(all, { level: 9, memLevel: 9 })),
    quantum,
    bytes: codes.map(({ bytes }) => bytes),
    unknown: hasUnknown,
  }
}

/** The places, in a field of a width, of the grid's pixels. */
export function pixelsOf({ columns, rows, step, offset }: Grid, width: number): Int32Array {
  const pixels = new Int32Array(columns * rows)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      pixels[row * columns + column] = (offset + step * row) * width + offset + step * column
  return pixels
}
