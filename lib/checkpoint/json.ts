// jsdom has no TextDecoder.
import { TextDecoder } from 'node:util'
import { Malformed } from './malformed.js'

/**
 * Parses a JSON object of a file that is hostile until proven otherwise.
 *
 * @param what - names the text in messages: "its safetensors header"
 * @param deepest - brackets inside each other. Without a limit, JSON.parse would take 50 bytes of heap for each one more.
 * @throws {Malformed} if it is nested deeper, is no JSON in UTF-8, or is no object
 */
export function parseObject(bytes: Uint8Array, what: string, deepest: number): Record<string, unknown> {
  if (!isShallow(bytes, deepest)) throw new Malformed(`${what} is nested deeper than the format allows`)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new Malformed(`${what} is not valid JSON`)
  }
  if (!isRecord(value)) throw new Malformed(`${what} is not a JSON object`)
  return value
}

/** Whether a value of JSON is an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isShallow(bytes: Uint8Array, deepest: number): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]
    if (inString) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > deepest) return false
    } else if (byte === 0x7d || byte === 0x5d) depth--
  }
  return true
}
