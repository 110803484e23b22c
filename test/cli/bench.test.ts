import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import type { BenchReport, Result } from '../../lib/cli/bench/report.js'
import { loadRuntime } from '../../lib/cli/bench/targets/onnxruntime.js'
import { flowError } from '../support/compare.js'
import { need } from '../support/skip.js'
import { call, callWith, fixture, scratch, TINY } from './helpers.js'

const path = scratch()
const MODEL = [
  '--backbone',
  TINY.backbone,
  '--head',
  TINY.head,
  '--size',
  'native',
  '--device',
  'cpu',
  '--threads',
  '1',
]
const PYTHON = '/usr/bin/python3'

/** A short run with the tiny model. */
const bench = (...argv: readonly string[]) =>
  call('bench', ...MODEL, '--frame-size', '32x48', '--warm-up', '0', '--frames', '12', ...argv)

const readJson = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as BenchReport

describe('bench', () => {
  test('measures all scenarios and writes samples, tables and a page', async () => {
    const [json, markdown, html] = [path('all.json'), path('all.md'), path('all.html')]
    const files = ['--json', json, '--markdown', markdown, '--html', html]
    const outcome = await bench(
      '--scenario',
      'all',
      '--rate',
      '200',
      '--streams',
      '3',
      '--batch',
      '4',
      ...files,
    )
    expect(outcome).toMatchObject({ code: 0, err: '' })
    const report = readJson(json)
    const named = Object.fromEntries(report.scenarios.map((each) => [each.scenario, each]))
    const of = (name: string) => named[name]!.results[0]!
    expect(Object.keys(named)).toEqual(['single-stream', 'multi-stream', 'offline', 'camera'])
    // 12 frames: one at a time, 3 at a time, 4 at a time, and one every 5 ms.
    const { camera, samples } = of('camera')
    expect(
      ['single-stream', 'multi-stream', 'offline'].map((name) => of(name).samples.latency.length),
    ).toEqual([12, 4, 3])
    expect(samples.latency.length + camera!.dropped).toBe(12)
    expect(named['camera']!.settings).toEqual({ rate: 200, deadline: 5 })
    for (const { results } of report.scenarios)
      for (const { latency } of results) {
        const { min, p50, p90, p95, p99, p999, max } = latency
        expect([min, p50, p90, p95, p99, p999, max].every((ms) => ms > 0)).toBe(true)
        expect([min, p50, p90, p95, p99, p999, max]).toEqual(
          [min, p50, p90, p95, p99, p999, max].sort((a, b) => a - b),
        )
      }
    expect(report.contenders[0]!.load).toBeGreaterThan(0)
    expect(report.contenders[0]!.firstFlow).toBeGreaterThan(0)
    expect(report.memory.peak).toBeGreaterThanOrEqual(report.memory.before)
    for (const text of [outcome.out, readFileSync(markdown, 'utf8'), readFileSync(html, 'utf8')])
      expect(text).toMatch(/p99\.9[^]*Camera: frames at a fixed rate/)
    expect(statSync(html).size).toBeLessThan(200_000)
  })

  test.each(['single-stream', 'camera'])('Ctrl-C in %s keeps what was measured', async (scenario) => {
    const json = path(`interrupted-${scenario}.json`)
    const endless = [
      '--seconds',
      '1e6',
      '--warm-up',
      '0',
      '--scenario',
      `${scenario},offline`,
      '--json',
      json,
    ]
    const onInterrupt = (interrupt: () => void) => void setImmediate(interrupt) // after the first query has begun
    const outcome = await callWith({ onInterrupt }, 'bench', ...MODEL, '--frame-size', '32x48', ...endless)
    expect(outcome).toMatchObject({ code: 130, err: '' })
    expect(outcome.out).toMatch(/p99\.9[^]*Ctrl-C ended the run|Ctrl-C ended the run[^]*p99\.9/)
    const report = readJson(json)
    expect(report.interrupted).toBe(true)
    expect(report.scenarios.map((each) => each.scenario)).toEqual([scenario])
    expect(report.scenarios[0]!.results[0]!.samples.latency.length).toBeGreaterThan(0)
  })

  test('Ctrl-C before anything was measured leaves no report', async () => {
    const json = path('nothing.json')
    const outcome = await callWith(
      { onInterrupt: (interrupt) => interrupt() },
      'bench',
      ...MODEL,
      '--frame-size',
      '32x48',
      '--json',
      json,
    )
    expect(outcome).toMatchObject({ code: 130, out: '' })
    expect(existsSync(json)).toBe(false)
  })

  test('tells where the time of a frame goes: the parts add up to its latency', async () => {
    const json = path('parts.json')
    expect((await bench('--frames', '60', '--json', json)).code).toBe(0)
    const { parts, latency } = readJson(json).scenarios[0]!.results[0]!
    const sum = parts!.copy + parts!.queue + parts!.engine + parts!.result
    expect(parts!.engine).toBeGreaterThan(0)
    expect(sum / latency.p50).toBeGreaterThan(0.6)
    expect(sum / latency.p50).toBeLessThan(1.4)
  })

  test('measures two pictures', async () => {
    const json = path('pictures.json')
    const argv = [
      'bench',
      TINY.first,
      TINY.second,
      ...MODEL,
      '--warm-up',
      '0',
      '--frames',
      '4',
      '--json',
      json,
    ]
    expect((await call(...argv)).code).toBe(0)
    expect(readJson(json).frames).toMatchObject({ width: 160, height: 112 })
  })

  test('compares contenders, each query beside that of the others', async () => {
    const json = path('contenders.json')
    const contenders = ['sync', 'pair', 'backbone', 'head'].flatMap((name) => ['--contender', `call=${name}`])
    const { code, out } = await bench(
      ...contenders,
      '--contender',
      'backward,occlusion,size=64x96',
      '--json',
      json,
    )
    expect(code).toBe(0)
    const { results } = readJson(json).scenarios[0]!
    expect(results.map(({ samples }) => samples.latency.length)).toEqual(Array(6).fill(12))
    const ratios = results.map(({ ratio }) => ratio?.ratio)
    expect(ratios[0]).toBeUndefined()
    expect(ratios[5]).toBeGreaterThan(2) // four times the pixels, and a flow back
    for (const { name, ratio } of results.slice(1)) {
      expect(out).toContain(name)
      expect(ratio!.low).toBeLessThanOrEqual(ratio!.ratio)
      expect(ratio!.high).toBeGreaterThanOrEqual(ratio!.ratio)
    }
    // They share one model, so only the first was loaded.
    expect(readJson(json).contenders.map(({ load }) => load === null)).toEqual([
      false,
      true,
      true,
      true,
      true,
      true,
    ])
  })

  test('has OpenCV beside it', async () => {
    const { status } = spawnSync(PYTHON, ['-c', 'import cv2'])
    need(status === 0, `cv2 for ${PYTHON}`)
    const json = path('opencv.json')
    const opencv = ['--contender', 'opencv=fast', '--python', PYTHON]
    expect((await bench(...opencv, '--scenario', 'single-stream,offline', '--json', json)).code).toBe(0)
    const { contenders, scenarios } = readJson(json)
    expect(contenders[1]!.info).toMatchObject({ engine: 'OpenCV DIS', preset: 'fast', threads: 1 })
    for (const { results } of scenarios) expect(results[1]!.latency.min).toBeGreaterThan(0)
  })

  test('has onnxruntime beside it, with the model of the command at its size', async () => {
    const json = path('onnxruntime.json')
    const contenders = ['onnxruntime', 'onnxruntime=backbone', 'onnxruntime=head'].flatMap((name) => [
      '--contender',
      name,
    ])
    expect((await bench(...contenders, '--scenario', 'single-stream,offline', '--json', json)).code).toBe(0)
    const { contenders: infos, scenarios } = readJson(json)
    const [ours, theirs] = infos
    expect(theirs!.info).toMatchObject({
      engine: 'onnxruntime-node, CPU',
      call: 'stream',
      refine: 'off',
      threads: 1,
    })
    expect(theirs!.info['network']).toBe(ours!.info['network'])
    expect(theirs!.load).toBeGreaterThan(0)
    for (const { results } of scenarios)
      for (const { latency } of results) expect(latency.min).toBeGreaterThan(0)
  })

  test('runs a camera at a share of the rate that can be sustained', async () => {
    const json = path('share.json')
    const camera = ['--scenario', 'camera', '--rate', '50%', '--warm-up', '2', '--frames', '40']
    expect((await bench(...camera, '--json', json)).code).toBe(0)
    const { results, settings } = readJson(json).scenarios[0]!
    expect(settings.rate! / (500 / results[0]!.warmUp.median)).toBeCloseTo(1, 6)
  })
})

