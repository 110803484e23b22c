import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import type { PageData } from '../../lib/cli/view/page-data.js'
import { FlowField, writeFlow } from '../../lib/index.js'
import { need } from '../support/skip.js'
import { call, fixture, scratch, TINY } from './helpers.js'

const at = scratch()

function field(width: number, height: number, x: number): FlowField {
  const flow = new FlowField(width, height)
  flow.x.fill(x)
  return flow
}

function gray(name: string, width: number, height: number, level: number) {
  return sharp({
    create: { width, height, channels: 3, background: { r: level, g: level, b: level } },
  }).toFile(at(name))
}

/** What a page was given. */
function dataOf(path: string): PageData {
  const [, json] = /id="page-data">([^<]*)</.exec(readFileSync(path, 'utf8')) ?? []
  return JSON.parse(json!) as PageData
}

/** The mean level of each picture of a page. */
async function levelsOf(path: string): Promise<number[]> {
  const html = readFileSync(path, 'utf8')
  const parts = dataOf(path).pictures.map((name) => new RegExp(`id="${name}">([^<]*)<`).exec(html)![1]!)
  const stats = await Promise.all(parts.map((part) => sharp(Buffer.from(part, 'base64')).stats()))
  return stats.map(({ channels }) => channels[0]!.mean)
}

