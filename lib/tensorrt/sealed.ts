import { createHash } from 'node:crypto'

/** Tells these files from others, and this layout from later ones. */
const MAGIC = Buffer.from('d3flow1\n')
const DIGEST_AT = MAGIC.length + 8
const HEADER = DIGEST_AT + 32

/**
 * The content of a file in the cache, in pieces: magic, length of `payload` (64 bits, little endian), SHA-256 of name and payload,
 * payload. So a file that was cut, damaged, or copied to another name is noticed.
 */
export function sealed(name: string, payload: Uint8Array): Uint8Array[] {
  const header = Buffer.alloc(HEADER)
  MAGIC.copy(header)
  header.writeBigUInt64LE(BigInt(payload.byteLength), MAGIC.length)
  digest(name, payload).copy(header, DIGEST_AT)
  return [header, payload]
}

/** The payload of a file that {@link sealed} made; undefined if it is not whole. */
export function unsealed(name: string, file: Buffer): Uint8Array | undefined {
  if (file.length < HEADER || !file.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const payload = file.subarray(HEADER)
  if (file.readBigUInt64LE(MAGIC.length) !== BigInt(payload.length)) return undefined
  return file.subarray(DIGEST_AT, HEADER).equals(digest(name, payload)) ? payload : undefined
}

function digest(name: string, payload: Uint8Array): Buffer {
  return createHash('sha256').update(name).update('\0').update(payload).digest()
}
