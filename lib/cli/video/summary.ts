import { count, dimensions, duration } from '../amounts.js'
import { choiceRows, engineLine, preparedRows } from '../run/summary.js'
import { type Row, table } from '../table.js'
import type { VideoFrame } from './decoder.js'
import type { Tally, VideoReport } from './report.js'

/** Numbers, and faults, that are listed. */
const FEW = 5

/** Describes the results of `video` for people. */
export function summarizeVideo(report: VideoReport): string[] {
  const { info, engine, total, duplicates, cuts, video, files } = report
  const rows: Row[] = [
    ['video', sizeLine(report), ...noteLines(report)],
    ['engine', engineLine(info)],
    ...preparedRows(report.prepared),
    ...choiceRows(info),
    ['speed', `${report.fps.toFixed(1)} frames per second`],
    [
      'per frame',
      `p50 ${duration(engine.p50)}, p90 ${duration(engine.p90)}, p99 ${duration(engine.p99)} in the engine`,
    ],
    [
      '',
      `p50 ${duration(total.p50)}, p90 ${duration(total.p90)}, p99 ${duration(total.p99)} from the frame to its flow`,
    ],
    ['refined', report.refine],
  ]
  if (duplicates.count > 0) rows.push(['duplicates', tallyLine(duplicates, 'like the one before')])
  if (cuts.count > 0) rows.push(['scene cuts', tallyLine(cuts, 'without flow to it')])
  const wrote = [
    ...(video === null
      ? []
      : [
          `${video.path} (${count(video.frames, 'picture')} of ${dimensions(video)}, ${video.encoder})${padding(report)}`,
        ]),
    ...(files === null ? [] : [`${count(files.count, 'file')} in ${files.folder}`]),
  ]
  rows.push(['wrote', ...wrote])
  return table(rows)
}

/** `frame 120 of about 300, 14.2 frames per second, 13 s left`. */
export function describeProgress(
  { index, seconds }: Pick<VideoFrame, 'index' | 'seconds'>,
  share: number | undefined,
  milliseconds: number,
): string {
  const done = index + 1
  const fps = `${(done / (milliseconds / 1000)).toFixed(1)} frames per second`
  if (share === undefined || share === 0) return `frame ${done}, ${clock(seconds)} of video, ${fps}`
  const left = (milliseconds / 1000) * (1 / share - 1)
  return `frame ${done} of about ${Math.max(done, Math.round(done / share))}, ${fps}, ${clock(left)} left`
}

/** `7 s`, `12:07`, `1:12:07`. */
function clock(seconds: number): string {
  const all = Math.round(seconds)
  if (all < 60) return `${all} s`
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60]
  const two = (value: number) => String(value).padStart(2, '0')
  return hours === 0 ? `${minutes}:${two(rest)}` : `${hours}:${two(minutes)}:${two(rest)}`
}

function sizeLine({ source, frames, network, ended, ...size }: VideoReport): string {
  const early = ended === 'interrupted' ? ', then interrupted' : ended === 'failed' ? ', then it failed' : ''
  return `${source}: ${count(frames, 'frame')} of ${dimensions(size)}, computed at ${dimensions(network)}${early}`
}

function noteLines({ notes, faults }: VideoReport): string[] {
  const listed = faults.slice(0, FEW).map(({ frame, message }) => `frame ${frame} has a fault: ${message}`)
  const more = faults.length - listed.length
  if (more > 0) listed.push(`${count(more, 'more frame')} with faults`)
  return [...notes, ...listed].map((line) => `note: ${line}`)
}

function tallyLine({ count: all, frames }: Tally, what: string): string {
  const listed = frames.slice(0, FEW).join(', ')
  const more = all > FEW ? ` and ${all - FEW} more` : ''
  return `${count(all, 'frame')} ${what}: ${listed}${more}`
}

/** H.264 has even sizes only. */
function padding({ width, height }: VideoReport): string {
  const sides = [...(width % 2 === 0 ? [] : ['column']), ...(height % 2 === 0 ? [] : ['row'])]
  return sides.length === 0 ? '' : `, the last ${sides.join(' and ')} doubled to have even sides`
}
