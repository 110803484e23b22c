import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'
import { InferenceSession } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { readHead } from '../../lib/checkpoint/head.js'
import { inspectCheckpoint } from '../../lib/checkpoint/inspect.js'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { readWeight } from '../../lib/checkpoint/values.js'
import { main } from '../../lib/cli/main.js'
import { figure } from '../support/figures.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'
import { sameBits } from '../support/compare.js'
import { skipIf } from '../support/skip.js'
import { call, fixture, scratch, TINY } from './helpers.js'

const path = scratch()
const MODEL = ['--backbone', TINY.backbone, '--head', TINY.head]
const CONFIG = fixture('tiny/config_hf.json')
const HUGGING_FACE = ['--backbone', fixture('tiny/backbone_hf.safetensors'), '--backbone-config', CONFIG]
const PROGRAM = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))

/** The values of all weights that are read from a file. */
function valuesOf(file: string, which: 'backbone' | 'head', config?: string): Map<string, Float32Array> {
  const opened = openCheckpoint(file)
  try {
    const { weights } = which === 'head' ? readHead(opened) : readBackbone(opened, { config })
    return new Map(weights.map((weight) => [weight.name, readWeight(weight)]))
  } finally {
    opened.close()
  }
}

function expectSame(actual: Map<string, Float32Array>, expected: Map<string, Float32Array>): void {
  expect([...actual.keys()].sort()).toEqual([...expected.keys()].sort())
  for (const [name, values] of expected) expect(sameBits(actual.get(name)!, values), name).toBe(true)
}

/** The inputs and outputs of a model, with their shapes. */
async function describeModel(file: string): Promise<Record<string, unknown>> {
  const session = await InferenceSession.create(file, { executionProviders: ['cpu'] })
  const values = [...session.inputMetadata, ...session.outputMetadata]
  await session.release()
  return Object.fromEntries(values.map((value) => [value.name, value.isTensor && value.shape]))
}

