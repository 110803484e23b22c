import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, test } from 'vitest'
import type { VideoReport } from '../../lib/cli/video/report.js'
import { FlowModel, loadImage, readFlow } from '../../lib/index.js'
import { ffmpeg, makeClip, needFfmpeg, probe, rgbOf } from '../support/clips.js'
import { skipIf } from '../support/skip.js'
import { call, type Outcome, scratch, TINY } from './helpers.js'

const at = scratch()
const MODEL = ['--backbone', TINY.backbone, '--head', TINY.head, '--size', '64x64', '--threads', '1']
const PROGRAM = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
/** Coding without loss: what is decoded is what was made. */
const EXACT = ['-c:v', 'ffv1']

/** Of many programs that start one after the other. */
const SLOW = { tags: ['slow'] }

beforeEach(needFfmpeg)

function video(...argv: readonly string[]): Promise<Outcome> {
  return call('video', ...argv, ...MODEL)
}

function report({ code, out, err }: Outcome): VideoReport {
  expect(code, err).toBe(0)
  return JSON.parse(out) as VideoReport
}

/** Pictures of a clip as files 0001.png ... */
function pictures(name: string, source: string): string {
  mkdirSync(at(name))
  ffmpeg('-f', 'lavfi', '-i', source, at(`${name}/%04d.png`))
  return at(name)
}

/** Mean of each colour over a rectangle of an RGB picture. */
function meanColor(rgb: Uint8Array, width: number, [left, top, right, bottom]: readonly number[]): number[] {
  const sums = [0, 0, 0]
  for (let y = top!; y < bottom!; y++)
    for (let x = left!; x < right!; x++) sums.forEach((_, c) => (sums[c]! += rgb[3 * (y * width + x) + c]!))
  return sums.map((sum) => sum / ((right! - left!) * (bottom! - top!)))
}

describe('files of flow', () => {
  test('hold what the library computes for the pictures, bit by bit, under their names', async () => {
    const folder = pictures('exact', 'testsrc2=s=96x64:r=5:d=0.8')
    const args = ['--flow', at('exact.flow'), '--format', 'npy', '--backward', '--occlusion', '--json']
    const { files, frames, flows } = report(await video(join(folder, '%04d.png'), ...args))
    expect({ files, frames, flows }).toEqual({
      files: { folder: at('exact.flow'), count: 9 },
      frames: 4,
      flows: 3,
    })
    const names = ['backward.npy', 'npy', 'occlusion.png']
    expect(readdirSync(at('exact.flow'))).toEqual(
      [1, 2, 3].flatMap((n) => names.map((name) => `000${n}.${name}`)),
    )
    await using model = await FlowModel.load({ backbone: TINY.backbone, head: TINY.head })
    const [a, b] = await Promise.all([2, 3].map((n) => loadImage(join(folder, `000${n}.png`))))
    const size = [64, 64] as const
    expect(await readFlow(at('exact.flow/0002.npy'))).toEqual(await model.flow(a!, b!, { size }))
    expect(await readFlow(at('exact.flow/0002.backward.npy'))).toEqual(await model.flow(b!, a!, { size }))
  })

  test.each(['flo', 'png', 'flo5'])('--format %s', SLOW, async (format) => {
    const clip = makeClip(at(`${format}.mkv`), 'testsrc2=s=64x48:r=5:d=0.6', ...EXACT)
    report(await video(clip, '--flow', at(`${format}.flow`), '--format', format, '--json'))
    expect(readdirSync(at(`${format}.flow`))).toEqual([`000001.${format}`, `000002.${format}`])
    expect(await readFlow(at(`${format}.flow/000002.${format}`))).toMatchObject({ width: 64, height: 48 })
  })

  test('never overwrite the pictures that are read', SLOW, async () => {
    const folder = pictures('same', 'testsrc2=s=32x32:r=5:d=0.4')
    const before = readFileSync(join(folder, '0001.png'))
    const { code, err } = await video(join(folder, '*.png'), '--flow', folder, '--format', 'png')
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('name another folder') })
    expect(readFileSync(join(folder, '0001.png'))).toEqual(before)
  })

  test('--every takes every n-th frame, --start and --end a part', SLOW, async () => {
    const clip = makeClip(at('part.mkv'), 'testsrc2=s=64x48:r=10:d=2', ...EXACT)
    const args = ['--start', '0.5', '--end', '0:01.5', '--every', '3']
    const done = report(await video(clip, '-o', at('part.mp4'), ...args, '--flow', at('part.flow'), '--json'))
    expect(done.frames).toBe(4) // those at 0.5, 0.8, 1.1 and 1.4 s
    expect(probe(at('part.mp4')).times).toEqual([0, 0.3, 0.6])
    const folder = pictures('part', 'testsrc2=s=64x48:r=10:d=2')
    report(
      await video(join(folder, '%04d.png'), '--flow', at('part.pictures'), '--fps', '10', ...args, '--json'),
    )
    // The same frames, under the names of the pictures.
    expect(readdirSync(at('part.pictures'))).toEqual(['0006.flo', '0009.flo', '0012.flo'])
    const flow = await readFlow(at('part.pictures/0009.flo'))
    const other = await readFlow(at('part.flow/000002.flo'))
    // FFV1 has YUV, PNG has RGB.
    expect(Math.max(...flow.data.map((value, i) => Math.abs(value - other.data[i]!)))).toBeLessThan(1)
  })
})

