import type { ChildProcess } from 'node:child_process'
import { basename } from 'node:path'
import { FlowError } from '../../errors.js'
import type { FrameBuffer, FrameShape } from '../../frame.js'
import { exitOf, type Ffmpeg, spawnFfmpeg } from './ffmpeg.js'
import { ExactReader } from './exact-reader.js'
import { type Fault, FrameInfos } from './frame-infos.js'
import { type FrameInfo, matrixOf, type Ratio } from './log.js'
import type { VideoSource } from './source.js'

/** Which frames of a source are decoded. */
export interface FrameRange {
  /** Seconds from the beginning. */
  readonly start?: number | undefined
  readonly end?: number | undefined
  /** Every so many frames. */
  readonly every: number
}

/** A decoded frame. */
export interface VideoFrame {
  /** Counts the frames that were taken, from 0. */
  readonly index: number
  /** Seconds from the first frame. More than those of the frame before. */
  readonly seconds: number
  /** Its index among the source's pictures. It jumps where one cannot be read. */
  readonly picture: number
  readonly image: FrameBuffer
}

/** What is known of a video once its first frame is there. */
export interface VideoFormat {
  readonly width: number
  readonly height: number
  readonly sampleAspect: string
  readonly timeBase: Ratio
  /** 0 if it is unknown. */
  readonly framesPerSecond: number
}

/** ffmpeg's names of the formats that are asked for, and the frame's. */
const FORMATS = { yuv420p: 'i420', yuv444p: 'i444', rgb24: 'rgb' } as const
const MOST_FAULTS = 1000
/** Frames per second of a video that tells neither times nor a rate. */
const DEFAULT_RATE = 25
/** The part of its duration that a video with errors must reach. Durations are not exact. */
const COMPLETE = 0.9

/**
 * Reads the frames of a video through ffmpeg. It keeps the pixels as they are coded: YUV is not converted to RGB, pixels that are
 * not square stay so, and only a rotation is applied.
 */
export class Decoder {
  readonly #source: VideoSource
  readonly #range: FrameRange
  readonly #makeFrame: (shape: FrameShape) => FrameBuffer
  readonly #inMemory: number
  readonly #child: ChildProcess
  readonly #exit: Promise<number | null>
  readonly #infos: FrameInfos
  readonly #reader: ExactReader
  readonly #faults: Fault[] = []
  #format: VideoFormat | undefined
  #stopped = false

