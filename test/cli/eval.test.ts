import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FlowErrors, FlowMetrics, type FlowModel, loadImage } from '../../lib/index.js'
import { loadTiny } from '../support/fixtures.js'
import { HEIGHT, made, type MadePair, OCCLUDED, TREES, WIDTH } from './data-sets.js'
import { call, scratch, TINY } from './helpers.js'

const path = scratch()
const PROGRAM = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
const MODEL = ['--backbone', TINY.backbone, '--head', TINY.head, '--size', 'native', '--device', 'cpu']

let model: FlowModel

beforeAll(async () => {
  model = await loadTiny()
})
afterAll(() => model.dispose())

/** A tree of its own, and its pairs. */
async function tree(name: string): Promise<{ readonly root: string; readonly pairs: readonly MadePair[] }> {
  const root = path(`${name}-${trees++}`)
  mkdirSync(root)
  return { root, pairs: await TREES[name]!(root) }
}
let trees = 0

/** The figures of pairs, by calls of the library. */
async function figuresOf(
  pairs: readonly MadePair[],
  occluded?: Uint8Array,
  options: ConstructorParameters<typeof FlowMetrics>[0] = {},
): Promise<FlowErrors> {
  const metrics = new FlowMetrics(options)
  for (const pair of pairs) {
    const { first, second, truth } = made(pair)
    metrics.add(await model.flow(first, second), truth, { occluded })
  }
  return metrics.result()
}

/** Figures that come from floats of files: those of KITTI are rounded to 1/64 px. */
function expectFigures(actual: FlowErrors, expected: FlowErrors): void {
  for (const key of ['epe', 'flAll', 's0to10', 's10to40', 's40plus', 'matched', 'occluded'] as const)
    if (Number.isNaN(expected[key])) expect(actual[key], key).toBeNull()
    else expect(Math.abs(actual[key] - expected[key]), key).toBeLessThan(0.02)
  expect(actual.validPixels).toBe(expected.validPixels)
}

const report = (file: string) => JSON.parse(readFileSync(file, 'utf8'))
const run = (name: string, root: string, ...options: string[]) =>
  call('eval', name, root, ...MODEL, ...options)

