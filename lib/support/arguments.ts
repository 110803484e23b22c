import { isPromise } from 'node:util/types'
import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { isBytes, isField, isFloat32Array } from './brands.js'
import { shown } from './quote.js'

// Checks of what a caller hands over. Many write JavaScript, and an `await` is easily forgotten.

/** @throws {FlowError} `ERR_ARGUMENT` unless it is a field */
export function checkField(value: unknown, name: string): asserts value is FlowField {
  if (isField(value)) return
  const isData = typeof value === 'object' && value !== null && !isPromise(value)
  const advice = isData ? ': new FlowField(width, height, data) makes one' : ''
  throw new FlowError('ERR_ARGUMENT', `${name}: must be a FlowField, not ${described(value)}${advice}`)
}

/** @throws {FlowError} `ERR_ARGUMENT` unless it is the content of a file */
export function checkBytes(value: unknown): asserts value is Uint8Array {
  if (isBytes(value)) return
  throw new FlowError(
    'ERR_ARGUMENT',
    `bytes: must be the bytes of a file in a Uint8Array or Buffer, not ${described(value)}`,
  )
}

/** @throws {FlowError} `ERR_ARGUMENT` unless it is an object */
export function checkOptions(value: unknown): asserts value is object {
  if (typeof value === 'object' && value !== null) return
  throw new FlowError('ERR_ARGUMENT', `options: must be an object, not ${shown(value)}`)
}

/** @throws {FlowError} `ERR_ARGUMENT` unless it has a size, and an array of values */
export function checkPixels(value: unknown, name: string): void {
  const { data, width, height } = (value ?? {}) as Partial<Record<string, unknown>>
  if ((isBytes(data) || isFloat32Array(data)) && Number.isInteger(width) && Number.isInteger(height)) return
  throw new FlowError('ERR_ARGUMENT', `${name}: must be { data, width, height }, not ${described(value)}`)
}

/** Whether a loop can go through it, one with `await` at least. A text is no list. */
export function isIterable(value: unknown): boolean {
  if (typeof value === 'string') return false
  const { [Symbol.iterator]: now, [Symbol.asyncIterator]: later } = Object(value) as Partial<
    Iterable<unknown> & AsyncIterable<unknown>
  >
  return typeof now === 'function' || typeof later === 'function'
}

/** What a value is, in a few words: `a Float32Array`, `a Promise: await it`. */
export function described(value: unknown): string {
  if (isPromise(value)) return 'a Promise: await it'
  if (typeof value !== 'object' || value === null) return shown(value)
  const name: unknown = value.constructor?.name
  const kind = typeof name === 'string' && name !== '' && name !== 'Object' ? name.slice(0, 60) : 'object'
  return `${/^[aeiou]/i.test(kind) ? 'an' : 'a'} ${kind}`
}
