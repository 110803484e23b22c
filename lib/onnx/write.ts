import { basename } from 'node:path'
import type { NewFile } from '../support/write-file.js'
import { type ExternalData, model, type ModelContent, type Tensor } from './format.js'
import { lengthOf, type Piece } from './message.js'

/** Protobuf's own limit: 2 GiB. */
const LARGEST_MESSAGE = 2 ** 31 - 1

/** Tensors of fewer bytes stay in the model: shapes, which a runtime needs before it opens another file. */
const SMALLEST_EXTERNAL = 4096

/** Pages, so that the file can be mapped into memory. */
const ALIGNMENT = 4096

/** How to write a model. */
export interface WriteOptions {
  /** Bytes from which on tensors go to a file beside it, PATH.data. Default: 2 GiB, the most that protobuf can hold. */
  readonly largest?: number | undefined
  /** Called with the bytes that were taken, from time to time. It may throw, which ends the writing. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/** The files of a model, and their sizes in bytes. */
export interface OnnxFiles {
  readonly files: readonly NewFile[]
  readonly bytes: number
}

/** The file of a model; and beside it, if it would be too large, one with its tensors. */
export function onnxFiles(path: string, content: ModelContent, options: WriteOptions = {}): OnnxFiles {
  const { largest = LARGEST_MESSAGE, onBytes } = options
  // Protobuf cannot even tell the length of a message that is much too large.
  if (lengthOf(content.tensors.map(({ data }) => data)) <= largest) {
    const whole = model(content, () => undefined).pieces()
    if (lengthOf(whole) <= largest)
      return { files: [{ path, bytes: read(whole, onBytes) }], bytes: lengthOf(whole) }
  }

  const data = `${path}.data`
  const places = new Map<Tensor, ExternalData>()
  const pieces: Piece[] = []
  let end = 0
  for (const tensor of content.tensors) {
    const { byteLength } = tensor.data
    if (byteLength < SMALLEST_EXTERNAL) continue
    const padding = -end & (ALIGNMENT - 1)
    pieces.push(new Uint8Array(padding), tensor.data)
    places.set(tensor, { location: basename(data), offset: end + padding })
    end += padding + byteLength
  }
  const rest = model(content, (tensor) => places.get(tensor)).pieces()
  return {
    files: [
      { path: data, bytes: read(pieces, onBytes) },
      { path, bytes: read(rest, onBytes) },
    ],
    bytes: end + lengthOf(rest),
  }
}

function* read(pieces: readonly Piece[], onBytes: WriteOptions['onBytes']): Generator<Uint8Array> {
  for (const piece of pieces) {
    onBytes?.(piece.byteLength)
    yield piece instanceof Uint8Array ? piece : piece.read()
  }
}
