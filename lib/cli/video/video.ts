import { performance } from 'node:perf_hooks'
import { readAhead } from '../../calls/read-ahead.js'
import { DEFAULT_MODEL } from '../../checkpoint/default-model.js'
import { FlowError } from '../../errors.js'
import type { FlowField } from '../../flow-field.js'
import { defaultsOf } from '../../load.js'
import type { FlowModel } from '../../model.js'
import { type FlowSize, type OutputSize, resolveGrid } from '../../size.js'
import type { FlowStream } from '../../stream.js'
import type { StreamResult } from '../../stream-options.js'
import type { FlowColorOptions } from '../../viz/index.js'
import { type Cli, UsageError } from '../cli.js'
import { type ComputationFlags, loadModel, prepareModel } from '../model-options.js'
import { checkOutputs } from '../outputs.js'
import { modelFiles, type ModelFlags, pathsOf } from '../run/model-files.js'
import { Progress } from '../run/progress.js'
import { Decoder, type VideoFrame } from './decoder.js'
import { encoderFor } from './encoder.js'
import { type Ffmpeg, findFfmpeg } from './ffmpeg.js'
import { type FileFormat, FlowFiles } from './flow-files.js'
import { type LookOptions, videoSize } from './layers.js'
import { PictureWriter } from './picture-writer.js'
import { Counter, type Ending, type VideoReport } from './report.js'
import { findSource, type VideoSource } from './source.js'
import { describeProgress } from './summary.js'

/** The options of `video`, as commander hands them over. */
export interface VideoFlags extends ModelFlags, ComputationFlags, FlowColorOptions, LookOptions {
  readonly output?: string
  readonly flow?: string
  readonly format?: FileFormat
  readonly backward?: true
  readonly start?: number
  readonly end?: number
  readonly every: number
  readonly fps?: number
  readonly ffmpeg?: string
  readonly json?: true
  readonly quiet?: true
}

/** What became of a video. */
export interface VideoOutcome {
  /** Undefined if there was no frame. */
  readonly report: VideoReport | undefined
  readonly ended: Ending
  /** Why it failed. */
  readonly error: unknown
}

/**
 * Frames that wait for the model, or whose flow waits for its turn to be written. So the model seldom waits for another process,
 * and memory is bounded.
 */
const IN_FLIGHT = 4

/**
 * Computes the flow of a video and writes what was asked for.
 *
 * @throws {UsageError} before the work, for options that do not fit together
 * @throws {FlowError} before the first frame, every error of the library, of ffmpeg and of files
 */
export async function runVideo(given: string, flags: VideoFlags, cli: Cli): Promise<VideoOutcome> {
  checkFlags(flags)
  const source = findSource(given, flags.fps)
  const files = modelFiles(flags)
  const output =
    flags.output === undefined ? [] : [{ option: '--output', path: flags.output, kind: 'video' } as const]
  checkOutputs(output, [...source.files, ...pathsOf(files)])
  const { size, refine } = defaultsOf({ ...flags, ...files })
  const progress = new Progress(cli.err, flags.quiet === true ? 'hidden' : 'shown')
  progress.stage('loading the model')
  try {
    const ffmpeg = await findFfmpeg(flags.ffmpeg)
    if (flags.output !== undefined) encoderFor(flags.output, ffmpeg)
    const flowFiles =
      flags.flow === undefined ? undefined : new FlowFiles(flags.flow, flags.format ?? 'flo', source)
    await using model = await loadModel(files, flags, progress)
    progress.stage('waiting for the first frame')
    const stream = model.stream({
      size,
      refine,
      backward: flags.backward,
      occlusion: flags.occlusion,
      // The threshold suits this model only.
      sceneCut: files.backbone.path === DEFAULT_MODEL,
    })
    const run = new VideoRun(source, flags, ffmpeg, model, stream, flowFiles, progress, size)
    cli.onInterrupt?.(() => run.interrupt())
    const error = await run.finish()
    return { report: run.report(size, refine as VideoReport['refine']), ended: run.ended, error }
  } finally {
    progress.end()
  }
}

/** A frame, and the flow from the one before to it. */
interface Computed {
  readonly frame: VideoFrame
  readonly result: StreamResult | undefined
}

/** The way of one video from its frames to the files. */
class VideoRun {
  readonly #source: VideoSource
  readonly #flags: VideoFlags
  readonly #ffmpeg: Ffmpeg
  readonly #model: FlowModel
  readonly #stream: FlowStream
  readonly #files: FlowFiles | undefined
  readonly #progress: Progress
  readonly #size: FlowSize
  /** Ends what is prepared. */
  readonly #stop = new AbortController()
  #ready: Promise<void> | undefined
  readonly #decoder: Decoder
  readonly #duplicates = new Counter()
  readonly #cuts = new Counter()
  readonly #fields: FlowField[] = []
  #pictures: PictureWriter | undefined
  #before: VideoFrame | undefined
  #begin = 0
  #milliseconds = 0
  #frames = 0
  #flows = 0
  #ended: Ending = null

  constructor(
    source: VideoSource,
    flags: VideoFlags,
    ffmpeg: Ffmpeg,
    model: FlowModel,
    stream: FlowStream,
    files: FlowFiles | undefined,
    progress: Progress,
    size: FlowSize,
  ) {
    this.#source = source
    this.#flags = flags
    this.#ffmpeg = ffmpeg
    this.#model = model
    this.#stream = stream
    this.#files = files
    this.#progress = progress
    this.#size = size
    this.#decoder = new Decoder(ffmpeg, source, flags, (shape) => model.createFrame(shape), IN_FLIGHT + 4)
  }

