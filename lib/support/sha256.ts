import { webcrypto } from 'node:crypto'

/** SHA-256, computed on another thread. */
export async function sha256(bytes: Uint8Array): Promise<Buffer> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes))
}
