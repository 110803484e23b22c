import { existsSync, readFileSync } from 'node:fs'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import type { RunReport } from '../../lib/cli/run/report.js'
import { FlowModel, readFlow } from '../../lib/index.js'
import { skipIf } from '../support/skip.js'
import { joined, plainTensors, renamed, spoiled, writeSafetensors } from '../support/wild.js'
import { call, fixture, type Outcome, scratch, TINY } from './helpers.js'

const at = scratch()
const { first, second } = TINY
const MODEL = ['--backbone', TINY.backbone, '--head', TINY.head]

function report({ code, out, err }: Outcome): RunReport {
  expect(code, err).toBe(0)
  return JSON.parse(out) as RunReport
}

async function libraryFlow(a: string, b: string, options: Parameters<FlowModel['flow']>[2] = {}) {
  const model = await FlowModel.load({ backbone: TINY.backbone, head: TINY.head })
  try {
    return await model.flow(a, b, options)
  } finally {
    await model.dispose()
  }
}

describe('run', () => {
  test('writes the flow that the library computes, bit by bit', async () => {
    const { code, err } = await call('run', first, second, ...MODEL, '--size', '96x128', '-o', at('a.flo'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const expected = await libraryFlow(first, second, { size: [96, 128] })
    expect(await readFlow(at('a.flo'))).toEqual(expected)
  })

  test('--backward writes the flow from the second picture to the first beside it', async () => {
    const outputs = ['-o', at('b.npy'), '--viz', at('b.png'), '--arrows', at('b.arrows.png')]
    const done = report(
      await call('run', first, second, ...MODEL, '--size', 'native', '--backward', '--json', ...outputs),
    )
    expect(done.files.map(({ path, direction }) => [path, direction])).toEqual([
      [at('b.npy'), 'forward'],
      [at('b.png'), 'forward'],
      [at('b.arrows.png'), 'forward'],
      [at('b.backward.npy'), 'backward'],
      [at('b.backward.png'), 'backward'],
      [at('b.arrows.backward.png'), 'backward'],
    ])
    expect(await readFlow(at('b.npy'))).toEqual(await libraryFlow(first, second, { size: 'native' }))
    expect(await readFlow(at('b.backward.npy'))).toEqual(await libraryFlow(second, first, { size: 'native' }))
    expect(done.backward?.motion.max).toBeGreaterThan(0)
    expect(done.timings.backwardHead).toBeGreaterThan(0)
  })

  test('pictures with faults are read with a note, which --strict does not', async () => {
    const faulty = fixture('pictures/no_eoi.jpg')
    const { code, out } = await call('run', faulty, first, ...MODEL)
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringContaining(`note: ${faulty} has a fault: `),
    })
    const { frames } = report(await call('run', faulty, first, ...MODEL, '--json'))
    expect(frames.map(({ fault }) => fault)).toEqual([expect.any(String), null])
    const strict = await call('run', faulty, first, ...MODEL, '--strict')
    expect(strict).toMatchObject({ code: 1, err: expect.stringContaining('with a fault: ') })
  })

  test('standard input is one picture, not both', async () => {
    const both = await call('run', '-', '-', ...MODEL)
    expect(both).toMatchObject({ code: 2, err: expect.stringContaining('standard input') })
  })

  test('--head-prefix takes a model of several, and the summary says which there are; --rope-periods is told', async () => {
    const path = at('average.safetensors')
    const tensors = plainTensors(TINY.head)
    writeSafetensors(
      path,
      joined(
        renamed(tensors, (name) => `net.${name}`),
        renamed(spoiled(tensors), (name) => `ema.${name}`),
      ),
    )
    const model = ['--backbone', TINY.backbone, '--head', path]
    const average = await call('run', first, second, ...model, '--size', '96x128')
    expect(average.out).toContain(
      'names begin with "ema." (average of the weights); also in the file: "net." (--head-prefix takes another)',
    )
    const raw = [...model, '--size', '96x128', '--head-prefix', 'net', '-o', at('raw.flo'), '--json']
    const { info } = report(await call('run', first, second, ...raw, '--rope-periods', 'bfloat16'))
    expect(info).toMatchObject({ ropePeriods: 'bfloat16', choice: { head: { prefix: 'net.' } } })
    report(await call('run', first, second, ...raw))
    expect(await readFlow(at('raw.flo'))).toEqual(await libraryFlow(first, second, { size: [96, 128] }))
    const lone = await call('run', first, second, '--head-prefix', 'net')
    expect(lone.err).toContain('--head-prefix needs --backbone and --head')
  })

  test('--image-mean and --image-std are the normalisation, both together', async () => {
    const flags = ['--image-mean', '0.430,0.411,0.296', '--image-std', '0.213, 0.156, 0.143']
    const size = ['--size', '96x128', '-o', at('satellite.flo'), '--json']
    const { info } = report(await call('run', first, second, ...MODEL, ...flags, ...size))
    const normalization = { mean: [0.43, 0.411, 0.296], std: [0.213, 0.156, 0.143] } as const
    expect(info).toMatchObject({ normalization: { ...normalization, from: 'option' } })
    await using model = await FlowModel.load({ backbone: TINY.backbone, head: TINY.head, normalization })
    expect(await readFlow(at('satellite.flo'))).toEqual(await model.flow(first, second, { size: [96, 128] }))

    const half = await call('run', first, second, ...MODEL, ...flags.slice(0, 2))
    expect(half).toMatchObject({ code: 2, err: expect.stringContaining('belong together') })
    const lone = await call('run', first, second, ...flags)
    expect(lone).toMatchObject({ code: 2, err: expect.stringContaining('needs --backbone and --head') })
    for (const text of ['0.4,0.4', '0.4,,0.4', '0.4,0.4,2', '0.4,0.4,x', 'imagenet']) {
      const { code, err } = await call('run', first, second, ...MODEL, '--image-mean', text)
      expect({ text, code }).toEqual({ text, code: 2 })
      expect(err).toContain('It must be three numbers from 0 to 1, such as')
    }
    const none = await call('run', first, second, ...MODEL, '--image-std', '0.2,0,0.2')
    expect(none.err).toContain('It must be three numbers from 0.01 to 1')
  })

  test('--refine refines both directions at the size of the forward flow', async () => {
    const outputs = ['--refine', 'fast', '--backward', '--output-size', '56x80', '-o', at('r.npy')]
    const done = report(await call('run', first, second, ...MODEL, ...outputs, '--json'))
    expect(done.refine).toBe('fast')
    const options = { refine: 'fast', output: [56, 80] } as const
    expect(await readFlow(at('r.npy'))).toEqual(await libraryFlow(first, second, options))
    expect(await readFlow(at('r.backward.npy'))).toEqual(await libraryFlow(second, first, options))
    const { code, out } = await call('run', first, second, ...MODEL, '--refine', 'fast')
    expect(code).toBe(0)
    expect(out).toMatch(/head and refinement/)
    expect(out).toMatch(/^refined +fast$/m)
  })

  test('--confidence and --occlusion write maps of each direction', async () => {
    const outputs = [
      '--confidence',
      at('m.npy'),
      '--occlusion',
      at('m.png'),
      '--backward',
      '--output-size',
      '56x80',
    ]
    const done = report(await call('run', first, second, ...MODEL, ...outputs, '--json'))
    expect(done.files).toEqual([
      { path: at('m.npy'), kind: 'confidence', direction: 'forward' },
      { path: at('m.png'), kind: 'occlusion', direction: 'forward' },
      { path: at('m.backward.npy'), kind: 'confidence', direction: 'backward' },
      { path: at('m.backward.png'), kind: 'occlusion', direction: 'backward' },
    ])
    const model = await FlowModel.load({ backbone: TINY.backbone, head: TINY.head })
    const options = { output: [56, 80], confidence: true, occlusion: true } as const
    for (const [name, a, b] of [
      ['m', first, second],
      ['m.backward', second, first],
    ] as const) {
      const { confidence, occlusion } = await model.flowMaps(a, b, options)
      const written = readFileSync(at(`${name}.npy`)).subarray(-4 * 56 * 80)
      expect(written.equals(new Uint8Array(confidence!.data.buffer))).toBe(true)
      const mask = await sharp(at(`${name}.png`))
        .greyscale()
        .raw()
        .toBuffer()
      expect([...mask]).toEqual([...occlusion!.data].map((hidden) => 255 * hidden))
      expect(mask).toContain(255)
      expect(mask).toContain(0)
    }
    await model.dispose()
    const { code, err } = await call('run', first, second, ...MODEL, '--occlusion', at('m.flo'))
    expect(code).toBe(2)
    expect(err).toContain('--occlusion: maps are written as .png, .npy')
  })

  test('refines pictures of two sizes at the size of the first', async () => {
    const larger = fixture('seed/frame1_source.png')
    const sizes = ['--size', 'native', '--refine', 'default', '--backward', '-o', at('s.flo')]
    const done = report(await call('run', first, larger, ...MODEL, ...sizes, '--json'))
    expect(done.backward).toMatchObject({ width: 1024, height: 436 })
    const options = { size: 'native', refine: 'default' } as const
    expect(await readFlow(at('s.flo'))).toEqual(await libraryFlow(first, larger, options))
  })

  test('--json prints one object with sizes, motion, times, files and the model', async () => {
    const done = report(await call('run', first, second, ...MODEL, '--json', '--size', '64x96'))
    expect(done).toMatchObject({
      frames: [
        { path: first, width: 160, height: 112 },
        { path: second, width: 160, height: 112 },
      ],
      network: { width: 96, height: 64 },
      forward: { width: 160, height: 112, motion: { unknown: 0 } },
      backward: null,
      files: [],
      info: { engine: 'cpu', precision: 'fp32', backbone: { dim: 64 } },
    })
    expect(done.timings.backbone).toHaveLength(2)
  })

  test('tells the mean and the longest motion', async () => {
    const { motion } = report(await call('run', first, second, ...MODEL, '--json')).forward
    const { x, y } = await libraryFlow(first, second)
    const lengths = [...x].map((dx, i) => Math.hypot(dx, y[i]!))
    expect(motion.max).toBeCloseTo(Math.max(...lengths), 9)
    expect(motion.mean).toBeCloseTo(lengths.reduce((sum, length) => sum + length, 0) / lengths.length, 9)
  })

  test('pictures are of the size of the flow, also where that is not the frame’s', async () => {
    const outputs = ['--viz', at('c.png'), '--arrows', at('c.arrows.png'), '-o', at('c.pfm')]
    const { code } = await call('run', first, second, ...MODEL, '--output-size', '40x60', ...outputs)
    expect(code).toBe(0)
    for (const path of [at('c.png'), at('c.arrows.png')])
      expect(await sharp(path).metadata()).toMatchObject({ width: 60, height: 40, channels: 3 })
    expect(await readFlow(at('c.pfm'))).toMatchObject({ width: 60, height: 40 })
  })

  test('takes pictures of two sizes: each flow is of the size of the picture that it starts from', async () => {
    const larger = fixture('seed/frame1_source.png')
    const done = report(
      await call(
        'run',
        first,
        larger,
        ...MODEL,
        '--size',
        'native',
        '--backward',
        '--json',
        '-o',
        at('d.flo'),
      ),
    )
    expect(done.network).toEqual({ width: 160, height: 112 })
    expect(done.forward).toMatchObject({ width: 160, height: 112 })
    expect(done.backward).toMatchObject({ width: 1024, height: 436 })
    expect(await readFlow(at('d.flo'))).toEqual(await libraryFlow(first, larger, { size: 'native' }))
  })

  test('takes gray pictures', async () => {
    await sharp(first).toColourspace('b-w').toFile(at('gray.png'))
    const { code, err } = await call('run', at('gray.png'), second, ...MODEL, '--arrows', at('e.png'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(await sharp(at('e.png')).metadata()).toMatchObject({ width: 160, height: 112, channels: 3 })
  })

  test('the same --scale gives the same colours as viz', async () => {
    await call('run', first, second, ...MODEL, '-o', at('f.flo'), '--viz', at('f.png'), '--scale', '20')
    const { code } = await call('viz', at('f.flo'), '-o', at('f.viz.png'), '--scale', '20')
    expect(code).toBe(0)
    expect(readFileSync(at('f.viz.png'))).toEqual(readFileSync(at('f.png')))
  })

  test('prints a summary with a line for each thing that a user asks for', async () => {
    const { code, out, err } = await call('run', first, second, ...MODEL, '-o', at('g.flo5'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.split('\n').map((line) => line.split(' ')[0])).toEqual([
      'frames',
      'engine',
      'load',
      'flow',
      'refined',
      'motion',
      'wrote',
      '',
    ])
    expect(out).toContain('160 x 112 (width x height), computed at 640 x 640')
    expect(out).toContain(at('g.flo5'))
  })

  test('--quiet prints nothing', async () => {
    const { out, err } = await call('run', first, second, ...MODEL, '-q', '-o', at('h.flo'))
    expect({ out, err }).toEqual({ out: '', err: '' })
    expect(existsSync(at('h.flo'))).toBe(true)
  })
})

describe('run refuses before it works', () => {
  test('half a model, and says where to get the other half', async () => {
    for (const given of [
      ['--backbone', TINY.backbone],
      ['--head', TINY.head],
    ]) {
      const { code, out, err } = await call('run', first, second, ...given)
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).toContain('https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/')
      expect(err).toContain('https://github.com/Raessan/optical_flow_dinov3')
    }
  })

  test.each([
    ['a flow file of another kind', ['-o', 'flow.jpg'], '--output: flow files end in .flo'],
    ['a picture of another kind', ['--viz', 'flow.bmp'], '--viz: pictures are written as .png, .jpg'],
    [
      'two outputs of one name',
      ['-o', 'x.png', '--viz', './x.png'],
      '--viz: ./x.png is also the output of --output',
    ],
    ['an output that is an input', ['--viz', first], `--viz: ${first} is also an input`],
    ['half a size', ['--size', '640'], "'--size <size>' argument '640' is invalid"],
    ['a size of nothing', ['--output-size', '0.5x3'], 'It must be frame, model or HEIGHTxWIDTH'],
    ['a wait of no kind', ['--wait', 'sleep'], 'Allowed choices are auto, spin, block'],
    ['no threads', ['--threads', '0'], 'It must be a number from 1 to 256'],
    ['another device', ['--device', 'gpu'], 'It must be auto, cpu, cuda or cuda:N'],
    ['another precision', ['--precision', 'fp64'], 'Allowed choices are auto, fp32'],
    ['a scale of nothing', ['--scale', '0'], 'It must be a number of pixels above 0'],
    ['an unknown option', ['--backwards'], 'Did you mean --backward?'],
  ])('%s: exit code 2', async (_, given, message) => {
    const { code, out, err } = await call('run', first, second, ...MODEL, ...given)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(message)
  })

  test.each([
    ['a folder that is not there', ['-o', at('none/flow.flo')], 'ERR_IO'],
    ['a file as a folder', ['-o', `${first}/flow.flo`], 'ERR_IO'],
    ['a device that is not there', ['--device', 'cuda:1'], 'ERR_DEVICE'],
    ['a size that is not of whole patches', ['--size', '100x100'], 'ERR_ARGUMENT'],
  ])('%s: exit code 1', async (_, given, code) => {
    const outcome = await call('run', first, second, ...MODEL, ...given)
    expect(outcome).toMatchObject({ code: 1, out: '' })
    expect(outcome.err).toMatch(new RegExp(`^error: .* \\(${code}\\)\n$`))
  })

  test('swapped checkpoints, and pictures that are not there', async () => {
    const swapped = await call('run', first, second, '--backbone', TINY.head, '--head', TINY.backbone)
    expect(swapped).toMatchObject({ code: 1, out: '' })
    expect(swapped.err).toContain('are the two files swapped? (ERR_CHECKPOINT_TENSOR)')
    const absent = await call('run', first, at('none.png'), ...MODEL, '-o', at('absent.flo'))
    expect(absent).toMatchObject({ code: 1, out: '' })
    expect(absent.err).toContain('error: second picture:')
    expect(existsSync(at('absent.flo'))).toBe(false)
  })

  test('a read-only folder', async () => {
    skipIf(process.getuid?.() === 0, 'root writes everywhere')
    const { code, err } = await call('run', first, second, ...MODEL, '-o', '/flow.flo')
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('read-only') })
  })
})
