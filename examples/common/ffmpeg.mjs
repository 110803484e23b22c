// Frames of a video, a camera or an address, and videos of frames: through the ffmpeg and ffprobe on the PATH.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { extname, resolve } from 'node:path'
import { UsageError } from './program.mjs'

/**
 * @typedef {'rgb24' | 'yuv420p'} Format
 * @typedef {{ width: number, height: number, aspect: string, rate: string, framesPerSecond: number }} Video `aspect`, of a pixel, and
 *   `rate` are fractions
 * @typedef {{ data: Buffer, width: number, height: number, format: Format, matrix?: 'bt709' }} VideoFrame
 */

/** Whether frames come at their own time, as those of a camera or an address. */
export const isLive = (/** @type {string} */ input) => /^\/dev\/|^\w+:\/\//.test(input)

/**
 * Size and rate of a video.
 *
 * @param {string} input
 * @returns {Promise<Video>}
 */
export async function probe(input) {
  const entries =
    'stream=width,height,sample_aspect_ratio,avg_frame_rate,r_frame_rate:stream_side_data=rotation'
  const args = ['-select_streams', 'V:0', '-show_entries', entries, '-of', 'json', ...inputArguments(input)]
  const child = start('ffprobe', args, 'ignore')
  let text = ''
  for await (const part of child.output) text += part
  await child.end(`${input}: cannot be read`)
  const [stream] = JSON.parse(text).streams ?? []
  if (stream === undefined) throw new Error(`${input}: has no video`)
  const upright =
    (stream.side_data_list?.find((/** @type {any} */ data) => 'rotation' in data)?.rotation ?? 0) % 180 === 0
  const [width, height] = upright ? [stream.width, stream.height] : [stream.height, stream.width]
  const aspect = /^[1-9]\d*:[1-9]/.test(stream.sample_aspect_ratio) ? stream.sample_aspect_ratio : '1:1'
  const rate =
    [stream.avg_frame_rate, stream.r_frame_rate].find((text) => /^[1-9]\d*\/[1-9]/.test(text)) ?? '25/1'
  const [frames, seconds] = rate.split('/').map(Number)
  return {
    width,
    height,
    aspect: (upright ? aspect : aspect.split(':').reverse().join(':')).replace(':', '/'),
    rate,
    framesPerSecond: frames / seconds,
  }
}

/**
 * The frames of a video, at a constant rate. Each has memory of its own.
 *
 * @param {string} input
 * @param {Video} video what `probe` says of it
 * @param {Format} format
 * @param {AbortSignal} [signal] ends the frames
 * @returns {AsyncGenerator<VideoFrame, void, undefined>}
 */
export async function* readFrames(input, { width, height, rate }, format, signal) {
  const half = Math.ceil(width / 2) * Math.ceil(height / 2)
  const size = format === 'rgb24' ? 3 * width * height : width * height + 2 * half
  const colors = format === 'rgb24' ? [] : ['-vf', 'scale=out_color_matrix=bt709:out_range=tv']
  const output = ['-map', '0:V:0', ...colors, '-r', rate, '-f', 'rawvideo', '-pix_fmt', format, 'pipe:1']
  const child = start('ffmpeg', [...inputArguments(input), ...output], 'ignore')
  signal?.addEventListener('abort', child.kill)
  let data = Buffer.alloc(size)
  let filled = 0
  try {
    for await (const chunk of child.output) {
      for (let taken = 0; taken < chunk.length;) {
        const count = chunk.copy(data, filled, taken)
        taken += count
        filled += count
        if (filled < size) continue
        yield { data, width, height, format, ...(format === 'yuv420p' && { matrix: 'bt709' }) }
        data = Buffer.alloc(size)
        filled = 0
      }
    }
    await child.end(`${input}: cannot be decoded`)
  } finally {
    child.kill()
  }
}

/**
 * Refuses an output before the work begins.
 *
 * @param {string} path
 * @param {string} input
 */
export function checkOutput(path, input) {
  if (!['.mp4', '.mkv', '.mov'].includes(extname(path).toLowerCase()))
    throw new UsageError(`${path}: videos are written as .mp4, .mkv or .mov`)
  if (resolve(path) === resolve(input)) throw new UsageError(`${path}: is the input`)
}