describe('bench --against', () => {
  /** The report of a run whose times are divided by a factor: of a machine that was so much faster. */
  async function earlier(name: string, factor: number): Promise<string> {
    const json = path(name)
    expect((await bench('--frames', '40', '--json', json)).code).toBe(0)
    const report = readJson(json)
    const faster = (result: Result): Result => ({
      ...result,
      samples: { ...result.samples, latency: result.samples.latency.map((ms) => ms / factor) },
    })
    const scenarios = report.scenarios.map((each) => ({ ...each, results: each.results.map(faster) }))
    writeFileSync(json, JSON.stringify({ ...report, scenarios }))
    return json
  }

  test('exits with 1 if something is slower, and with 0 if it is faster', async () => {
    const fast = await bench(
      '--frames',
      '40',
      '--against',
      await earlier('fast.json', 20),
      '--json',
      path('kept.json'),
    )
    expect(fast.code).toBe(1)
    expect(fast.out).toMatch(/single-stream, dinov3-flow .* slower/)
    expect(readJson(path('kept.json')).comparison!.changes).toMatchObject([{ verdict: 'slower' }])
    const slow = await bench('--frames', '40', '--against', await earlier('slow.json', 0.05))
    expect(slow).toMatchObject({ code: 0, err: '' })
    expect(slow.out).toMatch(/single-stream, dinov3-flow .* faster/)
  })

  test('exits with 0 for what is slower by less than the tolerance', async () => {
    const before = await earlier('tolerant.json', 20)
    expect((await bench('--frames', '40', '--against', before, '--tolerance', '100000')).code).toBe(0)
  })

  test('refuses files that are no reports, and reports of other scenarios, before measuring', async () => {
    const [text, other, newer] = [path('text.json'), path('other.json'), path('newer.json')]
    writeFileSync(text, 'not JSON')
    writeFileSync(other, '{"benchFormat":1,"scenarios":[{}]}')
    writeFileSync(newer, JSON.stringify({ ...readJson(await earlier('old.json', 1)), benchFormat: 2 }))
    for (const [file, reason] of [
      [text, /is not JSON.*\(ERR_FORMAT\)/],
      [other, /is no report of bench.*\(ERR_FORMAT\)/],
      [newer, /has format 2.*\(ERR_FORMAT\)/],
      [path('missing.json'), /missing\.json.*\(ERR_IO\)/],
    ] as const) {
      const { code, err, out } = await bench('--against', file)
      expect(code).toBe(1)
      expect(err).toMatch(reason)
      expect(out).toBe('')
    }
    const unlike = await bench('--scenario', 'offline', '--against', path('old.json'))
    expect(unlike.code).toBe(1)
    expect(unlike.err).toMatch(/has nothing that is measured now. It has single-stream/)
  })
})