  /**
   * @param makeFrame makes the memory of a frame
   * @param inMemory frames whose memory is made; then it is used again
   */
  constructor(
    ffmpeg: Ffmpeg,
    source: VideoSource,
    range: FrameRange,
    makeFrame: (shape: FrameShape) => FrameBuffer,
    inMemory: number,
  ) {
    this.#source = source
    this.#range = range
    this.#makeFrame = makeFrame
    this.#inMemory = inMemory
    const stdin = source.standardInput ? 'inherit' : 'ignore'
    this.#child = spawnFfmpeg(ffmpeg.path, decoderArguments(source, range), [stdin, 'pipe', 'pipe'])
    this.#exit = exitOf(this.#child, ffmpeg.path)
    this.#exit.catch(() => undefined) // handled where the frames end
    this.#infos = new FrameInfos(this.#child.stderr!, (fault) => {
      if (this.#faults.length < MOST_FAULTS) this.#faults.push(fault)
    })
    this.#reader = new ExactReader(this.#child.stdout!)
  }

  /** Undefined before the first frame. */
  get format(): VideoFormat | undefined {
    return this.#format
  }

  /** Faults that were survived so far, in order. */
  get faults(): readonly Fault[] {
    return this.#faults
  }

  /** The part of the video that ends with the frame of a moment, 0 to 1; undefined if the duration is unknown. */
  shareAt(seconds: number): number | undefined {
    const { start = 0, end = Infinity, every } = this.#range
    const last = every / (this.#format?.framesPerSecond || Infinity)
    const length = Math.min(end, this.#infos.duration ?? Infinity) - start
    return length > 0 && length < Infinity ? Math.min(1, (seconds + last) / length) : undefined
  }

  /** Ends the frames after the one that is read now. */
  stop(): void {
    this.#stopped = true
    this.#kill()
  }

  /**
   * The frames in order. A frame is valid until one less than `inMemory` others were taken.
   *
   * @throws {FlowError} `ERR_FRAME` if there is no video, its size changes, or it cannot be decoded to its end; `ERR_NATIVE` if
   *   ffmpeg could not be started
   */
  async *frames(): AsyncGenerator<VideoFrame, void, undefined> {
    const buffers: FrameBuffer[] = []
    let first: FrameInfo | undefined
    let seconds = 0
    let picture = -this.#range.every
    try {
      for (let index = 0; ; index++) {
        const info = await this.#infos.next()
        if (info === undefined) break
        first ??= info
        this.#format ??= { ...first, ...this.#infos.rate! }
        if (info.width !== first.width || info.height !== first.height)
          throw this.#resized(first, info, index)
        const image = (buffers[index % this.#inMemory] ??= this.#makeFrame(shapeOf(first)))
        if (!(await this.#reader.fill(image.data))) break
        const { num, den } = this.#format.timeBase
        const time = ((info.pts - first.pts) * num) / den
        // Two pictures of one time would be one, and a stream without times has regular ones.
        if (Number.isNaN(time)) seconds = index / (this.#format.framesPerSecond || DEFAULT_RATE)
        else seconds = index === 0 ? 0 : Math.max(time, seconds + num / den)
        const moment = (info.pts * num) / den + (this.#source.seekable ? (this.#range.start ?? 0) : 0)
        const next = Math.round(moment * this.#source.rate)
        this.#nameFault(index, picture + this.#range.every, next)
        picture = next
        yield { index, seconds, picture, image }
      }
      if (!this.#stopped) await this.#checkEnd(seconds)
    } finally {
      this.#kill()
      await this.#exit.catch(() => undefined)
    }
  }

  /** Names the picture that is missing between two others, where one could not be decoded. */
  #nameFault(index: number, expected: number, found: number): void {
    const fault = this.#faults.at(-1)
    const file = this.#source.files[expected]
    if (
      this.#source.pictures.length === 0 ||
      fault?.index !== index ||
      found <= expected ||
      file === undefined
    )
      return
    this.#faults[this.#faults.length - 1] = { index, message: `${basename(file)}: ${fault.message}` }
  }

  #kill(): void {
    this.#child.stdout!.destroy()
    // It has no file to finish.
    this.#child.kill('SIGKILL')
  }

  #resized(first: FrameInfo, info: FrameInfo, index: number): FlowError {
    return new FlowError(
      'ERR_FRAME',
      `${this.#source.name}: frame ${index + 1} is ${info.width} x ${info.height}, and those before are ` +
        `${first.width} x ${first.height}: what is before it is done; --start takes the rest`,
    )
  }

  /** Tells an end from a failure: ffmpeg may exit with 0 although it could decode no more. */
  async #checkEnd(seconds: number): Promise<void> {
    const code = await this.#exit
    const { name } = this.#source
    const { count, errors } = this.#infos
    const reason = errors.at(-1)
    if (count === 0) {
      const missing = errors.some((message) => /matches no streams|does not contain any stream/.test(message))
      const why = missing
        ? 'has no video stream'
        : `ffmpeg finds no frames in it${reason === undefined ? '' : `: ${reason}`}`
      const start = this.#range.start === undefined ? '' : ' after --start'
      throw new FlowError('ERR_FRAME', `${name}: ${why}${start}`)
    }
    const share = this.shareAt(seconds) ?? 1
    const early = reason !== undefined && share < COMPLETE
    if (code === 0 && !early) return
    const where = early ? `, at ${Math.floor(100 * share)} % of its duration` : ''
    throw new FlowError(
      'ERR_FRAME',
      `${name}: cannot be decoded after frame ${count}${where}: ${reason ?? `ffmpeg ended with ${code}`}; ` +
        'the frames before are done',
    )
  }
}

function decoderArguments(
  { input, seekable, standardInput }: VideoSource,
  { start, end, every }: FrameRange,
): string[] {
  const range = (name: string, value: number | undefined) =>
    value === undefined ? [] : [name, String(value)]
  const seek = seekable ? [...range('-ss', start), ...range('-to', end)] : []
  const filters = [
    ...(!seekable && (start ?? end) !== undefined ? [`trim=start=${start ?? 0}:end=${end ?? 1e9}`] : []),
    ...(every > 1 ? [`select='not(mod(n,${every}))'`] : []),
    'scale=out_range=tv',
    `format=${Object.keys(FORMATS).join('|')}`,
    'showinfo=checksum=0',
    // From here on times are regular, so that no frame is repeated or left out.
    'settb=1/25',
    'setpts=N',
  ]
  const log = ['-hide_banner', '-loglevel', 'level+info', '-nostats', ...(standardInput ? [] : ['-nostdin'])]
  const output = ['-map', '0:V:0', '-vf', filters.join(','), '-r', '25', '-f', 'rawvideo', 'pipe:1']
  return [...log, ...seek, ...input, ...output]
}

function shapeOf(info: FrameInfo): FrameShape {
  const { width, height } = info
  const format = FORMATS[info.format as keyof typeof FORMATS]
  return format === 'rgb'
    ? { width, height, format }
    : { width, height, format, range: 'video', matrix: matrixOf(info) }
}
