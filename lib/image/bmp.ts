import { latin1 } from '../support/file-kind.js'
import { decodeRuns } from './bmp-runs.js'
import { checkSize, type Samples, Undecodable } from './samples.js'

// BMP: 'BM', the position of the pixels, then a header of 12 (OS/2) or of 40 to 124 bytes (Windows), the masks of the channels, a
// palette, and rows that are padded to 4 bytes, from the bottom up unless the height is negative.
// https://learn.microsoft.com/windows/win32/gdi/bitmap-storage

const FILE_HEADER = 14
const OS2_HEADER = 12
const WINDOWS_HEADER = 40
const LONGEST_HEADER = 124

/** How pixels are stored, as the header numbers it. */
const UNCOMPRESSED = 0
const RLE8 = 1
const RLE4 = 2
const BIT_FIELDS = 3
const ALPHA_BIT_FIELDS = 6
const NAMES: Readonly<Record<number, string>> = { 1: 'RLE8', 2: 'RLE4', 4: 'JPEG', 5: 'PNG' }

const DEPTHS = [1, 2, 4, 8, 16, 24, 32]

interface Header {
  readonly width: number
  readonly height: number
  readonly rows: 'bottom-up' | 'top-down'
  readonly bits: number
  readonly encoding: 'plain' | 'runs'
  /** Position of the pixels. */
  readonly pixelsAt: number
  /** Position, number and bytes of the palette's colours. */
  readonly palette: { readonly at: number; readonly colors: number; readonly bytes: 3 | 4 }
  /** Of red, green and blue, in pixels of 16 and 32 bits. */
  readonly masks: readonly [number, number, number]
}

/** Whether a file's first bytes are those of a BMP. */
export function looksLikeBmp(bytes: Uint8Array): boolean {
  if (bytes.length < FILE_HEADER + OS2_HEADER || latin1(bytes.subarray(0, 2)) !== 'BM') return false
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(FILE_HEADER, true)
  return size >= OS2_HEADER && size <= LONGEST_HEADER
}

/**
 * Decodes a BMP of 1 to 32 bits a pixel to RGB. Alpha is dropped.
 *
 * @param bytes begin as {@link looksLikeBmp} wants it
 * @throws {Undecodable} if it is a JPEG or PNG inside, damaged, or cut short
 */
export function decodeBmp(bytes: Uint8Array): Samples {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = readHeader(view)
  const { width, height, rows } = header
  const { pixels, at, stride, bits } =
    header.encoding === 'runs' ? unpacked(bytes, header) : inPlace(view, header)
  const colorOf =
    bits <= 8 ? paletteReader(view, { ...header, bits }) : bits === 24 ? readBgr : maskReader(header)
  const data = new Uint8Array(3 * width * height)
  for (let row = 0; row < height; row++) {
    const from = at + stride * (rows === 'top-down' ? row : height - 1 - row)
    for (let column = 0; column < width; column++)
      colorOf(pixels, from, column, data, 3 * (row * width + column))
  }
  return { width, height, channels: 3, white: 255, data }
}

/** Where the rows of pixels are. */
interface Rows {
  readonly pixels: DataView
  /** Position of the first row in the file. */
  readonly at: number
  readonly stride: number
  /** Of a pixel. */
  readonly bits: number
}

function inPlace(pixels: DataView, { width, height, bits, pixelsAt }: Header): Rows {
  const stride = 4 * Math.ceil((bits * width) / 32)
  // The last row's padding is missing in the files of some writers.
  const needed = stride * (height - 1) + Math.ceil((bits * width) / 8)
  if (pixelsAt + needed > pixels.byteLength)
    throw new Undecodable(
      `its header says ${width} x ${height} of ${bits} bits, which takes ${pixelsAt + needed} bytes, but it has ` +
        `${pixels.byteLength}: it is cut short, get it again`,
    )
  return { pixels, at: pixelsAt, stride, bits }
}

/** The rows of a run-length encoded picture: a byte for each pixel. */
function unpacked(bytes: Uint8Array, header: Header): Rows {
  const { buffer } = decodeRuns(bytes.subarray(header.pixelsAt), header)
  return { pixels: new DataView(buffer), at: 0, stride: header.width, bits: 8 }
}

/** Writes the colour of the pixel in `column` of the row at `from` to `out[at]` and the two behind it. */
type ColorReader = (view: DataView, from: number, column: number, out: Uint8Array, at: number) => void

