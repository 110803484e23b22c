import type { OutputSize } from '../size.js'
import { latin1 } from '../support/file-kind.js'
import { checkSize, type Samples, Undecodable } from './samples.js'

// PBM, PGM and PPM: 'P1' to 'P6', then width, height and (not in PBM) the largest value as text, then samples: as text (P1 to
// P3) or in binary (P4 to P6). White space separates the numbers, and a comment runs from '#' to the end of its line.
// https://netpbm.sourceforge.net/doc/ppm.html, pgm.html, pbm.html

interface Header {
  readonly width: number
  readonly height: number
  readonly white: number
  /** Position behind the last number of the header. */
  readonly end: number
}

/** The kinds of files: how many channels, whether a sample is one bit, and how samples are stored. */
const KINDS = {
  P1: { channels: 1, sample: 'bit', stored: 'text' },
  P2: { channels: 1, sample: 'number', stored: 'text' },
  P3: { channels: 3, sample: 'number', stored: 'text' },
  P4: { channels: 1, sample: 'bit', stored: 'binary' },
  P5: { channels: 1, sample: 'number', stored: 'binary' },
  P6: { channels: 3, sample: 'number', stored: 'binary' },
} as const

/** Limit on the bytes of a header, comments included. */
export const LONGEST_HEADER = 65_536

/** Whether a file's first bytes are those of a PBM, PGM or PPM. */
export function looksLikeNetpbm(bytes: Uint8Array): boolean {
  return /^P[1-6][\t-\r #]/.test(latin1(bytes.subarray(0, 3)))
}

/**
 * Decodes a PBM, PGM or PPM. Of a file with several pictures, the first is taken.
 *
 * @param bytes begin as {@link looksLikeNetpbm} wants it
 * @throws {Undecodable} if the header is damaged, or samples are missing or too large
 */
export function decodeNetpbm(bytes: Uint8Array): Samples {
  const { channels, sample, stored } = KINDS[latin1(bytes.subarray(0, 2)) as keyof typeof KINDS]
  const { width, height, white, end } = readHeader(bytes, sample)
  const count = channels * width * height
  if (stored === 'text') {
    const body = bytes.subarray(end)
    // Each digit is a byte, and a space stands between two numbers. This bounds what a header can make allocate.
    checkLength(body, sample === 'bit' ? count : 2 * count - 1, { width, height })
    const data = sample === 'bit' ? readDigits(body, count) : readNumbers(body, count, white)
    return { width, height, channels, white, data }
  }
  const needed = sample === 'bit' ? Math.ceil(width / 8) * height : (white > 255 ? 2 : 1) * count
  const body = bytes.subarray(dataStart(bytes, end, needed))
  checkLength(body, needed, { width, height })
  const data = sample === 'bit' ? unpackBits(body, width, height) : readBinary(body, count, white)
  return { width, height, channels, white, data }
}

/** @throws {Undecodable} if fewer than `needed` bytes of samples follow a header */
export function checkLength(body: Uint8Array, needed: number, { width, height }: OutputSize): void {
  if (body.length >= needed) return
  throw new Undecodable(
    `its header says ${width} x ${height}, which takes at least ${needed} bytes, but only ${body.length} follow: ` +
      'it is cut short, get it again',
  )
}

function readHeader(bytes: Uint8Array, sample: 'bit' | 'number'): Header {
  const text = latin1(bytes.subarray(0, LONGEST_HEADER))
  const numbers: number[] = []
  const wanted = sample === 'bit' ? 2 : 3
  const token = /(?:[\t-\r ]|#[^\r\n]*[\r\n])+(\d{1,9})(?=[\t-\r #])/y
  token.lastIndex = 2
  while (numbers.length < wanted) {
    const [, digits] = token.exec(text) ?? []
    if (digits === undefined)
      throw new Undecodable('its PPM, PGM or PBM header is damaged: get the file again')
    numbers.push(Number(digits))
  }
  // A regular expression that is sticky stays where its last match ended.
  const [width = 0, height = 0, white = 1] = numbers
  checkSize(width, height)
  checkWhite(white)
  return { width, height, white, end: token.lastIndex }
}

/** @throws {Undecodable} if the largest value of a sample is none */
export function checkWhite(white: number): void {
  if (white < 1 || white > 65_535)
    throw new Undecodable(`its header says values up to ${white}, and that is 1 to 65535: get the file again`)
}

/**
 * One white space ends the header. Writers that put '\r\n' or a comment there are told apart by the length of what follows, since
 * a sample may look like a white space or a '#'.
 */
function dataStart(bytes: Uint8Array, end: number, needed: number): number {
  const rest = bytes.length - needed
  const between = rest > end && rest - end <= 1024 ? latin1(bytes.subarray(end, rest)) : ''
  return /^[ \t]*(#[^\n]*)?\r?\n$/.test(between) ? rest : end + 1
}

/** Samples of one byte, or of two with the high byte first if the largest value takes two. */
export function readBinary(body: Uint8Array, count: number, white: number): Uint8Array | Uint16Array {
  if (white <= 255) {
    const samples = new Uint8Array(body.subarray(0, count))
    if (white < 255) for (const value of samples) if (value > white) throw tooLarge(value, white)
    return samples
  }
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const samples = new Uint16Array(count)
  for (let i = 0; i < count; i++) {
    const value = view.getUint16(2 * i)
    if (value > white) throw tooLarge(value, white)
    samples[i] = value
  }
  return samples
}

/** PBM: one bit a pixel, the highest first, rows padded to whole bytes. 1 is black. */
function unpackBits(body: Uint8Array, width: number, height: number): Uint8Array {
  const rowBytes = Math.ceil(width / 8)
  const samples = new Uint8Array(width * height)
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const bits = body[row * rowBytes + (column >> 3)]!
      samples[row * width + column] = 1 - ((bits >> (7 - (column & 7))) & 1)
    }
  return samples
}

/** PBM as text: digits, which need no space between them. 1 is black. */
function readDigits(body: Uint8Array, count: number): Uint8Array {
  const samples = new Uint8Array(count)
  let done = 0
  for (let at = 0; at < body.length && done < count; at++) {
    const digit = body[at]! - 48
    if (digit === 0 || digit === 1) samples[done++] = 1 - digit
    else if (!isSpace(body[at]!)) throw notANumber()
  }
  if (done < count) throw missing(done, count)
  return samples
}

function readNumbers(body: Uint8Array, count: number, white: number): Uint8Array | Uint16Array {
  const samples = white > 255 ? new Uint16Array(count) : new Uint8Array(count)
  let done = 0
  let value = -1
  for (let at = 0; at <= body.length && done < count; at++) {
    const digit = at < body.length ? body[at]! - 48 : -1
    if (digit >= 0 && digit <= 9) {
      value = 10 * Math.max(value, 0) + digit
      if (value > white) throw tooLarge(value, white)
    } else {
      if (at < body.length && !isSpace(body[at]!)) throw notANumber()
      if (value >= 0) samples[done++] = value
      value = -1
    }
  }
  if (done < count) throw missing(done, count)
  return samples
}

function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13)
}

function tooLarge(value: number, white: number): Undecodable {
  return new Undecodable(
    `it has a sample of ${value} or more, its header allows up to ${white}: get the file again`,
  )
}

function missing(done: number, count: number): Undecodable {
  return new Undecodable(
    `it has ${done} samples, its header asks for ${count}: it is cut short, get it again`,
  )
}

function notANumber(): Undecodable {
  return new Undecodable('its samples are not all numbers: it is damaged, get it again')
}
