import { sha256 } from '../support/sha256.js'

/** Tells these files from others, and this layout from later ones. */
const MAGIC = Buffer.from('d3flow1\n')
const DIGEST_AT = MAGIC.length + 8
const HEADER = DIGEST_AT + 32

/**
 * The content of a file in the cache, in pieces: magic, length of `payload` (64 bits, little endian), SHA-256 of name and payload,
 * payload. So a file that was cut, damaged, or copied to another name is noticed.
 */
export async function sealed(name: string, payload: Uint8Array): Promise<Uint8Array[]> {
  const header = Buffer.alloc(HEADER)
  MAGIC.copy(header)
  header.writeBigUInt64LE(BigInt(payload.byteLength), MAGIC.length)
  header.set(await digest(name, payload), DIGEST_AT)
  return [header, payload]
}

/** The payload of a file that {@link sealed} made; undefined if it is not whole. */
export async function unsealed(name: string, file: Buffer): Promise<Uint8Array | undefined> {
  if (file.length < HEADER || !file.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const payload = file.subarray(HEADER)
  if (file.readBigUInt64LE(MAGIC.length) !== BigInt(payload.length)) return undefined
  const expected = await digest(name, payload)
  return file.subarray(DIGEST_AT, HEADER).equals(expected) ? payload : undefined
}

async function digest(name: string, payload: Uint8Array): Promise<Buffer> {
  return sha256(Buffer.concat([await sha256(payload), Buffer.from(name)]))
}