function readHeader(view: DataView): Header {
  const size = view.getUint32(FILE_HEADER, true)
  if (FILE_HEADER + size > view.byteLength || (size > OS2_HEADER && size < WINDOWS_HEADER))
    throw new Undecodable(`its BMP header of ${size} bytes is damaged or cut short: get the file again`)
  const os2 = size === OS2_HEADER
  const width = os2 ? view.getUint16(18, true) : view.getInt32(18, true)
  const signedHeight = os2 ? view.getUint16(20, true) : view.getInt32(22, true)
  const bits = view.getUint16(os2 ? 24 : 28, true)
  const stored = os2 ? UNCOMPRESSED : view.getUint32(30, true)
  const height = Math.abs(signedHeight)
  checkSize(width, height)
  if (!DEPTHS.includes(bits))
    throw new Undecodable(`its BMP header says ${bits} bits a pixel: it is damaged, get it again`)

  const fields = stored === BIT_FIELDS || stored === ALPHA_BIT_FIELDS
  const runs = (stored === RLE8 && bits === 8) || (stored === RLE4 && bits === 4)
  if (stored !== UNCOMPRESSED && !runs && !(fields && (bits === 16 || bits === 32)))
    throw new Undecodable(
      `it is a BMP of ${bits} bits with ${NAMES[stored] ?? 'unknown'} compression, which is not read: save it as PNG`,
    )
  // The masks of a header of 40 bytes follow it; those of a longer header are its part, at the same place.
  const masksAt = FILE_HEADER + WINDOWS_HEADER
  if (fields && masksAt + 12 > view.byteLength)
    throw new Undecodable('its BMP header is cut short: get the file again')
  const mask = (i: number): number => view.getUint32(masksAt + 4 * i, true)
  const usual = bits === 16 ? ([0x7c00, 0x03e0, 0x001f] as const) : ([0xff0000, 0xff00, 0xff] as const)

  const paletteAt = FILE_HEADER + size + (fields && size === WINDOWS_HEADER ? 12 : 0)
  const pixelsAt = view.getUint32(10, true)
  if (pixelsAt < paletteAt)
    throw new Undecodable(
      `its pixels would begin inside its header, at ${pixelsAt}: it is damaged, get it again`,
    )
  const used = os2 ? 0 : view.getUint32(46, true)
  const most = 2 ** Math.min(bits, 8)
  return {
    width,
    height,
    rows: signedHeight < 0 ? 'top-down' : 'bottom-up',
    bits,
    encoding: runs ? 'runs' : 'plain',
    pixelsAt,
    palette: { at: paletteAt, colors: used === 0 ? most : Math.min(used, most), bytes: os2 ? 3 : 4 },
    masks: fields ? [mask(0), mask(1), mask(2)] : usual,
  }
}

/** Blue, green, red: 3 bytes a pixel. */
function readBgr(view: DataView, from: number, column: number, out: Uint8Array, at: number): void {
  const pixel = from + 3 * column
  out[at] = view.getUint8(pixel + 2)
  out[at + 1] = view.getUint8(pixel + 1)
  out[at + 2] = view.getUint8(pixel)
}

/** Pixels of 1 to 8 bits, the highest bits first, are positions in the palette. A position outside it is black. */
function paletteReader(view: DataView, { bits, palette, pixelsAt }: Header): ColorReader {
  const room = Math.floor((Math.min(view.byteLength, pixelsAt) - palette.at) / palette.bytes)
  const colors = Math.min(palette.colors, room)
  if (colors < 1) throw new Undecodable('it has no palette: get the file again')
  const perByte = 8 / bits
  const mask = 2 ** bits - 1
  return (pixels, from, column, out, at) => {
    const byte = pixels.getUint8(from + Math.floor(column / perByte))
    const index = (byte >> (8 - bits * ((column % perByte) + 1))) & mask
    if (index < colors) readBgr(view, palette.at + (palette.bytes - 3) * index, index, out, at)
  }
}

/** Pixels of 16 or 32 bits: each channel is the bits of its mask, spread over 0 to 255. */
function maskReader({ bits, masks }: Header): ColorReader {
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask)
    return { mask, shift, largest: mask >>> shift }
  })
  if (channels.some(({ largest }) => largest === 0 || (largest & (largest + 1)) !== 0))
    throw new Undecodable('the bit masks of its channels are damaged: get the file again')
  return (view, from, column, out, at) => {
    const pixel =
      bits === 16 ? view.getUint16(from + 2 * column, true) : view.getUint32(from + 4 * column, true)
    channels.forEach(({ mask, shift, largest }, channel) => {
      out[at + channel] = Math.round((255 * ((pixel & mask) >>> shift)) / largest)
    })
  }
}
