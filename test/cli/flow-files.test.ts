import { copyFileSync, readFileSync } from 'node:fs'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { FLOW_EXTENSIONS } from '../../lib/cli/outputs.js'
import { FLOW_FORMATS, FlowField, type FlowErrors, readFlow, writeFlow } from '../../lib/index.js'
import { call, fixture, scratch } from './helpers.js'

const at = scratch()
const golden = fixture('formats/flow_31x47.flo')

describe('convert', () => {
  test('knows every format of the library', () => {
    expect(FLOW_EXTENSIONS).toHaveLength(FLOW_FORMATS.length)
  })

  test.each(FLOW_EXTENSIONS.filter((extension) => extension !== '.png'))(
    'keeps every value on the way to %s and back',
    async (extension) => {
      const there = await call('convert', golden, at(`there${extension}`))
      expect(there).toEqual({ code: 0, out: expect.stringContaining('47 x 31'), err: '' })
      await call('convert', at(`there${extension}`), at('back.flo'))
      expect(await readFlow(at('back.flo'))).toEqual(await readFlow(golden))
    },
  )

  test('writes KITTI’s PNG, and counts unknown pixels', async () => {
    await writeFlow(at('holes.flo'), new FlowField(2, 1, Float32Array.of(1, NaN, 2, NaN)))
    const { code, out } = await call('convert', at('holes.flo'), at('kitti.png'))
    expect({ code, out }).toEqual({ code: 0, out: `wrote ${at('kitti.png')}: 2 x 1, 1 pixel unknown\n` })
    expect([...(await readFlow(at('kitti.png'))).data]).toEqual([1, NaN, 2, NaN])
  })

  test('never overwrites what it reads', async () => {
    copyFileSync(golden, at('same.flo'))
    const { code, err } = await call('convert', at('same.flo'), at('same.flo'))
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('give another name') })
    expect(readFileSync(at('same.flo'))).toEqual(readFileSync(golden))
  })

  test('says what is wrong with a file', async () => {
    copyFileSync(golden, at('wrong.npy'))
    const { code, err } = await call('convert', at('wrong.npy'), at('right.flo'))
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/rename it to \.flo \(ERR_FORMAT\)\n$/),
    })
  })
})

describe('viz', () => {
  test('draws colours, and arrows over a picture that is resized to the flow', async () => {
    const colors = await call('viz', golden, '-o', at('colors.png'))
    expect(colors).toMatchObject({ code: 0, err: '' })
    const arrows = await call('viz', golden, '-o', at('arrows.png'), '--frame', fixture('tiny/frame1.png'))
    expect(arrows).toMatchObject({ code: 0, err: '' })
    for (const path of [at('colors.png'), at('arrows.png')])
      expect(await sharp(path).metadata()).toMatchObject({ width: 47, height: 31, format: 'png' })
    expect(readFileSync(at('arrows.png'))).not.toEqual(readFileSync(at('colors.png')))
  })

  test('--clip-max and --clip-min change the colours', async () => {
    await writeFlow(at('v.flo'), new FlowField(3, 1, Float32Array.of(1, 6, 20, 0, 0, 0)))
    const pictures = new Set<string>()
    for (const options of [[], ['--clip-max', '1'], ['--clip-min', '5'], ['--scale', '100']]) {
      const { code } = await call('viz', at('v.flo'), '-o', at('v.png'), ...options)
      expect(code).toBe(0)
      pictures.add(readFileSync(at('v.png'), 'base64'))
    }
    expect(pictures.size).toBe(4)
  })

  test('colours and arrows do not mix, and an output is needed', async () => {
    const mixed = await call('viz', golden, '-o', at('m.png'), '--frame', 'f.png', '--scale', '3')
    expect(mixed).toMatchObject({ code: 2, out: '' })
    expect(await call('viz', golden)).toMatchObject({ code: 2, out: '' })
  })
})

describe('metrics', () => {
  test('of a field against itself are perfect', async () => {
    const { code, out } = await call('metrics', golden, golden, '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      epe: 0,
      px1: 1,
      flAll: 0,
      validPixels: 47 * 31,
    } satisfies Partial<FlowErrors>)
  })

  test('count what is not black in --valid, and moves less than --max-flow', async () => {
    await writeFlow(at('truth.flo'), new FlowField(3, 1, Float32Array.of(0, 0, 50, 0, 0, 0)))
    await writeFlow(at('guess.flo'), new FlowField(3, 1, Float32Array.of(2, 4, 50, 0, 0, 0)))
    await sharp(Uint8Array.of(0, 1, 255), { raw: { width: 3, height: 1, channels: 1 } }).toFile(
      at('mask.png'),
    )
    const errors = async (...options: string[]) =>
      JSON.parse(
        (await call('metrics', at('guess.flo'), at('truth.flo'), '--json', ...options)).out,
      ) as FlowErrors
    expect(await errors()).toMatchObject({ epe: 2, validPixels: 3 })
    expect(await errors('--valid', at('mask.png'))).toMatchObject({ epe: 2, px3: 0.5, validPixels: 2 })
    expect(await errors('--max-flow', '50')).toMatchObject({ epe: 3, validPixels: 2 })
  })

  test('are a table for people', async () => {
    const { out } = await call('metrics', at('guess.flo'), at('truth.flo'))
    expect(out).toMatch(/^EPE +2\.00 px/)
    expect(out).toMatch(/Fl-all +33\.33 %/)
    expect(out).toMatch(/pixels +3 of 3 \(3 x 1\)/)
  })

  test('of different sizes, or of nothing, are an error', async () => {
    const sizes = await call('metrics', golden, at('truth.flo'))
    expect(sizes).toMatchObject({ code: 1, out: '', err: expect.stringContaining('47 x 31') })
    await writeFlow(at('unknown.flo'), new FlowField(3, 1, new Float32Array(6).fill(NaN)))
    const none = await call('metrics', at('guess.flo'), at('unknown.flo'))
    expect(none).toMatchObject({ code: 1, out: '', err: expect.stringContaining('no pixel is valid') })
  })
})