describe('view', () => {
  test('two pictures are enough: their flow is computed, with all that belongs to it', async () => {
    const page = at('pair.html')
    const { code, out } = await call('view', TINY.first, TINY.second, '-o', page, '--preset', 'fast')
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^wrote .*pair\.html: 160 x 112, \d+ kB/),
    })
    const { shots, title, timeline } = dataOf(page)
    expect(title).toBe('frame1.png → frame2.png')
    expect(Object.keys(shots[0]!).sort()).toEqual([
      'backward',
      'confidence',
      'first',
      'flow',
      'label',
      'occlusion',
      'second',
    ])
    expect(timeline).toEqual([])
  })

  test('a picture with a fault is told, and refused by --strict', async () => {
    const faulty = fixture('pictures/no_eoi.jpg')
    const argv = ['view', faulty, faulty, '-o', at('fault.html'), '--preset', 'fast']
    const told: unknown = expect.stringContaining('note: no_eoi.jpg has a fault: ')
    expect(await call(...argv)).toMatchObject({ code: 0, out: told, err: '' })
    const refused: unknown = expect.stringMatching(
      /^error: picture: .*no_eoi\.jpg: .* with a fault: .*ERR_FRAME/,
    )
    expect(await call(...argv, '--strict')).toMatchObject({ code: 1, out: '', err: refused })
  })

  test('a page asks for nothing from anywhere', async () => {
    await writeFlow(at('a.flo'), field(8, 6, 1))
    await call('view', at('a.flo'), '-o', at('a.html'))
    const html = readFileSync(at('a.html'), 'utf8')
    expect(html).toMatch(
      /Content-Security-Policy" content="default-src 'none'; script-src 'sha256-[\w+/=]{44}'; style-src 'sha256-/,
    )
    expect(html).not.toMatch(/https?:|\bsrc=|@import|url\(/)
  })

  test('ground truth of twice the size is subsampled; KITTI’s PNG is a flow beside its picture', async () => {
    await writeFlow(at('k.png'), field(8, 6, 1))
    await writeFlow(at('twice.flo'), field(16, 12, 3))
    await gray('8x6.jpg', 8, 6, 90)
    expect(
      await call('view', at('k.png'), at('8x6.jpg'), '-o', at('k.html'), '--truth', at('twice.flo')),
    ).toMatchObject({
      code: 0,
    })
    expect(dataOf(at('k.html'))).toMatchObject({
      size: { width: 8, height: 6 },
      errorScale: 2,
      pictures: [expect.anything()],
    })
  })

  test('pictures of another size are shown at that of the flow, and told; maps and vectors are refused', async () => {
    await writeFlow(at('b.flo'), field(8, 6, 1))
    await writeFlow(at('c.flo'), field(9, 6, 1))
    await gray('other.png', 80, 20, 9)
    const shown = await call('view', at('b.flo'), at('other.png'), at('8x6.jpg'), '-o', at('b.html'))
    expect(shown).toMatchObject({
      code: 0,
      out: expect.stringContaining('note: picture 1 is 80 x 20, shown at the size of the flow, 8 x 6'),
    })
    for (const [option, file] of [
      ['--truth', at('c.flo')],
      ['--backward', at('c.flo')],
      ['--confidence', at('other.png')],
      ['--occlusion', at('other.png')],
    ] as const)
      expect(await call('view', at('b.flo'), '-o', at('no.html'), option, file)).toMatchObject({
        code: 1,
        err: expect.stringMatching(
          new RegExp(`${option} .* is (9 x 6|80 x 20), and the flow .* 8 x 6: .*ERR_ARGUMENT`),
        ),
      })
  })

  test('of a folder: gaps, cuts, and a broken file, which costs only itself', async () => {
    mkdirSync(at('flows'))
    mkdirSync(at('frames'))
    for (const n of [10, 11, 12, 14, 15, 16]) await writeFlow(at(`flows/f_${n}.flo`), field(16, 12, 1))
    writeFileSync(at('flows/f_12.flo'), 'PIEH, and no flow')
    for (let n = 0; n < 8; n++) await gray(`frames/${n}.png`, 16, 12, n < 6 ? 50 + n : 200)
    writeFileSync(at('frames/7.png'), 'no picture')
    const { code, err } = await call('view', at('flows'), at('frames'), '-o', at('flows.html'))
    expect(code).toBe(1)
    expect(err).toMatch(/^error: .*f_12\.flo: .*\nerror: .*7\.png: .*\nthe page shows the rest\n$/)
    const { timeline, shots, notes } = dataOf(at('flows.html'))
    expect(timeline.map(({ number, event }) => [number, event])).toEqual([
      [10, null],
      [11, null],
      [12, 'broken'],
      [13, 'gap'],
      [14, null],
      [15, 'cut'],
      [16, null],
    ])
    expect(shots.map(({ first, second }) => [first, second])).toEqual([
      [0, 1],
      [1, 2],
      [3, 4],
      [4, 5],
      [5, undefined],
    ])
    expect(notes).toEqual(['2 files could not be read'])
  })

  test('a folder of flows takes what lies beside each, and folders of truths and maps by number', async () => {
    for (const folder of ['vf', 'vt', 'vc']) mkdirSync(at(folder))
    for (const n of [1, 2, 3]) {
      // As `video --flow` names them; flows in PNG have maps of the same extension beside them.
      await writeFlow(at(`vf/00000${n}.png`), field(32, 24, n))
      await writeFlow(at(`vf/00000${n}.backward.png`), field(32, 24, -n))
      await gray(`vf/00000${n}.occlusion.png`, 32, 24, 255)
      await writeFlow(at(`vt/frame_${n}.flo`), field(32, 24, 2 * n))
      await gray(`vc/${n}.png`, 32, 24, 128)
    }
    const argv = [at('vf'), '-o', at('v.html'), '--truth', at('vt'), '--confidence', at('vc')]
    const out: unknown = expect.stringContaining('3 flows of 32 x 24')
    expect(await call('view', ...argv)).toMatchObject({ code: 0, err: '', out })
    const { timeline, shots } = dataOf(at('v.html'))
    expect(timeline.map(({ mean, error }) => [mean, error])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ])
    for (const shot of shots)
      expect(Object.keys(shot).sort()).toEqual([
        'backward',
        'confidence',
        'flow',
        'label',
        'occlusion',
        'truth',
      ])
  })

  test('the flow with a number starts from this frame of the video, or from the picture of its name', async () => {
    need(spawnSync('ffmpeg', ['-version']).status === 0, 'ffmpeg')
    for (const folder of ['clip', 'named', 'numbered']) mkdirSync(at(folder))
    for (let n = 0; n < 8; n++) await gray(`clip/g${n}.png`, 32, 24, 30 * n)
    const encode = ['-v', 'error', '-i', at('clip/g%d.png'), '-c:v', 'ffv1', at('clip.mkv')]
    expect(spawnSync('ffmpeg', encode).status).toBe(0)
    await writeFlow(at('numbered/000002.flo'), field(32, 24, 1))
    await writeFlow(at('numbered/000003.flo'), field(32, 24, 1))
    await writeFlow(at('named/g2.flo'), field(32, 24, 1))
    await writeFlow(at('named/g4.flo'), field(32, 24, 1))
    for (const [flows, frames, start, every, levels] of [
      ['numbered', 'clip.mkv', [], '1', [30, 60, 90]],
      ['numbered', 'clip.mkv', [], '2', [60, 120, 180]],
      // 25 frames a second.
      ['numbered', 'clip.mkv', ['--start', '0.08'], '1', [90, 120, 150]],
      ['named', 'clip', [], '2', [60, 120, 180]],
    ] as const) {
      const argv = ['view', at(flows), at(frames), '-o', at('clip.html'), ...start, '--every', every]
      expect(await call(...argv)).toMatchObject({ code: 0, err: '' })
      expect(await levelsOf(at('clip.html'))).toEqual(levels.map((level) => expect.closeTo(level, -0.5)))
    }
  })

  test('says what does not fit together, before the work', async () => {
    await writeFlow(at('d.flo'), field(8, 6, 1))
    mkdirSync(at('empty'))
    for (const [argv, code, message] of [
      [[at('d.flo'), '-o', at('x.png')], 2, /pages are written as \.html/],
      [[at('d.flo')], 2, /required option '-o/],
      [[at('d.flo'), '-o', at('d.html'), '--start', '3'], 2, /--start is of the frames of a folder/],
      [[at('8x6.jpg'), '-o', at('d.html')], 2, /is one picture: give two/],
      [[at('8x6.jpg'), at('8x6.jpg'), '-o', at('d.html'), '--backward', at('d.flo')], 2, /leave it out/],
      [[at('empty'), '-o', at('d.html')], 1, /empty: has no flow files .*ERR_IO/],
      [[at('flows'), 'a', 'b', '-o', at('d.html')], 2, /one folder of pictures, or one video/],
      [[at('d.flo'), '-o', at('d.html'), '--truth', at('flows')], 2, /--truth is a folder/],
      [
        [at('flows'), '-o', at('d.html'), '--truth', at('d.flo')],
        2,
        /--truth: with a folder of flows, give a folder/,
      ],
      [
        [at('flows'), '-o', at('d.html'), '--occlusion', at('frames')],
        1,
        /--occlusion .*frames: none of its files has the number/,
      ],
      [[at('flows'), fixture('tiny/head.pth'), '-o', at('d.html')], 1, /head\.pth: no frame can be decoded/],
    ] as const)
      expect(await call('view', ...argv)).toMatchObject({
        code,
        out: '',
        err: expect.stringMatching(message),
      })
  })
})
