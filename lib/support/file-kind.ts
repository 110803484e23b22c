// What a file is by its first bytes, for messages about files that are not of the kind that was expected. A file that holds none
// of these beginnings is described by whether it is text.

interface Kind {
  readonly name: string
  readonly start: string
  /** Bytes before `start`. Default 0. */
  readonly at?: number
}

const KINDS: readonly Kind[] = [
  { name: 'a PNG picture', start: '\x89PNG' },
  { name: 'a JPEG picture', start: '\xff\xd8\xff' },
  { name: 'a WebP picture', start: 'WEBP', at: 8 },
  { name: 'a GIF picture', start: 'GIF8' },
  { name: 'a TIFF picture', start: 'II*\0' },
  { name: 'a TIFF picture', start: 'MM\0*' },
  { name: 'a BMP picture', start: 'BM' },
  { name: 'a PSD picture', start: '8BPS' },
  { name: 'an OpenEXR picture', start: 'v/1\x01' },
  { name: 'a Radiance HDR picture', start: '#?' },
  { name: 'a JPEG 2000 picture', start: '\0\0\0\x0cjP' },
  { name: 'a JPEG 2000 picture', start: '\xff\x4f\xff\x51' },
  { name: 'a JPEG XL picture', start: '\0\0\0\x0cJXL' },
  { name: 'a JPEG XL picture', start: '\xff\x0a' },
  { name: 'a DDS texture', start: 'DDS ' },
  { name: 'a HEIF or AVIF picture', start: 'ftyphei', at: 4 },
  { name: 'a HEIF or AVIF picture', start: 'ftypmif1', at: 4 },
  { name: 'a HEIF or AVIF picture', start: 'ftypavi', at: 4 },
  { name: 'a video (MP4 or MOV)', start: 'ftyp', at: 4 },
  { name: 'a video (AVI)', start: 'AVI ', at: 8 },
  { name: 'a video (Matroska or WebM)', start: '\x1aE\xdf\xa3' },
  { name: 'a video (raw YUV4MPEG2)', start: 'YUV4MPEG2' },
  { name: 'a PAM picture (P7)', start: 'P7\n' },
  { name: 'a .flo file of flow', start: 'PIEH' },
  { name: 'a PFM file of floats', start: 'PF' },
  { name: 'a PFM file of floats', start: 'Pf' },
  { name: 'a NumPy array (.npy)', start: '\x93NUMPY' },
  { name: 'an HDF5 file', start: '\x89HDF' },
  { name: 'a zip archive', start: 'PK\x03\x04' },
  { name: 'a gzip file', start: '\x1f\x8b' },
  { name: 'a PDF', start: '%PDF' },
  { name: 'a MATLAB file', start: 'MATLAB' },
  { name: 'a Git LFS pointer, not the file itself (git lfs pull)', start: 'version https://git-lfs' },
]

const LOOKED_AT = 512

/** `a JPEG picture`, `a web page (HTML)`, `binary data of no known kind`: fit for "it is ...". */
export function kindOf(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'empty (0 bytes)'
  const start = latin1(bytes.subarray(0, LOOKED_AT))
  const kind = KINDS.find((candidate) => start.startsWith(candidate.start, candidate.at ?? 0))
  if (kind !== undefined) return kind.name
  if (/^P[1-6]\s/.test(start)) return 'a PPM, PGM or PBM picture'
  if (/^\s*(<!doctype html|<html)/i.test(start)) return 'a web page (HTML), perhaps an error message'
  if (/^\s*(<\?xml|<svg)/i.test(start)) return 'an XML or SVG document'
  if (/^\s*[{[]/.test(start) && isText(start)) return 'text (JSON?)'
  return isText(start) ? 'text' : 'binary data of no known kind'
}

/** Bytes as a string of the same length, one character a byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function isText(start: string): boolean {
  return !/[^\t\n\r\x20-\x7e\x80-\xff]/.test(start) && !/[\x80-\x9f]{3}/.test(start)
}