describe('the video', () => {
  test('is H.264 that every player knows, as long as the frames that have a flow', async () => {
    const clip = makeClip(at('a.mp4'), 'testsrc2=s=96x64:r=10:d=1')
    const { code, out, err } = await video(clip, '-o', at('flow.mp4'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^wrote +\S+flow\.mp4 \(9 pictures of 96 x 64, libx264\)$/m)
    expect(out).toMatch(/^per frame +p50 .*, p90 .*, p99 .* in the engine$/m)
    expect(probe(at('flow.mp4'))).toEqual({
      codec_name: 'h264',
      width: 96,
      height: 64,
      pix_fmt: 'yuv420p',
      sample_aspect_ratio: '1:1',
      color_space: 'bt709',
      color_range: 'tv',
      times: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    })
    // The index is at the beginning, for players of the web.
    const bytes = readFileSync(at('flow.mp4'))
    expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'))
  })

  test.each([
    ['mkv', 'h264'],
    ['webm', 'vp9'],
  ])('as .%s', SLOW, async (extension, codec) => {
    const clip = makeClip(at(`in.${extension}`), 'testsrc2=s=64x48:r=10:d=0.5')
    report(await video(clip, '-o', at(`out.${extension}`), '--json'))
    expect(probe(at(`out.${extension}`))).toMatchObject({ codec_name: codec, width: 64 })
    expect(probe(at(`out.${extension}`)).times).toHaveLength(4)
  })

  test('keeps times that are not regular', SLOW, async () => {
    const clip = at('vfr.mkv')
    const times = [0, 0.04, 0.2, 0.24, 1]
    const kept = times.map((time) => `eq(n,${Math.round(25 * time)})`).join('+')
    makeClip(clip, 'testsrc2=s=64x48:r=25:d=2', '-vf', `select='${kept}'`, '-vsync', 'vfr', ...EXACT)
    expect(probe(clip).times).toEqual(times)
    report(await video(clip, '-o', at('vfr.mp4'), '--json'))
    expect(probe(at('vfr.mp4')).times).toEqual(times.slice(0, -1))
  })

  test('odd sides get one pixel more, and the summary says so', SLOW, async () => {
    const clip = makeClip(
      at('odd.mkv'),
      'mandelbrot=s=65x47:r=10',
      '-frames:v',
      '4',
      '-pix_fmt',
      'yuv444p',
      ...EXACT,
    )
    const { out } = await video(clip, '-o', at('odd.mp4'))
    expect(out).toContain('66 x 48, libx264), the last column and row doubled to have even sides')
    expect(probe(at('odd.mp4'))).toMatchObject({ width: 66, height: 48 })
    report(await video(clip, '-o', at('odd2.mp4'), '--side-by-side', '--occlusion', '--arrows', '--json'))
    expect(probe(at('odd2.mp4'))).toMatchObject({ width: 130, height: 48 })
  })

  test('a rotated video is upright, and pixels that are not square stay so', SLOW, async () => {
    makeClip(at('lying.mp4'), 'testsrc2=s=96x64:r=10:d=0.4,setsar=2/1')
    ffmpeg('-i', at('lying.mp4'), '-c', 'copy', '-metadata:s:v:0', 'rotate=90', at('upright.mp4'))
    const done = report(await video(at('upright.mp4'), '-o', at('up.mp4'), '--overlay', '--json'))
    expect(done).toMatchObject({ width: 64, height: 96 })
    expect(probe(at('up.mp4'))).toMatchObject({ width: 64, height: 96, sample_aspect_ratio: '1:2' })
  })

  test.each([
    ['bt709', 'tv', 'yuv420p'],
    ['smpte170m', 'tv', 'yuv420p'],
    ['smpte170m', 'pc', 'yuvj420p'],
    ['bt709', 'tv', 'yuv444p'],
  ])('--side-by-side shows frames of %s, %s, %s in their own colours', SLOW, async (space, range, format) => {
    const clip = at(`colors-${space}-${range}-${format}.mkv`)
    const levels = range === 'pc' ? 'full' : 'limited'
    const convert = `scale=out_color_matrix=${space}:out_range=${levels},format=${format}`
    const tags = ['-colorspace', space, '-color_range', range, '-c:v', 'libx264', '-qp', '0']
    // Red, half of it moving, so that no frame is a duplicate.
    const source =
      'color=c=0xd02040:s=64x64:r=10:d=0.3,format=gbrp[a];color=c=white:s=8x8[b];[a][b]overlay=y=8*n:format=gbrp:shortest=1'
    makeClip(clip, source, '-vf', convert, ...tags)
    const output = at(`out-${space}-${range}-${format}.mp4`)
    report(await video(clip, '-o', output, '--side-by-side', '--json'))
    const color = meanColor(rgbOf(output, 1), 128, [32, 16, 56, 48])
    for (const [c, level] of [0xd0, 0x20, 0x40].entries()) expect(Math.abs(color[c]! - level)).toBeLessThan(6)
  })

  test(
    'the looks: where nothing moves, colours are white, an overlay is gray and arrows leave the frame',
    SLOW,
    async () => {
      // A still picture whose noise keeps frames from being duplicates: a spot moves.
      const source =
        'color=c=0x30a050:s=64x64:r=10:d=0.3[a];color=c=white:s=2x2[b];[a][b]overlay=x=2*n:shortest=1'
      const clip = makeClip(at('still.mkv'), source, ...EXACT)
      const look = async (...options: string[]) => {
        const output = at(`still${options.join('')}.mp4`)
        report(await video(clip, '-o', output, '--scale', '1000', '--json', ...options))
        return meanColor(rgbOf(output, 0), 64, [8, 8, 56, 56])
      }
      for (const level of await look()) expect(level).toBeGreaterThan(240)
      const [red, green, blue] = await look('--overlay')
      expect(Math.max(red!, green!, blue!) - Math.min(red!, green!, blue!)).toBeLessThan(40)
      const drawn = await look('--arrows')
      for (const [c, level] of [0x30, 0xa0, 0x50].entries())
        expect(Math.abs(drawn[c]! - level)).toBeLessThan(30)
    },
  )

  test(
    'paths may have spaces, %, colons and a dash at the beginning; an existing file is replaced',
    SLOW,
    async () => {
      const [input, output] = [at('-50% a:b %03d.mp4'), at('-out 100%d é.mp4')]
      makeClip(at('plain.mp4'), 'testsrc2=s=64x48:r=10:d=0.4')
      copyFileSync(at('plain.mp4'), input)
      writeFileSync(output, 'old')
      report(await video(input, '-o', output, '--json'))
      expect(probe(output).times).toHaveLength(3)
    },
  )

  test('duplicates are told, and have no motion', SLOW, async () => {
    const clip = makeClip(at('dup.mkv'), 'testsrc2=s=64x48:r=5:d=0.8', '-vf', 'fps=10', ...EXACT)
    const done = report(await video(clip, '-o', at('dup.mp4'), '--json'))
    expect(done.duplicates).toEqual({ count: 4, frames: [2, 4, 6, 8] })
    expect(meanColor(rgbOf(at('dup.mp4'), 2), 64, [0, 0, 64, 48]).every((level) => level > 250)).toBe(true)
  })

  test('a scene cut is told by the package’s own model, and its picture has no motion', SLOW, async () => {
    const clip = at('cut.mkv')
    const graph =
      'mandelbrot=s=256x192:r=10,trim=end_frame=3[a];testsrc2=s=256x192:r=10,trim=end_frame=3[b];[a][b]concat'
    makeClip(clip, graph, ...EXACT)
    const { code, out, err } = await call('video', clip, '-o', at('cut.mp4'), '--preset', 'fast')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^scene cuts +1 frame without flow to it: 4$/m)
    expect(probe(at('cut.mp4')).times).toHaveLength(5)
    expect(meanColor(rgbOf(at('cut.mp4'), 2), 256, [0, 0, 256, 192]).every((level) => level > 250)).toBe(true)
  })
})

