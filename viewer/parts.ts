import { unpackPlane } from '../lib/cli/view/plane-code.js'
import type { Grid, PackedPlanes, PageData } from '../lib/cli/view/page-data.js'

/** The JSON of this page. */
export function readPageData(): PageData {
  return JSON.parse(document.getElementById('page-data')!.textContent!) as PageData
}

/**
 * The values of packed planes, NaN where they are unknown. The browser inflates them in a thread of its own; they are put together
 * at the first call of the result, which takes tens of milliseconds.
 */
export async function readPlanes(packed: PackedPlanes, grid: Grid): Promise<() => readonly Float32Array[]> {
  const bytes = await inflate(readPart(packed.part))
  let planes: readonly Float32Array[] | undefined
  return () => (planes ??= unpackPlanes(bytes, packed, grid))
}

function unpackPlanes(bytes: Uint8Array, packed: PackedPlanes, { columns, rows }: Grid): Float32Array[] {
  const count = columns * rows
  let at = 0
  const planes = packed.bytes.map((size) => {
    const code = bytes.subarray(at, (at += size * count))
    const values = new Float32Array(unpackPlane({ code, bytes: size }, columns))
    for (let i = 0; i < count; i++) values[i]! *= packed.quantum
    return values
  })
  if (packed.unknown)
    for (const plane of planes) for (let i = 0; i < count; i++) if (bytes[at + i] === 1) plane[i] = NaN
  return planes
}

/** A picture of this page. */
export function readPicture(part: string): Promise<ImageBitmap> {
  return createImageBitmap(new Blob([readPart(part)]))
}

function readPart(name: string): Uint8Array<ArrayBuffer> {
  const text = atob(document.getElementById(name)!.textContent!)
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}