describe('eval', () => {
  test.each(Object.keys(TREES))(
    'finds the pairs of %s, and gives the figures of the library',
    async (name) => {
      const { root, pairs } = await tree(name)
      const json = path(`${name}.json`)
      const { code, out, err } = await run(name.split(' ')[0]!, root, '--json', json)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      const { pairs: measured, all, failed } = report(json)
      expect(measured.map(({ pair }: { pair: string }) => pair)).toEqual(pairs.map((pair) => pair.name))
      const tells = ['sintel', 'kitti', 'things (subset)'].includes(name)
      expectFigures(all, await figuresOf(pairs, tells ? OCCLUDED.data : undefined))
      expect(all.subsampled).toBe(name === 'spring' ? pairs.length : 0)
      expect(failed).toEqual([])
      expect(out).toContain(`measured ${pairs.length} pairs`)
      expect(out.includes('occluded')).toBe(tells)
      expect(existsSync(`${json}.finished`)).toBe(false)
    },
  )

  test('prints a table of the sequences and of all', async () => {
    const { root, pairs } = await tree('sintel')
    const { out } = await run('sintel', root)
    const lines = out.split('\n')
    const all = await figuresOf(pairs, OCCLUDED.data)
    expect(lines[0]).toMatch(
      /^ +pairs +EPE +<1 px % +<3 px % +<5 px % +Fl-all % +s0-10 +s10-40 +s40\+ +matched +occluded$/,
    )
    expect(lines[1]).toMatch(/^alley_1 +2 /)
    expect(lines[2]).toMatch(/^cave_4 +2 /)
    const cells = lines[3]!.split(/ +/)
    expect(cells.slice(0, 3)).toEqual(['all', '4', all.epe.toFixed(2)])
    expect(cells.at(-1)).toBe(all.occluded.toFixed(2))
    expect(new Set(lines.slice(0, 4).map((line) => line.length)).size).toBe(1)
    const cave = await figuresOf(pairs.slice(2), OCCLUDED.data)
    expect(lines[2]!.split(/ +/)[2]).toBe(cave.epe.toFixed(2))
    expect(out).toContain('shorter than 400 px')
  })

  test('takes the pass, the half, the first pairs, and all motions or only valid pixels, as it is told', async () => {
    const { root, pairs } = await tree('sintel')
    const json = path('options.json')
    const all = async (...options: string[]) => {
      expect(await run('sintel', root, '--json', json, ...options)).toMatchObject({ code: 0 })
      return report(json).all
    }
    const clean = await all()
    expect((await all('--pass', 'final')).epe).not.toBe(clean.epe)
    expect(await all('--limit', '3')).toMatchObject({ pairs: 3 })
    const unlimited = await figuresOf(pairs, OCCLUDED.data, { maxFlow: Infinity })
    expectFigures(await all('--max-flow', 'none'), unlimited)
    expect((await all('--exclude-invalid')).validPixels).toBeLessThan(0.8 * clean.validPixels)
    const chairs = await tree('chairs')
    expect(await run('chairs', chairs.root, '--json', json, '--split', 'train')).toMatchObject({ code: 0 })
    expect(report(json).pairs.map(({ pair }: { pair: string }) => pair)).toEqual(['00001', '00003'])
  })

  test('a missing and a broken file are told by path, the others measured, and only those are done again', async () => {
    const { root } = await tree('sintel')
    const json = path('broken.json')
    const whole = path('whole.json')
    await run('sintel', root, '--json', whole)
    const [missing, broken] = ['clean/alley_1/frame_0003.png', 'flow/cave_4/frame_0001.flo'].map((name) =>
      join(root, 'training', name),
    ) as [string, string]
    renameSync(missing, `${missing}.away`)
    const bytes = readFileSync(broken)
    truncateSync(broken, 100)

    const first = await run('sintel', root, '--json', json)
    expect(first.code).toBe(1)
    expect(first.err).toMatch(
      /^error: alley_1\/frame_0002: .*clean\/alley_1\/frame_0003\.png: no such file \(ERR_IO\)$/m,
    )
    expect(first.err).toMatch(
      /^error: cave_4\/frame_0001: .*flow\/cave_4\/frame_0001\.flo: .*\(ERR_FORMAT\)$/m,
    )
    expect(first.out).toContain('2 pairs failed')
    expect(report(json)).toMatchObject({
      all: { pairs: 2 },
      failed: [
        { pair: 'alley_1/frame_0002', code: 'ERR_IO' },
        { pair: 'cave_4/frame_0001', code: 'ERR_FORMAT' },
      ],
    })

    // The program was ended in the middle of a line.
    const ledger = `${json}.finished`
    writeFileSync(ledger, readFileSync(ledger, 'utf8').slice(0, -20))
    renameSync(`${missing}.away`, missing)
    writeFileSync(broken, bytes)
    const second = await run('sintel', root, '--json', json)
    expect(second).toMatchObject({ code: 0, err: '' })
    expect(second.out).toContain('measured 4 pairs, 1 of them before')
    const { all, sequences, pairs } = report(json)
    const expected = report(whole)
    expect({ all, sequences, pairs }).toEqual({
      all: expected.all,
      sequences: expected.sequences,
      pairs: expected.pairs,
    })
    expect(existsSync(ledger)).toBe(false)
  })

  test('goes on where it was killed', async () => {
    const { root } = await tree('kitti')
    const json = path('killed.json')
    const ledger = `${json}.finished`
    // The second pair is never read to its end: its frame is a pipe that nobody writes to.
    const pipe = join(root, 'training/image_2/000001_11.png')
    renameSync(pipe, `${pipe}.away`)
    expect(spawnSync('mkfifo', [pipe]).status).toBe(0)
    const child = spawn(process.execPath, [PROGRAM, 'eval', 'kitti', root, ...MODEL, '--json', json])
    const ended = once(child, 'exit')
    const finished = () => existsSync(ledger) && readFileSync(ledger, 'utf8').includes('000000_10')
    while (!finished() && child.exitCode === null) await sleep(10)
    child.kill('SIGKILL')
    expect(await ended).toEqual([null, 'SIGKILL'])

    rmSync(pipe)
    renameSync(`${pipe}.away`, pipe)
    const { code, out } = await run('kitti', root, '--json', json)
    expect(code).toBe(0)
    expect(out).toContain('measured 3 pairs, 1 of them before')
    expect(report(json).all.pairs).toBe(3)
  })

  test('a ground truth in the middle that is missing, files of another size, and frames with a fault are told', async () => {
    const { root } = await tree('sintel')
    const cut = join(root, 'training/clean/cave_4/frame_0003.png')
    truncateSync(cut, statSync(cut).size - 20)
    rmSync(join(root, 'training/flow/cave_4/frame_0001.flo'))
    const other = join(root, 'training/occlusions/alley_1/frame_0001.png')
    writeFileSync(other, readFileSync(TINY.first))
    const { code, err } = await run('sintel', root)
    expect(code).toBe(1)
    expect(err).toContain('flow/cave_4/frame_0001.flo: no such file')
    expect(err).toMatch(/^error: cave_4\/frame_0002: .*cave_4\/frame_0003\.png: .*\(ERR_FRAME\)$/m)
    expect(err).toContain(`frame_0001.png: is 160 x 112, and the ground truth ${WIDTH} x ${HEIGHT}`)
  })

  test('finished pairs of another model or of other options do not count, and are not lost', async () => {
    const { root } = await tree('kitti')
    const json = path('other.json')
    rmSync(join(root, 'training/image_2/000001_11.png'))
    expect((await run('kitti', root, '--json', json)).code).toBe(1)
    const before = readFileSync(`${json}.finished`, 'utf8')
    const other = await run('kitti', root, '--json', json, '--max-flow', '100')
    expect(other.code).toBe(2)
    expect(other.err).toContain(
      'other.json.finished has the finished pairs of another evaluation (another maxFlow)',
    )
    const head = ['--head', TINY.head.replace('head.pth', 'head_fp16.pth')]
    expect((await run('kitti', root, '--json', json, ...head)).err).toContain('another model')
    expect(readFileSync(`${json}.finished`, 'utf8')).toBe(before)
  })

  test('draws the worst pairs, the worst first', async () => {
    const { root } = await tree('things')
    const [json, folder] = [path('worst.json'), path('new/worst')]
    const { code, out } = await run('things', root, '--json', json, '--worst', '3', '-o', folder)
    expect(code).toBe(0)
    const sorted = report(json).pairs.toSorted((a: FlowErrors, b: FlowErrors) => b.epe - a.epe)
    const names = sorted
      .slice(0, 3)
      .map(({ pair }: { pair: string }, i: number) => `0${i + 1}-${pair.replaceAll('/', '-')}.png`)
    expect(readdirSync(folder)).toEqual(names)
    const { width, height } = await loadImage(join(folder, names[0]))
    expect([width, height]).toEqual([3 * WIDTH + 8, 2 * HEIGHT + 4])
    expect(out).toContain(`wrote 3 pictures, the worst first: ${join(folder, names[0])}`)
  })

  test('refuses what cannot be measured before it loads a model', async () => {
    const usage = async (part: string, ...args: string[]) => {
      const { code, err } = await call('eval', ...args)
      expect(err).toContain(part)
      expect(code).toBe(2)
    }
    await usage('Allowed choices are sintel', 'imagenet', '.')
    await usage('--pass: kitti has only one', 'kitti', '.', '--pass', 'final')
    await usage('--split: sintel has only one', 'sintel', '.', '--split', 'val')
    await usage('--worst needs a folder', 'kitti', '.', '--worst', '3')
    await usage('It must be a whole number', 'kitti', '.', '--limit', '0')
    await usage('reports are written as .json', 'kitti', '.', '--json', 'a.txt')
    const { root } = await tree('kitti')
    await usage('no masks of invalid pixels', 'kitti', root, '--exclude-invalid')
    await usage('no head', 'kitti', '.', '--backbone', TINY.backbone)
  })

  test('says how a data set should lie if it does not', async () => {
    const empty = path('empty')
    mkdirSync(join(empty, 'training/clean'), { recursive: true })
    const none = await run('sintel', empty)
    expect(none.code).toBe(1)
    expect(none.err).toContain('training/flow: no such folder')
    expect(none.err).toContain('training/flow/SCENE/frame_NNNN.flo')
    mkdirSync(join(empty, 'training/flow'))
    expect((await run('sintel', empty)).err).toContain('has no pair of frames with ground truth')
    expect((await run('kitti', path('nowhere'))).err).toContain('training/image_2: no such folder, nor')
    const { root } = await tree('chairs')
    writeFileSync(join(root, 'FlyingChairs_train_val.txt'), '1 2 2')
    expect((await run('chairs', root)).err).toContain('splits 3 pairs, and there are 4')
    writeFileSync(join(root, 'FlyingChairs_train_val.txt'), '1 2 3 2')
    expect((await run('chairs', root)).err).toContain('each line is 1 or 2, not ["3"]')
    rmSync(join(root, 'FlyingChairs_train_val.txt'))
    expect((await run('chairs', root)).err).toContain('FlyingChairs_train_val.txt: no such file')
  })
})