describe('export --onnx', () => {
  test("writes the package's model without being told one, at 640 x 640", async () => {
    const { code, out, err } = await call('export', '--onnx', path('default'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out.split('\n').map((line) => line.replace(/: .*/, ''))).toEqual([
      ...['backbone', 'head', 'flow'].map((name) => `wrote ${path(`default/${name}.onnx`)}`),
      '',
    ])
    expect(readdirSync(path('default')).sort()).toEqual(['backbone.onnx', 'flow.onnx', 'head.onnx'])
    expect(await describeModel(path('default/flow.onnx'))).toEqual({
      image1: [1, 3, 640, 640],
      image2: [1, 3, 640, 640],
      optical_flow: [1, 2, 640, 640],
    })
  })

  test('names inputs and outputs as the exporter of the original does', async () => {
    const size = ['--size', '96x128', '--quiet']
    expect(await call('export', '--onnx', path('named'), ...MODEL, ...size)).toEqual({
      code: 0,
      out: '',
      err: '',
    })
    expect(await describeModel(path('named/backbone.onnx'))).toEqual({
      image: [1, 3, 96, 128],
      features: [1, 64, 6, 8],
    })
    expect(await describeModel(path('named/head.onnx'))).toEqual({
      features1: [1, 64, 6, 8],
      features2: [1, 64, 6, 8],
      optical_flow: [1, 2, 96, 128],
    })
  })

  test('leaves the size open if it is --dynamic', async () => {
    expect(await call('export', '--onnx', path('dynamic'), ...MODEL, '--dynamic')).toMatchObject({ code: 0 })
    expect(await describeModel(path('dynamic/backbone.onnx'))).toEqual({
      image: [1, 3, 'height', 'width'],
      features: [1, 64, 'grid_height', 'grid_width'],
    })
  })

  test('tells in the file where it comes from, under which licence and for which pictures', async () => {
    const flags = ['--size', '32x64', '--precision', 'float16', '--normalize']
    expect(await call('export', '--onnx', path('told'), ...flags)).toMatchObject({ code: 0 })
    const text = readFileSync(path('told/backbone.onnx'), 'latin1')
    const told = ['backbone dinov3-flow-small.safetensors', 'Apache-2.0', '32x64', 'float16', 'RGB in 0..255']
    for (const word of told) expect(text).toContain(word)
  })

  test('is told which pixels the backbone expects, and tells it in the file', async () => {
    const pixels = ['--image-mean', '0.43,0.411,0.296', '--image-std', '0.213,0.156,0.143']
    const order = ['export', '--onnx', path('satellite'), ...MODEL, ...pixels, '--size', '32x32']
    expect(await call(...order, '--quiet')).toEqual({ code: 0, out: '', err: '' })
    for (const name of ['backbone', 'flow'])
      expect(readFileSync(path(`satellite/${name}.onnx`), 'latin1')).toContain(
        'RGB in 0..1, minus 0.43, 0.411, 0.296, by 0.213, 0.156, 0.143',
      )
    const lost =
      'the checkpoint does not tell its pixels: load it with --image-mean 0.43,0.411,0.296 --image-std 0.213,0.156,0.143\n'
    const checkpoint = ['export', '--pth', path('satellite.pth'), ...MODEL]
    expect((await call(...checkpoint, ...pixels)).out).toContain(lost)
    expect((await call(...checkpoint, ...pixels, '--part', 'head')).out).not.toContain('pixels')
    expect((await call(...checkpoint)).out).not.toContain('pixels')
  })

  test('replaces files that are there, and keeps their mode', async () => {
    mkdirSync(path('again'))
    writeFileSync(path('again/head.onnx'), 'old')
    chmodSync(path('again/head.onnx'), 0o600)
    expect(await call('export', '--onnx', path('again'), ...MODEL, '--size', '32x32')).toMatchObject({
      code: 0,
    })
    expect(statSync(path('again/head.onnx')).size).toBeGreaterThan(100_000)
    expect(statSync(path('again/head.onnx')).mode & 0o777).toBe(0o600)
  })

  test('refuses a size that is not made of patches, and names the nearest', async () => {
    const { code, err } = await call('export', '--onnx', path('odd'), ...MODEL, '--size', '100x640')
    expect(code).toBe(1)
    expect(err).toContain('[100, 640] is not a multiple of the patch size 16; the nearest is [96, 640]')
    expect(err).toContain('(ERR_ARGUMENT)')
    expect(existsSync(path('odd'))).toBe(false)
  })

  test('makes its folder, and tells one that cannot be', async () => {
    expect(await call('export', '--onnx', path('not/yet'), ...MODEL)).toMatchObject({ code: 0, err: '' })
    expect(existsSync(path('not/yet/flow.onnx'))).toBe(true)
    writeFileSync(path('file'), '')
    const file = await call('export', '--onnx', path('file'), ...MODEL)
    expect(file).toMatchObject({ code: 1 })
    expect(file.err).toContain('it is a file: name a folder')
  })

  test('what float16 does not hold is told by name, and nothing is left', async () => {
    const bytes = readFileSync(fixture('tiny/head.safetensors'))
    const file = openCheckpoint(fixture('tiny/head.safetensors'))
    bytes.writeFloatLE(1e5, file.tensors.get('flow_head.1.weight')!.offset)
    file.close()
    writeFileSync(path('large.safetensors'), bytes)
    const model = ['--backbone', TINY.backbone, '--head', path('large.safetensors'), '--size', '32x32']
    const { code, err } = await call('export', '--onnx', path('half'), ...model, '--precision', 'float16')
    expect(code).toBe(1)
    expect(err).toContain('"flow_head.1.weight" has the value 100000, which float16 does not hold')
    expect(err).toContain('(ERR_CHECKPOINT_TENSOR)')
    expect(readdirSync(path('half'))).toEqual([])
    expect(await call('export', '--onnx', path('half'), ...model)).toMatchObject({ code: 0 })
  })

  test('a file that cannot grow leaves nothing, not even those that were complete', () => {
    skipIf(process.platform === 'win32', 'Windows has no such limit')
    mkdirSync(path('full'))
    // In units of 1024 bytes: the backbone has 550, the head 690.
    const command = 'ulimit -f 625 && exec "$0" "$@"'
    const args = [PROGRAM, 'export', '--onnx', path('full'), ...MODEL, '--size', '32x32']
    const { status, stderr } = spawnSync('bash', ['-c', command, process.execPath, ...args])
    expect(status).toBe(1)
    expect(stderr.toString()).toContain(`${path('full/head.onnx')}: cannot be written: EFBIG`)
    expect(readdirSync(path('full'))).toEqual([])
  })

  test('Ctrl-C ends it, and leaves nothing', async () => {
    const silent = { write: () => true }
    const cli = { out: silent, err: silent, debug: false, onInterrupt: (action: () => void) => action() }
    expect(await main(['export', '--onnx', path('stopped'), ...MODEL], cli)).toBe(130)
    expect(readdirSync(path('stopped'))).toEqual([])
  })
})

describe.each([
  { flag: '--safetensors', extension: 'safetensors', format: 'safetensors' },
  { flag: '--pth', extension: 'pth', format: 'torch-zip' },
])('export $flag', ({ flag, extension, format }) => {
  const file = (name: string) => path(`${name}.${extension}`)

  test('writes what this package reads to the same values', async () => {
    expect(await call('export', flag, file('both'), ...MODEL)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/wrote .*both\.\w+: 1\.[23] MB\n$/),
    })
    expect(inspectCheckpoint(file('both'))).toMatchObject({ format })
    for (const which of ['backbone', 'head'] as const)
      expectSame(valuesOf(file('both'), which), valuesOf(TINY[which], which))
  })

  test("gives Meta's names to a backbone of Hugging Face, and what Meta's code asks for besides", async () => {
    expect(
      await call('export', flag, file('meta'), '--part', 'backbone', ...HUGGING_FACE, '--head', TINY.head),
    ).toMatchObject({
      code: 0,
    })
    const expected = valuesOf(fixture('tiny/backbone_hf.safetensors'), 'backbone', CONFIG)
    const values = valuesOf(file('meta'), 'backbone')
    const added = [...values.keys()].filter((name) => !expected.has(name))
    expect(added.sort()).toEqual([
      'blocks.0.attn.qkv.bias_mask',
      'blocks.1.attn.qkv.bias_mask',
      'rope_embed.periods',
    ])
    const mask = values.get('blocks.1.attn.qkv.bias_mask')!
    const thirds = [0, 64, 128].map((from) => [...new Set(mask.subarray(from, from + 64))])
    expect(thirds).toEqual([[1], [0], [1]])
    const periods = valuesOf(TINY.backbone, 'backbone').get('rope_embed.periods')!
    expect(sameBits(values.get('rope_embed.periods')!, periods)).toBe(true)
    for (const name of added) values.delete(name)
    expectSame(values, expected)
  })

  test('refuses another extension, and to write over its own source', async () => {
    expect(await call('export', flag, path('model.bin'), ...MODEL)).toMatchObject({ code: 2 })
    await call('export', flag, file('source'), ...MODEL)
    const again = await call(
      'export',
      flag,
      file('source'),
      '--backbone',
      file('source'),
      '--head',
      TINY.head,
    )
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('is also an input') })
  })

  test('a full disk is told', async () => {
    skipIf(!existsSync('/dev/full'), 'only Linux has a disk that is always full')
    symlinkSync('/dev/full', file('full'))
    const { code, err } = await call('export', flag, file('full'), ...MODEL)
    expect(code).toBe(1)
    expect(err).toContain(`${file('full')}: cannot be written: ENOSPC`)
  })
})

