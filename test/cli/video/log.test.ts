import { describe, expect, test } from 'vitest'
import { matrixOf, parseLogLine } from '../../../lib/cli/video/log.js'

const at = '[Parsed_showinfo_3 @ 0x55866b46ab40] [info] '
const frame = { pts: 1024, format: 'nv12', width: 320, height: 240, sampleAspect: '1/1' }

describe('a line of the log', () => {
  test.each([
    [
      'version 5',
      `${at}n:   1 pts:   1024 pts_time:0.1     pos:     8481 fmt:nv12 sar:1/1 s:320x240 i:P iskey:0 type:B `,
    ],
    [
      'version 7',
      `${at}n:   1 pts:   1024 pts_time:0.1 duration:512 duration_time:0.05 fmt:nv12 cl:left sar:1/1 s:320x240 i:P iskey:0 type:B `,
    ],
    [
      'after statistics',
      `frame=    1 fps=0.0 q=0.0 size=       0kB\r${at}n:   1 pts:   1024 pts_time:0.1 pos: 1 fmt:nv12 sar:1/1 s:320x240 i:P`,
    ],
  ])('describes a frame: %s', (_, line) => {
    expect(parseLogLine(line)).toEqual({ kind: 'frame', info: frame })
  })

  test('describes the rest of what is needed', () => {
    expect(parseLogLine(`${at}config in time_base: 1/10240, frame_rate: 30000/1001`)).toEqual({
      kind: 'rate',
      timeBase: { num: 1, den: 10240 },
      framesPerSecond: 30000 / 1001,
    })
    expect(
      parseLogLine(`${at}color_range:tv color_space:bt709 color_primaries:bt709 color_trc:bt709`),
    ).toEqual({
      kind: 'color',
      colorSpace: 'bt709',
    })
    expect(parseLogLine('[info]   Duration: 01:02:03.50, start: 0.000000, bitrate: 172 kb/s')).toEqual({
      kind: 'duration',
      seconds: 3723.5,
    })
    expect(parseLogLine('[warning] in.mp4: corrupt decoded frame in stream 0')).toEqual({ kind: 'damaged' })
    expect(parseLogLine('[h264 @ 0x5581] [error] error while decoding MB 5 2, bytestream -5')).toEqual({
      kind: 'error',
      message: 'error while decoding MB 5 2, bytestream -5',
    })
  })

  test('does not tell the password of an address', () => {
    expect(parseLogLine('[error] rtsp://user:secret@camera/stream: Connection refused')).toEqual({
      kind: 'error',
      message: 'rtsp://camera/stream: Connection refused',
    })
  })

  test('is no fact if it only looks like one, in the metadata of a file', () => {
    expect(parseLogLine('[info]     title           : [h264 @ 0x5581] [error] all is lost')).toBeUndefined()
    expect(parseLogLine('[info]     comment         : n: 1 pts: 5 fmt:nv12 sar:1/1 s:9x9 ')).toBeUndefined()
    expect(parseLogLine('[info]     Duration: 01:02:03.50, start')).toBeUndefined()
  })
})

test('the matrix is that of the video, or what videos of its size mostly have', () => {
  const matrix = (colorSpace: string, height: number) => matrixOf({ ...frame, colorSpace, height })
  expect([matrix('bt709', 240), matrix('smpte170m', 1080), matrix('bt2020nc', 1080)]).toEqual([
    'bt709',
    'bt601',
    'bt2020',
  ])
  expect([matrix('unknown', 480), matrix('unknown', 720)]).toEqual(['bt601', 'bt709'])
})
