import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import { isLive, probe, readFrames, writeVideo } from '../common/ffmpeg.mjs'
import { numberOf, program, progress, say, UsageError } from '../common/program.mjs'

const USAGE = `
Usage: node recorder.mjs <in> [-o <folder>]

Writes a clip of each time in which something moves. <in> is a video, a camera (/dev/video0) or an rtsp:// address.
Clips of a video are named by the time in it, those of a camera by the time of day.

  -o, --output <folder>  of the clips (default: clips)
  --area <percent>       of the frame that must move (default: 1)
  --confidence <p>       a pixel counts if its flow is right with this probability (default: 0.5)
  --before <seconds>     that a clip begins before the motion (default: 2)
  --after <seconds>      that it goes on after the motion (default: 3)
  --rate <n>             frames per second that are looked at (default: 10)
  -h, --help
`
/** The longer side of the flow, in pixels. Motion is found as well as in the whole frame. */
const SIDE = 320
/** A pixel moves if it does by more than this, in those pixels, from one frame that is looked at to the next. */
const MOTION = 1
/** A clip begins if so many frames in a row have motion: a light that is switched on changes one. */
const IN_A_ROW = 3

/**
 * The share of the pixels that surely move, 0 to 1.
 *
 * @param {import('dinov3-flow').StreamResult | undefined} result
 * @param {number} confidence
 */
function movingShare(result, confidence) {
  if (!result?.flow) return 0
  const { x, y } = result.flow
  const sure = /** @type {Float32Array} */ (result.confidence?.data)
  let moving = 0
  for (let i = 0; i < x.length; i++) if (sure[i] >= confidence && Math.hypot(x[i], y[i]) > MOTION) moving += 1
  return moving / x.length
}

/** The name of a clip: the time in a video, as 00h01m07.4s, or of the day, as 2026-05-31T23-59-04. */
function nameOf(/** @type {number} */ seconds, /** @type {boolean} */ live) {
  const date = new Date(1000 * seconds)
  if (live) {
    const local = new Date(date.getTime() - 60_000 * date.getTimezoneOffset())
    return local.toISOString().slice(0, 19).replaceAll(':', '-')
  }
  const [hours, minutes, rest] = date.toISOString().slice(11, 21).split(':')
  return `${hours}h${minutes}m${rest}s`
}

await program(
  USAGE,
  () =>
    parseArgs({
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o', default: 'clips' },
        area: { type: 'string', default: '1' },
        confidence: { type: 'string', default: '0.5' },
        before: { type: 'string', default: '2' },
        after: { type: 'string', default: '3' },
        rate: { type: 'string', default: '10' },
        help: { type: 'boolean', short: 'h' },
      },
    }),
  async ({ values, positionals: [input, ...others] }) => {
    if (input === undefined || others.length > 0) throw new UsageError('give one video, camera or address')
    const area = numberOf('--area', values.area, 0, 100) / 100
    const confidence = numberOf('--confidence', values.confidence, 0, 1)
    const rate = numberOf('--rate', values.rate, 0.1, 1000)
    const [before, after] = [
      numberOf('--before', values.before, 0, 60),
      numberOf('--after', values.after, 0, 3600),
    ]

    const video = await probe(input)
    const { width, height, framesPerSecond } = video
    await mkdir(values.output, { recursive: true })
    const scale = Math.min(1, SIDE / Math.max(width, height))
    const model = await FlowModel.load({ preset: 'fast' })
    const stream = model.stream({
      confidence: true,
      output: [Math.ceil(scale * height), Math.ceil(scale * width)],
    })
    const every = Math.max(1, Math.round(framesPerSecond / rate))
    const live = isLive(input)
    let begin = 0
    const timeOf = (/** @type {number} */ frame) => nameOf(begin + frame / framesPerSecond, live)

    /** @type {import('../common/ffmpeg.mjs').VideoFrame[]} the last ones, with which the next clip begins */
    const kept = []
    /** @type {{ path: string, writer: ReturnType<typeof writeVideo>, first: number } | undefined} */
    let clip
    let [clips, index, inARow, lastMotion] = [0, 0, 0, -Infinity]
    const endClip = async () => {
      await clip?.writer.end()
      if (clip) say(`${clip.path}: ${((index - clip.first) / framesPerSecond).toFixed(1)} s`)
      clip = undefined
    }
    const stop = new AbortController()
    process.once('SIGINT', () => stop.abort()) // the second one ends the process
    for await (const frame of readFrames(input, video, 'yuv420p', stop.signal)) {
      if (index === 0 && live) begin = Date.now() / 1000
      if (index % every === 0) {
        const share = movingShare(await stream.push(frame), confidence)
        inARow = share > 0 && share >= area ? inARow + 1 : 0
        if (inARow >= (clip ? 1 : IN_A_ROW)) lastMotion = index
        progress(`${timeOf(index)}  ${(100 * share).toFixed(1)} % moves${clip ? ', recording' : ''}`)
      }
      kept.push(frame)
      index += 1
      if (!clip && lastMotion === index - 1) {
        const first = index - kept.length
        const path = join(values.output, `${timeOf(first)}.mp4`)
        clip = { path, writer: writeVideo(path, video, 'yuv420p'), first }
        clips += 1
        say(`${path}: begins`)
      }
      if (clip) {
        for (const each of kept.splice(0)) await clip.writer.write(each)
        if (index - lastMotion > after * framesPerSecond) await endClip()
      } else if (kept.length > before * framesPerSecond + (IN_A_ROW - 1) * every) kept.shift()
    }
    await endClip()
    stream.close()
    await model.dispose()
    say(clips === 0 ? 'nothing moved' : `${clips} ${clips === 1 ? 'clip' : 'clips'} in ${values.output}`)
  },
)
