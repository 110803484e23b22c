import { spawnSync } from 'node:child_process'
import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { scratch } from '../cli/helpers.js'
import { ffmpeg, makeClip, needFfmpeg, probe, rgbOf } from '../support/clips.js'
import { need, skipIf } from '../support/skip.js'
import { runExample } from './run.js'
import { renderClip, texture } from './scenes.js'

const at = scratch()
const [WIDTH, HEIGHT, RATE, FRAMES] = [200, 152, 15, 30]
const PYTHON = '/usr/bin/python3'
const stabilise = (...args: readonly string[]) => runExample('stabiliser/stabilise.mjs', args)

/** A hand-held camera that goes to the right, and a ball that goes to the left. The rim of each frame is magenta. */
function shakyClip(path: string): string {
  const [ground, ball] = [texture(1, [110, 120, 110]), texture(2, [190, 110, 60])]
  return renderClip(path, {
    width: WIDTH,
    height: HEIGHT,
    rate: RATE,
    frames: FRAMES,
    noise: 4,
    paint: (f) => {
      const [dx, dy] = [1.5 * f + 3 * Math.sin(2.1 * f) + 2 * Math.sin(1.3 * f), 3 * Math.sin(1.7 * f + 1)]
      const angle = 0.015 * Math.sin(1.9 * f)
      const [c, s] = [Math.cos(angle), Math.sin(angle)]
      return (x, y, into) => {
        const [u, v] = [x - WIDTH / 2, y - HEIGHT / 2]
        if (x < 2 || y < 2 || x >= WIDTH - 2 || y >= HEIGHT - 2) into.set([255, 0, 255])
        else if (Math.hypot(x - 170 + 3 * f, y - 100) < 18) ball(x + 3 * f, y, into)
        else ground(c * u - s * v + dx, s * u + c * v + dy, into)
      }
    },
  })
}

/** Standard deviations of the motion of two cameras, in px, px, radians, by OpenCV. Those of a camera that goes evenly are zero. */
function shakeOf(...paths: readonly [string, string]): readonly [number[], number[]] {
  const script = fileURLToPath(new URL('camera_path.py', import.meta.url))
  const { status, error, stdout, stderr } = spawnSync(PYTHON, [script, ...paths], { encoding: 'utf8' })
  need(error === undefined && !stderr.includes('No module named'), `cv2 for ${PYTHON}`)
  if (status !== 0) throw new Error(stderr)
  const [before, after] = (JSON.parse(stdout) as number[][][]).map((motions) => {
    expect(motions).toHaveLength(FRAMES - 1)
    return [0, 1, 2].map((k) => deviation(motions.map((motion) => motion[k]!)))
  })
  return [before!, after!]
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

describe('the stabiliser', () => {
  test('leaves less than a tenth of the shake, as OpenCV sees it, no border, and the sound', async () => {
    needFfmpeg()
    const silent = shakyClip(at('silent.mkv'))
    const sound = ['-f', 'lavfi', '-i', `sine=d=${FRAMES / RATE}`]
    ffmpeg('-i', silent, ...sound, '-c:v', 'copy', at('shaky.mkv'))
    const { code, out, err } = await stabilise(at('shaky.mkv'), '-o', at('stable.mp4'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/stable\.mp4: 30 frames, \d+\.\d % cropped\n$/)
    expect(probe(at('stable.mp4'))).toMatchObject({ width: WIDTH, height: HEIGHT })
    expect(probe(at('stable.mp4')).times).toHaveLength(FRAMES)

    const [before, after] = shakeOf(at('shaky.mkv'), at('stable.mp4'))
    for (const [k, value] of before.entries()) expect(after[k]! / value).toBeLessThan(1 / 10)

    for (const frame of [10, 29]) {
      const rgb = rgbOf(at('stable.mp4'), frame)
      let magenta = 0
      for (let i = 0; i < rgb.length; i += 3)
        if (rgb[i]! > 180 && rgb[i + 1]! < 90 && rgb[i + 2]! > 180) magenta += 1
      expect(magenta / (WIDTH * HEIGHT)).toBeLessThan(0.01)
    }
    const { stdout } = spawnSync('ffprobe', [
      '-v',
      'error',
      '-show_entries',
      'stream=codec_name',
      '-of',
      'csv=p=0',
      at('stable.mp4'),
    ])
    expect(stdout.toString()).toBe('h264\naac\n')
  })

  test('refuses what it cannot do before it begins', async () => {
    writeFileSync(at('any.mp4'), '')
    const outcomes = await Promise.all([
      stabilise(at('any.mp4')),
      stabilise(at('any.mp4'), '-o', at('any.mp4')),
      stabilise(at('any.mp4'), '-o', at('any.avi')),
      stabilise(at('any.mp4'), '-o', at('out.mp4'), '--crop', '95'),
      stabilise('/dev/video0', '-o', at('out.mp4')),
    ])
    expect(outcomes.map(({ code, err }) => ({ code, err }))).toEqual(
      [
        'give a video, and an output by -o',
        'any.mp4: is the input',
        'any.avi: videos are written as .mp4, .mkv or .mov',
        "--crop: must be a number from 0 to 90, not '95'",
        '/dev/video0: give a file, which is read twice',
      ].map((text) => ({ code: 2, err: expect.stringContaining(text) })),
    )
  })

  test(
    'keeps the shape of pixels, crops odd sides to even ones, and tells of a full disk',
    { tags: ['slow'] },
    async () => {
      needFfmpeg()
      const clip = makeClip(at('odd.mkv'), 'testsrc2=s=75x57:r=10:d=0.4,setsar=4/3', '-c:v', 'ffv1')
      expect(await stabilise(clip, '-o', at('odd.mp4'), '--crop', '0')).toMatchObject({ code: 0, err: '' })
      expect(probe(at('odd.mp4'))).toMatchObject({ width: 74, height: 56, sample_aspect_ratio: '4:3' })
      skipIf(!existsSync('/dev/full'), 'only Linux has a disk that is always full')
      symlinkSync('/dev/full', at('full.mkv'))
      const { code, err } = await stabilise(clip, '-o', at('full.mkv'))
      expect({ code, err }).toEqual({
        code: 1,
        err: expect.stringMatching(/full\.mkv: cannot be written: .*No space left/),
      })
    },
  )
})
