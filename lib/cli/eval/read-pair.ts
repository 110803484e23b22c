import { FlowError } from '../../errors.js'
import type { FlowField } from '../../flow-field.js'
import { isUnknown } from '../../formats/unknown.js'
import { readFlow, readMask } from '../../formats/index.js'
import type { Frame } from '../../frame.js'
import { decodeFrame } from '../../image/decode.js'
import type { EvaluateOptions } from '../../metrics.js'
import { sameSize } from '../../size.js'
import { isTwice } from '../../subsample.js'
import { shortPath } from '../../support/quote.js'
import { dimensions } from '../amounts.js'
import type { Pair } from './datasets/dataset.js'

/** The files of a pair, read. */
export interface ReadPair {
  readonly first: Frame
  readonly second: Frame
  readonly truth: FlowField
  readonly masks: EvaluateOptions
}

export interface ReadOptions {
  /** Whether pixels that the data set calls invalid are left out. */
  readonly excludeInvalid: boolean
}

/**
 * @throws {FlowError} `ERR_IO`, `ERR_FRAME` or `ERR_FORMAT` for a file that is missing or broken, or of another size; the message
 *   has its path
 */
export async function readPair(pair: Pair, { excludeInvalid }: ReadOptions): Promise<ReadPair> {
  const { hidden, invalid } = pair
  const [first, second, truth] = await Promise.all([
    readFrame(pair.first),
    readFrame(pair.second),
    readFlow(pair.truth),
  ])
  if (!sameSize(first, second)) throw differs(pair.second, second, 'the first frame', first)
  if (!sameSize(truth, first) && !isTwice(truth, first)) throw differs(pair.truth, truth, 'its frames', first)
  const occluded = hidden === undefined ? undefined : await readHidden(hidden, truth)
  const valid =
    excludeInvalid && invalid !== undefined
      ? (await sized(invalid, readMask, truth)).data.map((v) => 1 - v)
      : undefined
  return { first, second, truth, masks: { occluded, valid } }
}

async function readFrame(path: string): Promise<Frame> {
  // Figures of a frame whose end is missing would be of nothing.
  return (await decodeFrame(path, 'frame', { strict: true })).frame
}

/** 1 for every pixel that is hidden in the second frame. */
async function readHidden(
  { kind, path }: NonNullable<Pair['hidden']>,
  truth: FlowField,
): Promise<Uint8Array> {
  if (kind === 'mask') return (await sized(path, readMask, truth)).data
  const { x, y } = await sized(path, readFlow, truth)
  return Uint8Array.from(x, (dx, i) => (isUnknown(dx, y[i]!) ? 1 : 0))
}

/** Reads a map that must have the size of the ground truth. */
async function sized<T extends { readonly width: number; readonly height: number }>(
  path: string,
  read: (path: string) => Promise<T>,
  truth: FlowField,
): Promise<T> {
  const map = await read(path)
  if (!sameSize(map, truth)) throw differs(path, map, 'the ground truth', truth)
  return map
}

type Size = { readonly width: number; readonly height: number }

function differs(path: string, size: Size, than: string, other: Size): FlowError {
  return new FlowError(
    'ERR_FRAME',
    `${shortPath(path)}: is ${dimensions(size)}, and ${than} ${dimensions(other)}: get the data set again`,
  )
}
