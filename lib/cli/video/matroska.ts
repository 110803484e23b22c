import type { OutputSize } from '../../size.js'

// Uncompressed pictures with their timestamps, as one Matroska stream (RFC 9559). It is the way to hand ffmpeg pictures of
// several kinds at any times through one pipe.

/** The layout of a track's pictures, as ffmpeg names it by four letters. */
export const FOURCC = {
  rgb24: 'RGB\x18',
  rgba: 'RGBA',
  yuv420p: 'I420',
  yuv444p: '444P',
  gray: 'Y800',
} as const
export type TrackFormat = keyof typeof FOURCC

const ID = {
  ebml: '1a45dfa3',
  docType: '4282',
  docTypeVersion: '4287',
  docTypeReadVersion: '4285',
  segment: '18538067',
  info: '1549a966',
  timestampScale: '2ad7b1',
  tracks: '1654ae6b',
  trackEntry: 'ae',
  trackNumber: 'd7',
  trackUid: '73c5',
  trackType: '83',
  flagLacing: '9c',
  codecId: '86',
  video: 'e0',
  pixelWidth: 'b0',
  pixelHeight: 'ba',
  uncompressedFourCc: '2eb524',
  cluster: '1f43b675',
  timestamp: 'e7',
  simpleBlock: 'a3',
} as const

/** Timestamps are microseconds. */
const NANOSECONDS = 1000
const VIDEO = 1

/** The beginning of the stream. Track i of the list has the number i + 1. All pictures are of one size. */
export function streamHeader(formats: readonly TrackFormat[], { width, height }: OutputSize): Buffer {
  const entries = formats.map((format, i) =>
    element(ID.trackEntry, [
      integer(ID.trackNumber, i + 1),
      integer(ID.trackUid, i + 1),
      integer(ID.trackType, VIDEO),
      integer(ID.flagLacing, 0),
      element(ID.codecId, [Buffer.from('V_UNCOMPRESSED')]),
      element(ID.video, [
        integer(ID.pixelWidth, width),
        integer(ID.pixelHeight, height),
        element(ID.uncompressedFourCc, [Buffer.from(FOURCC[format], 'latin1')]),
      ]),
    ]),
  )
  return Buffer.concat([
    element(ID.ebml, [
      element(ID.docType, [Buffer.from('matroska')]),
      integer(ID.docTypeVersion, 4),
      integer(ID.docTypeReadVersion, 2),
    ]),
    // A segment of unknown size lasts to the end of the stream.
    Buffer.from(`${ID.segment}01ffffffffffffff`, 'hex'),
    element(ID.info, [integer(ID.timestampScale, NANOSECONDS)]),
    element(ID.tracks, entries),
  ])
}

/**
 * The pictures of one moment: chunks to write one after the other. The pictures are among them as they are.
 *
 * @param microseconds 0 or more
 * @param pictures one for each track
 */
export function clusterOf(microseconds: number, pictures: readonly Uint8Array[]): Uint8Array[] {
  const timestamp = integer(ID.timestamp, microseconds)
  const chunks = pictures.flatMap((picture, i) => [
    // The track, no offset from the cluster's timestamp, and the flag of a key frame.
    head(ID.simpleBlock, picture.length + 4, Buffer.from([0x80 | (i + 1), 0, 0, 0x80])),
    picture,
  ])
  const size = chunks.reduce((sum, chunk) => sum + chunk.length, timestamp.length)
  return [head(ID.cluster, size, timestamp), ...chunks]
}

function element(id: string, content: readonly Buffer[]): Buffer {
  return head(id, Buffer.concat(content).length, ...content)
}

function integer(id: string, value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return element(id, [bytes])
}

/** The ID and the size of an element, and the beginning of its content. A size takes 8 bytes, of which the first is a marker. */
function head(id: string, size: number, ...content: readonly Buffer[]): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE((1n << 56n) | BigInt(size))
  return Buffer.concat([Buffer.from(id, 'hex'), length, ...content])
}