describe('bench refuses', () => {
  test.each([
    [['--contender', 'preset=slow'], /preset must be one of fast, balanced, best/],
    [['--contender', 'speed=1'], /"speed" is not known/],
    [['--contender', 'backward=yes'], /backward takes no value/],
    [['--contender', 'call=head,backward'], /are of the calls stream, sync and pair/],
    [['--contender', 'wait=sleep'], /wait must be one of auto, spin, block/],
    [['--contender', 'threads=0'], /threads: It must be a number from 1 to 256/],
    [['--contender', 'opencv=best'], /opencv must be one of ultrafast, fast, medium/],
    [['--contender', 'onnxruntime=sync'], /onnxruntime must be one of stream, backbone, head/],
    [['--scenario', 'multi-stream', '--contender', 'onnxruntime'], /computes one stream/],
    [['--contender', 'call=pair', '--contender', 'call=pair'], /is given twice/],
    [['--scenario', 'camera', '--contender', 'call=sync'], /cannot take frames while it computes/],
    [['--scenario', 'multi-stream', '--contender', 'opencv'], /computes one stream/],
    [['--scenario', 'server'], /It must be all, or some of single-stream/],
    [['--scenario', 'camera', '--rate', '50%'], /--warm-up must not be 0/],
    [['--scenario', 'camera', '--rate', '0'], /It must be frames per second/],
    [['--frame-size', '8x8'], /Each side must be 16 or more/],
    [['--html', path('page.txt')], /pages are written as/],
    [[TINY.first], /give two pictures, or none/],
    [[TINY.first, TINY.second], /--frame-size is for frames that are made/],
  ])('%j', async (argv, reason) => {
    const { code, err, out } = await bench(...argv)
    expect(err).toMatch(reason)
    expect({ code, out }).toEqual({ code: 2, out: '' })
  })

  test('pictures of two sizes, and a Python that is none', async () => {
    const pictures = await call('bench', TINY.first, fixture('seed/frame2_640.png'), ...MODEL)
    expect(pictures.code).toBe(1)
    expect(pictures.err).toMatch(/differ in size.*160 x 112.*640 x 640.*\(ERR_FRAME\)/)
    const python = await bench('--contender', 'opencv', '--python', '/nowhere/python')
    expect(python.code).toBe(1)
    expect(python.err).toMatch(/cannot be started, ENOENT.*python3-opencv.*\(ERR_NATIVE\)/)
    const none = await bench('--contender', 'opencv', '--python', '/bin/false')
    expect(none.err).toMatch(/\/bin\/false ended with 1.*\(ERR_NATIVE\)/)
  })
})

test('a missing onnxruntime is told, with the command that installs it', async () => {
  const missing = loadRuntime('onnxruntime', () =>
    Promise.reject(new Error('Cannot find package\nRequire stack')),
  )
  await expect(missing).rejects.toThrow(
    flowError('ERR_NATIVE', 'Cannot find package\nInstall', 'npm install onnxruntime-node'),
  )
})