/**
 * Writes a video of H.264. If this process ends early, the file ends there, and can be played.
 *
 * @param {string} path as `checkOutput` allows it
 * @param {Video} video
 * @param {Format} format of the frames
 * @param {string} [sound] a file whose sound is taken over
 */
export function writeVideo(path, { width, height, aspect, rate }, format, sound) {
  const size = `${width}x${height}`
  const frames = ['-f', 'rawvideo', '-pix_fmt', format, '-s', size, '-framerate', rate, '-i', 'pipe:0']
  const second =
    sound === undefined ? [] : ['-i', `file:${sound}`, '-map', '0:v', '-map', '1:a?', '-c:a', 'aac']
  // H.264 has even sides.
  const filters = [`setsar=${aspect}`, 'crop=trunc(iw/2)*2:trunc(ih/2)*2']
  if (format === 'rgb24') filters.push('scale=out_color_matrix=bt709:out_range=tv')
  const codec = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '18', '-pix_fmt', 'yuv420p']
  const colors = [
    '-colorspace',
    'bt709',
    '-color_primaries',
    'bt709',
    '-color_trc',
    'bt709',
    '-color_range',
    'tv',
  ]
  const output = ['-vf', filters.join(), ...codec, ...colors, '-movflags', '+faststart', `file:${path}`]
  const child = start('ffmpeg', ['-y', ...frames, ...second, ...output], 'pipe')
  child.input.on('error', () => undefined) // ffmpeg has ended, and `end` says why
  return {
    /** @param {{ readonly data: Uint8Array }} frame not to be changed until the promise is settled */
    async write({ data }) {
      const error = await new Promise((resolve) => child.input.write(data, resolve))
      if (error) throw await child.end(`${path}: cannot be written`).then(() => error)
    },
    async end() {
      child.input.end()
      await child.end(`${path}: cannot be written`)
    },
  }
}

/** @param {string} input */
function inputArguments(input) {
  if (input.startsWith('/dev/')) return ['-f', 'v4l2', '-i', input]
  if (input.startsWith('rtsp://')) return ['-rtsp_transport', 'tcp', '-i', input]
  return ['-i', isLive(input) ? input : `file:${input}`]
}

/**
 * Starts a program of ffmpeg, in a group of its own: Ctrl-C ends this process, and that closes the pipes.
 *
 * @param {'ffmpeg' | 'ffprobe'} name
 * @param {readonly string[]} args
 * @param {'pipe' | 'ignore'} input
 */
function start(name, args, input) {
  const quiet = name === 'ffmpeg' ? ['-nostdin'] : []
  const child = spawn(name, ['-v', 'error', ...quiet, ...args], {
    stdio: [input, 'pipe', 'pipe'],
    detached: true,
  })
  let log = ''
  let killed = false
  child.stderr?.setEncoding('utf8').on('data', (text) => (log = (log + text).slice(-4000)))
  const closed = once(child, 'close')
  closed.catch(() => undefined) // `end` throws it
  return {
    input: /** @type {import('node:stream').Writable} */ (child.stdin),
    output: /** @type {import('node:stream').Readable} */ (child.stdout),
    kill() {
      killed = true
      child.kill('SIGKILL')
    },
    /** @param {string} failure what to say if it failed */
    async end(failure) {
      const [code] = await closed.catch((cause) => {
        throw new Error(
          cause.code === 'ENOENT'
            ? `${name} was not found: install ffmpeg (Debian, Ubuntu: apt-get install ffmpeg; macOS: brew install ffmpeg)`
            : `${name}: ${cause.message}`,
        )
      })
      // Old versions end with 0 if the last bytes could not be written.
      const failed = code !== 0 || /^Error (?:writing|closing)/m.test(log)
      if (failed && !killed) throw new Error(`${failure}: ${reasonIn(log) ?? `${name} ended with ${code}`}`)
    },
  }
}

/** The last line of a log that says something, without the name of the file. */
function reasonIn(/** @type {string} */ log) {
  const lines = log.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('Conversion failed'))
  return lines.at(-1)?.replace(/^file:.*: /, '')
}
