import { elements } from '../layout.js'
import type { NamedValues } from '../weights.js'

/** The bytes of a safetensors file of float32: length of the header, header, tensors. */
export function* safetensors(
  tensors: readonly NamedValues[],
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const header: Record<string, unknown> = { __metadata__: metadata }
  let end = 0
  for (const { name, shape } of tensors) {
    const begin = end
    end += 4 * elements(shape)
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] }
  }
  const text = Buffer.from(JSON.stringify(header))
  // Tensors begin at a multiple of 8 bytes.
  const padded = Buffer.alloc(Math.ceil(text.length / 8) * 8, ' ')
  text.copy(padded)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  yield length
  yield padded
  for (const { read } of tensors) yield Buffer.from(read().buffer)
}
