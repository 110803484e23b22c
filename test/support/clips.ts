import { spawnSync } from 'node:child_process'
import { need } from './skip.js'

const present =
  spawnSync('ffmpeg', ['-version']).status === 0 && spawnSync('ffprobe', ['-version']).status === 0

/** Skips the running test where ffmpeg is not installed. */
export function needFfmpeg(): void {
  need(present, 'ffmpeg')
}

/** Runs ffmpeg, which overwrites its output. */
export function ffmpeg(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (status !== 0) throw new Error(`ffmpeg failed: ${stderr}`)
}

/** A made-up video of ffmpeg's, with a picture that moves. */
export function makeClip(path: string, source: string, ...coding: readonly string[]): string {
  ffmpeg('-f', 'lavfi', '-i', source, ...coding, path)
  return path
}

/** What ffprobe says of the video stream of a file, each frame's seconds included. */
export function probe(path: string): Record<string, string> & { readonly times: number[] } {
  const entries =
    'stream=codec_name,width,height,pix_fmt,sample_aspect_ratio,color_space,color_range:frame=pts_time'
  const { stdout, stderr } = spawnSync(
    'ffprobe',
    ['-v', 'error', '-select_streams', 'v:0', '-show_entries', entries, '-of', 'json', path],
    { encoding: 'utf8' },
  )
  const { streams, frames } = JSON.parse(stdout) as {
    streams: Record<string, string>[]
    frames: { pts_time: string }[]
  }
  if (streams[0] === undefined) throw new Error(`no video in ${path}: ${stderr}`)
  return { ...streams[0], times: frames.map((frame) => Number(frame.pts_time)) } as ReturnType<typeof probe>
}

/** The pixels of one frame of a video, in RGB, with ffmpeg's own conversion. */
export function rgbOf(path: string, index: number): Uint8Array {
  const filter = `select='eq(n,${index})'`
  const args = [
    '-v',
    'error',
    '-i',
    path,
    '-vf',
    filter,
    '-frames:v',
    '1',
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgb24',
    '-',
  ]
  return spawnSync('ffmpeg', args, { maxBuffer: 2 ** 28 }).stdout
}