describe('what is wrong with a video', () => {
  test('a broken picture in the middle is told and survived', async () => {
    const folder = pictures('broken', 'testsrc2=s=64x48:r=10:d=0.6')
    truncateSync(join(folder, '0003.png'), 200)
    const { code, out } = await video(join(folder, '%04d.png'), '--flow', at('broken.flow'))
    expect(code).toBe(0)
    expect(out).toMatch(/note: frame 3 has a fault: 0003\.png: ./)
    expect(readdirSync(at('broken.flow'))).toEqual(['0001.flo', '0002.flo', '0004.flo', '0005.flo'])
  })

  test('a video that cannot be decoded to its end: what is before is done, exit code 1', async () => {
    makeClip(at('whole.mp4'), 'testsrc2=s=64x48:r=10:d=4', '-movflags', '+faststart', '-g', '5')
    copyFileSync(at('whole.mp4'), at('short.mp4'))
    truncateSync(at('short.mp4'), Math.floor(readFileSync(at('whole.mp4')).length / 2))
    const { code, err } = await video(at('short.mp4'), '-o', at('short.out.mp4'), '-q')
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(
        /short\.mp4: cannot be decoded after frame \d+, at \d\d % of its duration: .*\(ERR_FRAME\)/,
      ),
    })
    const frames = Number(/after frame (\d+)/.exec(err)![1])
    expect(probe(at('short.out.mp4')).times).toHaveLength(frames - 1)
  })

  test('a size that changes: told with the frame, what is before is done, exit code 1', SLOW, async () => {
    const folder = pictures('sizes', 'testsrc2=s=64x48:r=10:d=0.5')
    ffmpeg('-i', join(folder, '0001.png'), '-vf', 'scale=32:24', join(folder, '0004.png'))
    const { code, err } = await video(join(folder, '*.png'), '-o', at('sizes.mp4'), '-q')
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringContaining('frame 4 is 32 x 24, and those before are 64 x 48'),
    })
    expect(probe(at('sizes.mp4')).times).toHaveLength(2)
  })

  test.each([
    ['a file that is no video', 'text.mp4', 'ffmpeg finds no frames in it'],
    ['sound alone', 'sound.wav', 'has no video stream'],
    ['a single picture', 'one.png', 'has only one frame, and flow needs two'],
  ])('%s', async (_, name, message) => {
    if (name === 'text.mp4') writeFileSync(at(name), 'no video at all')
    else if (name === 'sound.wav') makeClip(at(name), 'sine=d=0.2')
    else makeClip(at(name), 'testsrc2=s=64x48', '-frames:v', '1')
    const { code, err } = await video(at(name), '-o', at('none.mp4'), '-q')
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(message) })
  })

  test('a full disk is told, and ends the video', SLOW, async () => {
    skipIf(!existsSync('/dev/full'), 'only Linux has a disk that is always full')
    symlinkSync('/dev/full', at('full.mkv'))
    const clip = makeClip(at('long.mp4'), 'testsrc2=s=320x240:r=30:d=3')
    const { code, err } = await video(clip, '-o', at('full.mkv'), '-q')
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(
        /full\.mkv: cannot be written after about frame \d+: .*No space left.*\(ERR_IO\)/,
      ),
    })
  })

  test.each([
    [[], 'nothing to write'],
    [['--flow', 'x', '--overlay'], '--overlay is for the video'],
    [['-o', 'x.mp4', '--backward'], '--backward is for files of flow'],
    [['-o', 'x.mp4', '--start', '2', '--end', '1:00', '--every', '0'], 'must be a whole number'],
    [['-o', 'x.mp4', '--start', '2', '--end', '1'], '--end 1 s is not after --start 2 s'],
    [['-o', 'x.mp4', '--start', '1:99'], 'must be seconds or HH:MM:SS'],
    [['-o', 'x.avi'], 'videos are written as .mp4'],
    [['b.png', '-o', 'x.mp4'], 'put a pattern of pictures in quotes'],
  ])('%j is wrong usage', async (args, message) => {
    const { code, err } = await video(TINY.first, ...args)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
  })

  test('without ffmpeg the message says how to get it', async () => {
    writeFileSync(at('any.mp4'), '')
    const { code, err } = await video(at('any.mp4'), '-o', at('any.out.mp4'), '--ffmpeg', at('nowhere'))
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(
        /ffmpeg.*was not found.*apt-get install ffmpeg.*brew install ffmpeg.*DINOV3_FLOW_FFMPEG/,
      ),
    })
  })
})

