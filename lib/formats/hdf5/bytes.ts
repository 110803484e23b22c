import type { FlowError } from '../../errors.js'
import { damaged } from '../floats.js'

/** HDF5's address of nothing: all bits set. */
export const UNDEFINED_ADDRESS = 0xffff_ffff_ffff_ffffn

/** What every part of the reader throws: `ERR_FORMAT`. */
export function damagedHdf5(reason: string, cause?: unknown): FlowError {
  return damaged('HDF5', reason, cause)
}

/** Little-endian numbers at absolute addresses of a file that may lie: every read is checked against its length. */
export class FileBytes {
  readonly length: number
  readonly #bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array) {
    this.length = bytes.length
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(at: number): number {
    return this.#view.getUint8(this.#checked(at, 1))
  }

  u16(at: number): number {
    return this.#view.getUint16(this.#checked(at, 2), true)
  }

  u32(at: number): number {
    return this.#view.getUint32(this.#checked(at, 4), true)
  }

  /** A length or an address. One that is no safe integer points outside of every file. */
  u64(at: number): number {
    const value = this.#view.getBigUint64(this.#checked(at, 8), true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw damagedHdf5(`the number ${value} at byte ${at} is out of range`)
    return Number(value)
  }

  /** A view, not a copy. */
  slice(at: number, length: number): Uint8Array {
    return this.#bytes.subarray(this.#checked(at, length), at + length)
  }

  /** Four letters that begin a structure. */
  signature(at: number): string {
    return String.fromCharCode(...this.slice(at, 4))
  }

  expectSignature(at: number, signature: string): void {
    if (this.signature(at) !== signature) throw damagedHdf5(`no '${signature}' at byte ${at}`)
  }

  #checked(at: number, length: number): number {
    if (at + length > this.length) {
      throw damagedHdf5(`byte ${at + length} is past the end of the file, ${this.length} bytes`)
    }
    return at
  }
}

/**
 * Follows addresses through a file whose links may form a circle, or whose structures may lie on top of each other so that
 * a small file takes for ever: all that is entered must be apart, so together it is no longer than the file.
 */
export class Walk {
  readonly #file: FileBytes
  readonly #addresses = new Set<number>()
  #bytes = 0

  constructor(file: FileBytes) {
    this.#file = file
  }

  /** Enters the structure of `size` bytes at `address`. */
  enter(address: number, size: number): void {
    this.#bytes += size
    if (this.#addresses.has(address) || this.#bytes > this.#file.length) {
      throw damagedHdf5(`the structure at byte ${address} is reached twice, or overlaps another`)
    }
    this.#addresses.add(address)
  }
}