  get ended(): Ending {
    return this.#ended
  }

  /** Ends the video after the frames that were begun. */
  interrupt(): void {
    this.#ended = 'interrupted'
    this.#stop.abort()
    this.#decoder.stop()
  }

  /** Computes and writes everything. Returns the error that ended it early; what was written before it is finished as well. */
  async finish(): Promise<unknown> {
    let error: unknown
    const attempt = async (work: () => Promise<void> | undefined) => {
      try {
        await work()
      } catch (failure) {
        error ??= failure
      }
    }
    await attempt(() => this.#computeAll())
    this.#progress.tell('finishing the video')
    await attempt(() => this.#pictures?.end())
    this.#stream.close()
    this.#milliseconds = performance.now() - this.#begin
    if (error !== undefined) this.#ended = 'failed'
    return error
  }

  async #computeAll(): Promise<void> {
    const frames = this.#decoder.frames()
    try {
      const results = readAhead(
        frames,
        (frame) => this.#push(frame),
        () => true,
        IN_FLIGHT,
      )
      for await (const { frame, result } of results) await this.#take(frame, result)
    } finally {
      this.#decoder.stop()
    }
    if (this.#frames === 1 && this.#ended === null)
      throw new FlowError('ERR_FRAME', `${this.#source.name}: has only one frame, and flow needs two`)
  }

  async #push(frame: VideoFrame): Promise<Computed> {
    // Frames wait in their order.
    if (frame.index === 0) this.#ready = this.#start(frame)
    await this.#ready
    this.#frames += 1
    const { width, height } = frame.image
    // One more is with the encoder.
    const into = (this.#fields[frame.index % (IN_FLIGHT + 2)] ??= this.#model.createField(width, height))
    return { frame, result: await this.#stream.push(frame.image, { into }) }
  }

  async #start(frame: VideoFrame): Promise<void> {
    const { signal } = this.#stop
    await prepareModel(this.#model, frame.image, this.#size, this.#progress, signal).catch(
      (error: unknown) => {
        if (!signal.aborted) throw error
      },
    )
    this.#begin = performance.now()
    const { output } = this.#flags
    if (output === undefined) return
    this.#pictures = new PictureWriter(
      this.#ffmpeg,
      output,
      this.#flags,
      this.#flags,
      frame,
      this.#decoder.format!,
    )
  }

  async #take(frame: VideoFrame, maps: StreamResult | undefined): Promise<void> {
    const from = this.#before
    this.#before = frame
    if (maps === undefined || from === undefined) return
    const computed = maps.flow === null ? undefined : maps
    if (computed === undefined) this.#cuts.add(frame.index)
    else {
      this.#flows += 1
      if (computed.duplicate) this.#duplicates.add(frame.index)
      await this.#files?.write(from, computed)
    }
    await this.#pictures?.write(from, computed)
    this.#progress.tell(
      describeProgress(frame, this.#decoder.shareAt(frame.seconds), performance.now() - this.#begin),
    )
  }

  report(size: Parameters<typeof resolveGrid>[0], refine: VideoReport['refine']): VideoReport | undefined {
    const { format } = this.#decoder
    if (format === undefined) return undefined
    const { engine, total } = this.#stream.stats()
    const patch = this.#model.info.backbone.patch
    const grid = resolveGrid(size, format, patch)
    const network: OutputSize = { width: grid.gridWidth * patch, height: grid.gridHeight * patch }
    const { output } = this.#flags
    return {
      source: this.#source.name,
      width: format.width,
      height: format.height,
      frames: this.#frames,
      flows: this.#flows,
      network,
      refine,
      duplicates: this.#duplicates.tally(),
      cuts: this.#cuts.tally(),
      faults: this.#decoder.faults.map(({ index, message }) => ({ frame: index + 1, message })),
      notes: this.#source.notes,
      ended: this.#ended,
      fps: this.#frames / (this.#milliseconds / 1000),
      engine,
      total,
      video:
        output === undefined
          ? null
          : {
              path: output,
              frames: this.#pictures?.count ?? 0,
              encoder: encoderFor(output, this.#ffmpeg)[0]!,
              ...videoSize(format, this.#flags),
            },
      files: this.#files === undefined ? null : { folder: this.#files.folder, count: this.#files.count },
      info: this.#model.info,
      prepared: this.#model.prepared,
    }
  }
}

function checkFlags(flags: VideoFlags): void {
  const { output, flow, start = 0, end = Infinity } = flags
  if (output === undefined && flow === undefined)
    throw new UsageError('nothing to write: -o names a video, --flow a folder for a file of flow per frame')
  const looks = (['overlay', 'arrows', 'sideBySide'] as const).filter((look) => flags[look])
  const [look] = looks
  if (output === undefined && look !== undefined)
    throw new UsageError(
      `--${look === 'sideBySide' ? 'side-by-side' : look} is for the video: name it with -o`,
    )
  for (const option of ['backward', 'format'] as const)
    if (flow === undefined && flags[option] !== undefined)
      throw new UsageError(`--${option} is for files of flow: name their folder with --flow`)
  if (!(start < end)) throw new UsageError(`--end ${end} s is not after --start ${start} s`)
}