describe('the compiled program', () => {
  test('reads a video from standard input', SLOW, async () => {
    const clip = makeClip(at('piped.mkv'), 'testsrc2=s=64x48:r=10:d=0.5')
    const child = spawn(process.execPath, [PROGRAM, 'video', '-', '-o', at('piped.mp4'), '-q', ...MODEL])
    child.stdin.end(readFileSync(clip))
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(probe(at('piped.mp4')).times).toHaveLength(4)
  })

  test('Ctrl-C leaves a video that can be played, a summary, and the exit code of the signal', async () => {
    skipIf(process.platform === 'win32', 'Windows has no signals')
    const clip = makeClip(at('endless.mkv'), 'testsrc2=s=64x48:r=100:d=60', '-c:v', 'mpeg4')
    const args = ['-o', at('cut-off.mp4'), '--flow', at('cut-off')]
    const child = spawn(process.execPath, [PROGRAM, 'video', clip, ...args, ...MODEL])
    let out = ''
    child.stdout.on('data', (text: Buffer) => (out += text.toString()))
    while (!existsSync(at('cut-off/000020.flo'))) await sleep(20)
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([null, 'SIGINT'])
    const frames = Number(/(\d+) frames of 64 x 48, .*then interrupted/.exec(out)?.[1])
    expect(frames).toBeGreaterThanOrEqual(21)
    expect(frames).toBeLessThan(6000)
    expect(probe(at('cut-off.mp4')).times).toHaveLength(frames - 1)
  })
})
