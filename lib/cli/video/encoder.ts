import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rename, rm, stat } from 'node:fs/promises'
import { dirname, extname, join, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { FlowError } from '../../errors.js'
import type { FrameBuffer } from '../../frame.js'
import { shortPath } from '../../support/quote.js'
import { followLinks } from '../../support/write-file.js'
import type { VideoFormat } from './decoder.js'
import { exitOf, type Ffmpeg, runFfmpeg, spawnFfmpeg } from './ffmpeg.js'
import { filterGraph, type LookOptions, layersOf, trackFormatOf } from './layers.js'
import { clusterOf, streamHeader } from './matroska.js'

/** Formats whose index is written at the end, without which nothing can be played. */
const INDEXED = ['.mp4', '.mov', '.m4v']

/** Encoders in the order of preference: those of H.264, and the one that every ffmpeg has. */
const ENCODERS: readonly (readonly string[])[] = [
  // The fastest preset with what costs little of what it lacks: of a video in colours, half the time of the next preset, and
  // half the bytes.
  [
    'libx264',
    '-preset',
    'ultrafast',
    '-crf',
    '20',
    '-x264-params',
    'cabac=1:8x8dct=1:no-deblock=0:deblock=0,0',
  ],
  ['libopenh264', '-b:v', '8M'],
  ['h264_videotoolbox', '-q:v', '65'],
  ['mpeg4', '-q:v', '3'],
]
const WEBM_ENCODERS: readonly (readonly string[])[] = [
  ['libvpx-vp9', '-crf', '24', '-b:v', '0', '-deadline', 'realtime', '-cpu-used', '6', '-row-mt', '1'],
  ['libvpx', '-crf', '8', '-b:v', '8M', '-deadline', 'realtime', '-cpu-used', '6'],
]

/**
 * The arguments that choose an encoder.
 *
 * @throws {FlowError} `ERR_NATIVE` if this ffmpeg has none for the file
 */
export function encoderFor(path: string, { encoders, path: program }: Ffmpeg): readonly string[] {
  const candidates = extname(path).toLowerCase() === '.webm' ? WEBM_ENCODERS : ENCODERS
  const found = candidates.find(([name]) => encoders.has(name!))
  if (found !== undefined) return found
  const names = candidates.map(([name]) => name).join(', ')
  throw new FlowError(
    'ERR_NATIVE',
    `${shortPath(path)}: ${shortPath(program)} has no encoder for it (${names}): give another extension, or another ffmpeg by --ffmpeg`,
  )
}

/**
 * Writes a video through ffmpeg. What is on the disk can be played at any time: an MP4 is written in fragments of a second, and
 * put in order at the end.
 */
export class Encoder {
  readonly #ffmpeg: Ffmpeg
  readonly #path: string
  readonly #child: ChildProcess
  readonly #input: Writable
  readonly #exit: Promise<number | null>
  #log = ''
  #written: Promise<void>
  #failed = false
  /** Pictures that were handed to ffmpeg. */
  count = 0

  /** @param image a frame: its size and format are those of all */
  constructor(ffmpeg: Ffmpeg, path: string, look: LookOptions, image: FrameBuffer, video: VideoFormat) {
    this.#ffmpeg = ffmpeg
    this.#path = path
    const args = encoderArguments(ffmpeg, path, filterGraph(look, image, video), video)
    this.#child = spawnFfmpeg(ffmpeg.path, args, ['pipe', 'ignore', 'pipe'])
    this.#exit = exitOf(this.#child, ffmpeg.path)
    this.#exit.catch(() => undefined) // `end` throws it
    this.#input = this.#child.stdin!
    this.#input.on('error', () => undefined) // ffmpeg has ended, and its log has the reason
    this.#child
      .stderr!.setEncoding('utf8')
      .on('data', (text: string) => (this.#log = (this.#log + text).slice(-4000)))
    const header = streamHeader(
      layersOf(look).map((layer) => trackFormatOf(layer, image)),
      image,
    )
    this.#written = this.#send([header])
  }

  /**
   * Writes the pictures of one moment, one for each layer. They must not change until the next call is settled, or `end` is.
   *
   * @throws {FlowError} `ERR_IO` if ffmpeg cannot write the file
   */
  async write(seconds: number, pictures: readonly Uint8Array[]): Promise<void> {
    await this.#written
    if (this.#failed) throw await this.#failure()
    this.#written = this.#send(clusterOf(Math.round(1e6 * seconds), pictures))
    this.count += 1
  }

  /**
   * Finishes the file.
   *
   * @throws {FlowError} `ERR_IO` if it cannot be written; what is on the disk can be played
   */
  async end(): Promise<void> {
    await this.#written
    this.#input.end()
    const code = await this.#exit
    // Old versions exit with 0 if the last bytes could not be written.
    if (code !== 0 || this.#failed || /^Error (?:writing|closing)/m.test(this.#log))
      throw await this.#failure()
    if (INDEXED.includes(extname(this.#path).toLowerCase())) await this.#putInOrder()
  }

  /** Resolves once the last chunk has left this process. */
  #send(chunks: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      this.#input.cork()
      chunks.forEach((chunk, i) => {
        this.#input.write(chunk, (error) => {
          if (error) this.#failed = true
          if (error || i === chunks.length - 1) resolve()
        })
      })
      this.#input.uncork()
    })
  }

  async #failure(): Promise<FlowError> {
    const code = await this.#exit
    const lines = this.#log.split('\n').map((line) => line.replace(/^\[[^\]]*\] |\r/g, '').trim())
    const telling = lines.filter(
      (line) => line !== '' && !/^(?:Conversion failed|Error writing trailer)/.test(line),
    )
    const reason =
      telling.find((line) => /No space left/.test(line)) ?? telling.at(-1) ?? `ffmpeg ended with ${code}`
    const kept = await stat(this.#path).then(
      ({ size }) => size > 0,
      () => false,
    )
    return new FlowError(
      'ERR_IO',
      `${shortPath(this.#path)}: cannot be written after about frame ${this.count}: ${reason}` +
        `${kept ? '; what was written before can be played' : ''}`,
    )
  }

  /** Makes an ordinary MP4 of the fragments, with the index at the beginning. If there is no room for it, they stay. */
  async #putInOrder(): Promise<void> {
    const target = followLinks(resolve(this.#path))
    const file = await stat(target).catch(() => undefined)
    if (file === undefined || !file.isFile()) return
    const ordered = join(dirname(target), `.dinov3-flow-${randomUUID()}${extname(target) || '.mp4'}`)
    const copy = '-map 0 -c copy -movflags +faststart'.split(' ')
    const args = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-n', '-i', `file:${target}`, ...copy]
    const { code } = await runFfmpeg(this.#ffmpeg.path, [...args, `file:${ordered}`])
    if (code === 0) await rename(ordered, target).catch(() => undefined)
    await rm(ordered, { force: true })
  }
}

function encoderArguments(ffmpeg: Ffmpeg, path: string, graph: string, { timeBase }: VideoFormat): string[] {
  const [encoder, ...quality] = encoderFor(path, ffmpeg)
  const indexed = INDEXED.includes(extname(path).toLowerCase())
  const input = '-hide_banner -loglevel error -y -f matroska -fpsprobesize 0 -i pipe:0'.split(' ')
  const color = '-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv'.split(' ')
  const times = [...ffmpeg.keepTimestamps, '-enc_time_base', `${timeBase.num}/${timeBase.den}`]
  const fragments = '-movflags +delay_moov+default_base_moof -frag_duration 1000000'.split(' ')
  // Without `flush_packets` a full disk is found at the end.
  const coded = [
    '-flush_packets',
    '1',
    ...times,
    '-c:v',
    encoder!,
    ...quality,
    ...color,
    ...(indexed ? fragments : []),
  ]
  return [...input, '-filter_complex', graph, '-map', '[video]', ...coded, `file:${resolve(path)}`]
}
