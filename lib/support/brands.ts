import { isFloat32Array, isUint16Array, isUint8Array, isUint8ClampedArray } from 'node:util/types'
import type { FlowField } from '../flow-field.js'

// What a value is, whichever realm or polyfill made it. Jest, jsdom and node:vm have classes of their own, so that instanceof
// says nothing of their objects.

export { isFloat32Array, isUint16Array, isUint8Array, isUint8ClampedArray }

export function isBytes(value: unknown): value is Uint8Array | Uint8ClampedArray {
  return isUint8Array(value) || isUint8ClampedArray(value)
}

export function isField(value: unknown): value is FlowField {
  return has(value, 'toInterleaved', 'function') && isFloat32Array((value as Partial<FlowField>).data)
}

/** A Buffer over the same bytes, for libraries that ask for one of this realm. */
export function toBuffer({ buffer, byteOffset, byteLength }: Uint8Array | Uint8ClampedArray): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

export function isUrl(value: unknown): value is URL {
  return has(value, 'href', 'string') && has(value, 'protocol', 'string')
}

export function isAbortSignal(value: unknown): value is AbortSignal {
  return (
    has(value, 'aborted', 'boolean') &&
    has(value, 'addEventListener', 'function') &&
    has(value, 'removeEventListener', 'function')
  )
}

/** The `code` of what was thrown, such as ENOENT. */
export function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
}

function has(value: unknown, name: string, type: string): boolean {
  return (
    typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[name] === type
  )
}
