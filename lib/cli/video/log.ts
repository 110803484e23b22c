import type { YuvMatrix } from '../../pixel-formats.js'

// What ffmpeg, with `-loglevel level+info` and the filter showinfo, says of its input, line by line.

/** A frame, as the filter showinfo describes it before its bytes are written. */
export interface FrameInfo {
  /** In units of the time base. */
  readonly pts: number
  /** ffmpeg's name of the pixel format. */
  readonly format: string
  readonly width: number
  readonly height: number
  /** Width to height of a pixel, `1/1`; `0/1` if it is unknown. */
  readonly sampleAspect: string
  /** ffmpeg's name of the colour space; `unknown` if the video does not say. */
  readonly colorSpace: string
}

/** One fact of the log. */
export type LogEvent =
  | { readonly kind: 'duration'; readonly seconds: number }
  | { readonly kind: 'rate'; readonly timeBase: Ratio; readonly framesPerSecond: number }
  | { readonly kind: 'frame'; readonly info: Omit<FrameInfo, 'colorSpace'> }
  | { readonly kind: 'color'; readonly colorSpace: string }
  /** The decoder gave a frame that it knows to be damaged. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'error'; readonly message: string }

export interface Ratio {
  readonly num: number
  readonly den: number
}

/** Undefined for a line that does not matter. */
export function parseLogLine(line: string): LogEvent | undefined {
  // A line of the statistics ends in a carriage return.
  const text = line.slice(line.lastIndexOf('\r') + 1)
  const info = /^\[Parsed_showinfo\S* @ \S+\] \[info\] (.*)/.exec(text)?.[1]
  if (info !== undefined) return parseShowinfo(info)
  const duration = /^\[info\] {3}Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?),/.exec(text)
  if (duration !== null) {
    const [, hours, minutes, seconds] = duration
    return { kind: 'duration', seconds: 3600 * Number(hours) + 60 * Number(minutes) + Number(seconds) }
  }
  if (/\[warning\].*corrupt decoded frame/.test(text)) return { kind: 'damaged' }
  const error = /^(?:\[[^\]]* @ \w+\] )*\[(?:error|fatal|panic)\] (.*\S)/.exec(text)?.[1]
  if (error === undefined) return undefined
  // The address of a camera often has a password.
  return { kind: 'error', message: error.replace(/(:\/\/)[^\s/@]*@/g, '$1') }
}

function parseShowinfo(text: string): LogEvent | undefined {
  const rate = /^config in time_base: (\d+)\/(\d+), frame_rate: (\d+)\/(\d+)/.exec(text)
  if (rate !== null) {
    const [num, den, frames, seconds] = rate.slice(1).map(Number) as [number, number, number, number]
    return { kind: 'rate', timeBase: { num, den }, framesPerSecond: seconds === 0 ? 0 : frames / seconds }
  }
  const frame = /^n: *\d+ pts: *(-?\d+|NOPTS) .*\bfmt:(\S+) .*\bsar:(\d+\/\d+) s:(\d+)x(\d+)/.exec(text)
  if (frame !== null) {
    const [, pts, format, sampleAspect, width, height] = frame as unknown as string[]
    const info = { pts: Number(pts), format: format!, width: Number(width), height: Number(height) }
    return { kind: 'frame', info: { ...info, sampleAspect: sampleAspect! } }
  }
  const colorSpace = /\bcolor_space:(\S+)/.exec(text)?.[1]
  return colorSpace === undefined ? undefined : { kind: 'color', colorSpace }
}

/** The matrix of a video. One that does not say is taken for what its size mostly has. */
export function matrixOf({ colorSpace, height }: FrameInfo): YuvMatrix {
  if (colorSpace === 'bt709') return 'bt709'
  if (colorSpace.startsWith('bt2020')) return 'bt2020'
  if (colorSpace === 'unknown' && height >= 720) return 'bt709'
  return 'bt601'
}
