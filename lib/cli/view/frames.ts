import { spawn } from 'node:child_process'
import { basename, resolve } from 'node:path'
import { FlowError } from '../../errors.js'
import type { Frame } from '../../frame.js'
import { decodeFrame } from '../../image/decode.js'
import type { OutputSize } from '../../size.js'
import { codeOf } from '../../support/brands.js'
import { quoted, shortPath } from '../../support/quote.js'
import type { Frames } from './pictures.js'

/** Which frames of a video are taken: as `video` takes them, whose files of flow count these. */
export interface FrameRange {
  /** Seconds from the beginning. */
  readonly start?: number
  /** Every so many frames. Default 1. */
  readonly every?: number
}

interface Options {
  readonly strict?: true
}

/** Pictures by their paths. */
export function framesOfPictures(paths: readonly string[], options: Options): Frames {
  // A frame is asked for twice: as the second of a flow, and as the first of the next one.
  const decoded = new Map<number, Awaited<ReturnType<Frames['at']>>>()
  return {
    count: paths.length,
    async at(index) {
      const path = paths[index]
      if (path === undefined) return undefined
      const known = decoded.get(index)
      if (known !== undefined) return known
      for (const place of decoded.keys()) if (place < index - 1) decoded.delete(place)
      const { frame, fault } = await decodeFrame(path, 'picture', options)
      const note = fault === undefined ? undefined : `${shortPath(basename(path))} has a fault: ${fault}`
      const found = { frame, note }
      decoded.set(index, found)
      return found
    },
    close() {},
  }
}

/** Frames of a video, decoded by `ffmpeg` at the size of the flow. */
export function framesOfVideo(path: string, size: OutputSize, { start, every = 1 }: FrameRange): Frames {
  const bytes = 3 * size.width * size.height
  const seek = start === undefined ? [] : ['-ss', String(start)]
  const input = ['-v', 'error', '-nostdin', ...seek, '-i', resolve(path), '-map', '0:v:0']
  const filter = `select='not(mod(n,${every}))',scale=${size.width}:${size.height}`
  const output = ['-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
  const argv = [...input, '-vf', filter, ...output]
  const child = spawn(process.env['DINOV3_FLOW_FFMPEG'] ?? 'ffmpeg', argv, {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let told = ''
  child.stderr.on('data', (text: Buffer) => (told = (told + text.toString()).slice(-2000)))
  const ended = new Promise<void>((settle, reject) => {
    child.on('error', (cause) =>
      reject(failure(path, codeOf(cause) === 'ENOENT' ? MISSING : cause.message, cause)),
    )
    child.on('close', () => settle())
  })
  ended.catch(() => undefined)
  const read = rawFrames(child.stdout, bytes)
  const seen: (Buffer | undefined)[] = []
  let next = 0
  return {
    count: null,
    async at(index) {
      for (; next <= index; next++) {
        const { value, done } = await read.next()
        if (done === true) {
          await ended
          if (next === 0)
            throw failure(path, `no frame can be decoded${told === '' ? '' : `: ${quoted(told.trim())}`}`)
          return undefined
        }
        seen[next % 2] = value
      }
      const data = index >= next - 2 ? seen[index % 2] : undefined
      return data === undefined ? undefined : { frame: { data, ...size, format: 'rgb' } satisfies Frame }
    },
    close() {
      child.kill('SIGKILL')
    },
  }
}

const MISSING =
  'ffmpeg, which decodes videos, is not on the PATH: install it (apt-get install ffmpeg, brew install ffmpeg), ' +
  'or give a folder of pictures'

function failure(path: string, reason: string, cause?: unknown): FlowError {
  return new FlowError('ERR_IO', `${shortPath(path)}: ${reason}`, cause === undefined ? undefined : { cause })
}

/** Cuts a stream of bytes into frames; what is left at the end is dropped. */
async function* rawFrames(stream: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer, undefined> {
  let chunks: Buffer[] = []
  let held = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    held += chunk.length
    if (held < bytes) continue
    let all = Buffer.concat(chunks, held)
    for (; all.length >= bytes; all = all.subarray(bytes)) yield all.subarray(0, bytes)
    chunks = [all]
    held = all.length
  }
  return undefined
}
