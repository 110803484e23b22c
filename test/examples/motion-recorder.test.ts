import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { scratch } from '../cli/helpers.js'
import { makeClip, needFfmpeg, probe, rgbOf } from '../support/clips.js'
import { meanDifference } from '../support/compare.js'
import { skipIf } from '../support/skip.js'
import { example, runExample } from './run.js'
import { renderClip, texture } from './scenes.js'

const at = scratch()
const [WIDTH, HEIGHT, RATE] = [160, 120, 10]
const recorder = (...args: readonly string[]) => runExample('motion-recorder/recorder.mjs', args)

interface Scene {
  /** When a ball crosses the wall: frames. */
  readonly events: readonly { readonly from: number; readonly to: number }[]
  readonly frames: number
  readonly noise: number
  /** The light before frame 14, when it is switched on. */
  readonly dark: number
}

/** A ball crosses a wall, in front of a camera with noise. */
function clip({ events, frames, noise, dark }: Scene): string {
  const [wall, ball] = [texture(1, [110, 120, 110]), texture(2, [190, 110, 60])]
  return renderClip(at(`${events.length} events.mkv`), {
    width: WIDTH,
    height: HEIGHT,
    rate: RATE,
    frames,
    noise,
    paint: (frame) => {
      const light = frame < 14 ? dark : 1
      const event = events.find(({ from, to }) => frame >= from && frame < to)
      const x0 = event && 40 + 8 * (frame - event.from)
      return (x, y, into) => {
        if (x0 !== undefined && Math.hypot(x - x0, y - 60) < 18) ball(x - x0, y, into)
        else wall(x, y, into)
        for (let c = 0; c < 3; c++) into[c]! *= light
      }
    },
  })
}

describe('the motion recorder', () => {
  test('writes a clip of each event, with what was before and after, and none of noise and light', async () => {
    needFfmpeg()
    const events = [
      { from: 28, to: 37 },
      { from: 62, to: 71 },
    ]
    const source = clip({ events, frames: 90, noise: 10, dark: 0.35 })
    const { code, out, err } = await recorder(source, '-o', at('clips'), '--before', '1', '--after', '1')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    // The first motion is that from frame 28, where the ball appears, to frame 29.
    const names = ['00h00m01.9s.mp4', '00h00m05.3s.mp4']
    expect(readdirSync(at('clips'))).toEqual(names)
    expect(out).toMatch(
      /01\.9s\.mp4: begins\n.*01\.9s\.mp4: 2\.8 s\n.*00h00m05\.3s\.mp4: 2\.8 s\n2 clips in /s,
    )
    for (const [i, name] of names.entries()) {
      const written = probe(at(`clips/${name}`))
      expect(written).toMatchObject({
        codec_name: 'h264',
        width: WIDTH,
        height: HEIGHT,
        color_space: 'bt709',
      })
      expect(written.times).toHaveLength(28)
      // In the middle there is the ball, at the end an empty wall.
      const began = events[i]!.from - 9
      for (const frame of [14, 27]) {
        const difference = meanDifference(rgbOf(at(`clips/${name}`), frame), rgbOf(source, began + frame))
        expect(difference).toBeLessThan(6)
      }
    }
  })

  test('is quiet where nothing moves', { tags: ['slow'] }, async () => {
    needFfmpeg()
    // In the dark, single flows of such noise do have sure motion.
    const source = clip({ events: [], frames: 40, noise: 40, dark: 0.1 })
    const { out } = await recorder(source, '-o', at('none'))
    expect(out).toBe('nothing moved\n')
    expect(readdirSync(at('none'))).toEqual([])
  })

  test('Ctrl-C ends the clip, which plays', { tags: ['slow'] }, async () => {
    needFfmpeg()
    skipIf(process.platform === 'win32', 'Windows has no signals')
    const source = makeClip(at('endless.mkv'), 'testsrc2=s=64x48:r=100:d=60', '-c:v', 'mpeg4')
    const args = [example('motion-recorder/recorder.mjs'), source, '-o', at('cut-off')]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    for await (const text of child.stdout.setEncoding('utf8')) {
      if (out === '') child.kill('SIGINT')
      out += text
    }
    const [, path, seconds] = /^(.*): begins\n\1: (.*) s\n1 clip in /.exec(out)!
    expect(Number(seconds)).toBeLessThan(59)
    expect(probe(path!).times.length / 100).toBeCloseTo(Number(seconds), 1)
  })

  test('says what is wrong', async () => {
    needFfmpeg()
    writeFileSync(at('text.mp4'), 'no video')
    const outcomes = await Promise.all([
      recorder(at('text.mp4')),
      recorder(at('missing.mp4')),
      recorder(),
      recorder('a.mp4', '--area', 'much'),
      recorder('a.mp4', '--speed', '3'),
      runExample('motion-recorder/recorder.mjs', ['a.mp4'], { PATH: '/nowhere' }),
    ])
    expect(outcomes.map(({ code, err }) => ({ code, err }))).toEqual([
      { code: 1, err: expect.stringMatching(/^error: .*text\.mp4: cannot be read: .*Invalid data/) },
      { code: 1, err: expect.stringMatching(/missing\.mp4: cannot be read: .*No such file/) },
      { code: 2, err: expect.stringContaining('give one video, camera or address') },
      { code: 2, err: expect.stringContaining("--area: must be a number from 0 to 100, not 'much'") },
      { code: 2, err: expect.stringContaining("Unknown option '--speed'") },
      { code: 1, err: expect.stringMatching(/ffprobe was not found: install ffmpeg .*apt-get/) },
    ])
  })
})