test(
  "the original's configuration is exported in less than 2.5 times the memory of its largest file",
  { tags: ['slow'] },
  () => {
    const model = { backbone: path('vits16plus.safetensors'), head: path('seed.safetensors') }
    writeBackbone('dinov3_vits16plus', model.backbone)
    writeHead('seed', model.head, 384)
    const tell = 'process.on("exit", () => console.error(process.resourceUsage().maxRSS))'
    const files = ['--backbone', model.backbone, '--head', model.head, '--quiet']
    const args = [PROGRAM, 'export', '--onnx', path('seed'), ...files]
    const { status, stderr } = spawnSync(process.execPath, [
      '--import',
      `data:text/javascript,${tell}`,
      ...args,
    ])
    expect(status, stderr.toString()).toBe(0)
    const peak = 1024 * Number(stderr.toString())
    figure(
      'ONNX, seed: peak memory of an export / its largest file',
      peak / statSync(path('seed/flow.onnx')).size,
      2.5,
    )
  },
)

test.each([
  { argv: [], told: 'nothing to write: give --onnx DIR, --safetensors FILE or --pth FILE' },
  { argv: ['--pth', 'a.pth', '--size', '64x64'], told: '--size needs --onnx' },
  { argv: ['--pth', 'a.pth', '--normalize'], told: '--normalize needs --onnx' },
  { argv: ['--onnx', 'a', '--part', 'head'], told: '--part needs --safetensors or --pth' },
  { argv: ['--onnx', 'a', '--size', '64x64', '--dynamic'], told: '--size and --dynamic exclude each other' },
  { argv: ['--onnx', 'a', '--size', '64'], told: 'It must be HEIGHTxWIDTH' },
  { argv: ['--onnx', 'a', '--precision', 'int8'], told: 'Allowed choices are float32, float16' },
  { argv: ['--onnx', 'a', '--head', 'x.pth'], told: 'no backbone' },
])('export $argv is refused: $told', async ({ argv, told }) => {
  const { code, err } = await call('export', ...argv)
  expect({ code, told: err.includes(told), err }).toEqual({ code: 2, told: true, err })
})

test('a file that is no checkpoint is told', async () => {
  const { code, err } = await call(
    'export',
    '--onnx',
    path('x'),
    '--backbone',
    TINY.first,
    '--head',
    TINY.head,
  )
  expect(code).toBe(1)
  expect(err).toContain('(ERR_CHECKPOINT_FORMAT)')
})
