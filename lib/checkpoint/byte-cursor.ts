import { quoted } from '../support/quote.js'
import { Malformed } from './malformed.js'

const LONGEST_LINE = 512

/** Reads a pickle's operands one after the other, never past the end. */
export class ByteCursor {
  constructor(
    private readonly bytes: Buffer,
    /** Offset of the next byte to read. */
    public at: number,
  ) {}

  // Plain indexing: a checkpoint is read once, before the compiler has optimised anything, and Buffer's methods are several calls
  // deep.
  uint8(): number {
    const { bytes, at } = this
    if (at >= bytes.length) throw cutShort()
    this.at = at + 1
    return bytes[at]!
  }

  uint16(): number {
    const { bytes } = this
    const at = this.advance(2)
    return bytes[at]! | (bytes[at + 1]! << 8)
  }

  uint32(): number {
    const { bytes } = this
    const at = this.advance(4)
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  }

  int32(): number {
    return this.bytes.readInt32LE(this.advance(4))
  }

  /** @throws {Malformed} past 2^53, which no length in a real pickle reaches */
  uint64(): number {
    const value = Number(this.bytes.readBigUInt64LE(this.advance(8)))
    if (!Number.isSafeInteger(value)) throw new Malformed('its pickle claims an impossible length')
    return value
  }

  /** Python pickles a float64 in big endian, but all other binary numbers in little endian. */
  float64(): number {
    return this.bytes.readDoubleBE(this.advance(8))
  }

  /** A view, not a copy. */
  view(length: number): Buffer {
    const start = this.advance(length)
    return this.bytes.subarray(start, start + length)
  }

  text(length: number): string {
    const start = this.advance(length)
    return this.bytes.toString('utf8', start, start + length)
  }

  /** Two's complement, little endian. A number if a double holds the value exactly, else a bigint. */
  signed(length: number): number | bigint {
    const hex = Buffer.from(this.view(length)).reverse().toString('hex')
    const value = hex === '' ? 0n : BigInt.asIntN(8 * length, BigInt(`0x${hex}`))
    return Number.isSafeInteger(Number(value)) ? Number(value) : value
  }

  /** The text up to the next line feed, and without it. */
  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at)
    if (end < 0 || end - this.at > LONGEST_LINE) throw new Malformed('its pickle holds a line without an end')
    const text = this.text(end - this.at)
    this.advance(1)
    return text
  }

  /** An integer in decimal digits on a line of its own. */
  decimal(): number | bigint {
    return decimal(this.line())
  }

  /** Like `decimal`, but `00` and `01` are false and true. */
  booleanOrDecimal(): boolean | number | bigint {
    const text = this.line()
    return text === '00' || text === '01' ? text === '01' : decimal(text)
  }

  private advance(length: number): number {
    const start = this.at
    if (start + length > this.bytes.length) throw cutShort()
    this.at += length
    return start
  }
}

function decimal(text: string): number | bigint {
  if (!/^-?\d{1,300}L?$/.test(text)) throw new Malformed(`its pickle holds ${quoted(text)} as an integer`)
  const value = BigInt(text.replace('L', ''))
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

function cutShort(): Malformed {
  return new Malformed('its pickle is cut short or damaged')
}
