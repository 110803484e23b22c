import { existsSync, copyFileSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { FLOW_EXTENSIONS } from '../../lib/cli/outputs.js'
import { FLOW_FORMATS, FlowField, type FlowErrors, readFlow, writeFlow, writeMap } from '../../lib/index.js'
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

  test('says how much of the motion is too long for KITTI’s PNG', async () => {
    // Rounded to 1/64 px, the codes are 2^16 - 1, 2^16, 0 and -1.
    const x = [511.98, 511.995, -512, -512.01, NaN]
    await writeFlow(at('far.flo'), new FlowField(5, 1, Float32Array.of(...x, ...x.map(() => 0))))
    const { code, out } = await call('convert', at('far.flo'), at('far.png'))
    const notes = '1 pixel unknown, 2 pixels beyond 512 px clamped'
    expect({ code, out }).toEqual({ code: 0, out: `wrote ${at('far.png')}: 5 x 1, ${notes}\n` })
    const lossless = await call('convert', at('far.flo'), at('far.pfm'))
    expect(lossless.out).not.toContain('clamped')
  })

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

  test('writes the format that the extension names', async () => {
    for (const [extension, format] of [
      ['.jpg', 'jpeg'],
      ['.webp', 'webp'],
      ['.png', 'png'],
    ] as const) {
      expect(await call('viz', golden, '-o', at(`v${extension}`))).toMatchObject({ code: 0, err: '' })
      expect((await sharp(at(`v${extension}`)).metadata()).format).toBe(format)
    }
    expect(await call('viz', golden, '-o', at('v.bmp'))).toMatchObject({
      code: 2,
      err: expect.stringContaining('.png, .jpg, .jpeg, .webp'),
    })
  })

  test('tells what cannot be a frame, and notes a fault of one that can', async () => {
    const draw = (frame: string) => call('viz', golden, '-o', at('a.png'), '--frame', frame)
    expect((await draw(dirname(golden))).err).toMatch(/is a folder, not a picture: name one file in it/)
    expect((await draw('https://example.com/1.png')).err).toContain('download it first')
    expect((await draw(golden)).err).toContain('a .flo file of flow, not a picture')
    expect((await draw(fixture('pictures/no_eoi.jpg'))).out).toContain('has a fault: premature end')
  })

  test('never overwrites its input through a link', async () => {
    copyFileSync(golden, at('in.png'))
    symlinkSync(at('in.png'), at('out.png'))
    const linked = await call('viz', golden, '-o', at('out.png'), '--frame', at('in.png'))
    expect(linked).toMatchObject({ code: 2, err: expect.stringContaining('is also an input') })
    expect(readFileSync(at('in.png'))).toEqual(readFileSync(golden))
  })

  test('refuses, before the work, a folder and a name that is too long', async () => {
    mkdirSync(at('folder.png'))
    expect((await call('viz', golden, '-o', at('folder.png'))).err).toMatch(
      /is a folder: give the name of a file in it/,
    )
    const long = await call('viz', golden, '-o', at(`${'x'.repeat(252)}.png`))
    expect(long).toMatchObject({ code: 1, err: expect.stringContaining('a name of 256 bytes is longer') })
    expect((await call('viz', golden, '-o', 'https://example.com/a.png')).err).toContain('must be a path')
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

  describe('of two fields, with masks of all kinds', () => {
    const mask = (name: string) => fixture(`masks/${name}`)
    const expected = JSON.parse(readFileSync(mask('expected.json'), 'utf8')) as Record<
      'all' | 'valid' | 'invalid',
      number
    >
    const epe = async (...options: string[]) => {
      const { out, err } = await call('metrics', mask('pr.flo'), mask('gt.flo'), '--json', ...options)
      expect(err).toBe('')
      return (JSON.parse(out) as FlowErrors).epe
    }

    test.each<[string, string[], keyof typeof expected]>([
      ['none', [], 'all'],
      ['.npy', ['--valid', mask('valid.npy')], 'valid'],
      ['16 bits of 0 and 1', ['--valid', mask('valid_16bit_1.png')], 'valid'],
      ['Sintel’s invalid', ['--invalid', mask('sintel_invalid.png')], 'valid'],
      ['invalid pixels alone', ['--invalid', mask('valid.npy')], 'invalid'],
    ])('%s', async (_, options, key) => {
      expect(await epe(...options)).toBeCloseTo(expected[key], 6)
    })

    test('a pixel counts if it is valid and not invalid', async () => {
      const masks = ['--valid', mask('valid.npy'), '--invalid', mask('valid.npy')]
      const both = await call('metrics', mask('pr.flo'), mask('gt.flo'), ...masks)
      expect(both).toMatchObject({
        code: 1,
        err: expect.stringContaining(`left out by ${mask('valid.npy')}`),
      })
    })

    test('a mask of another size is refused by its name', async () => {
      for (const option of ['--valid', '--invalid']) {
        const { code, err } = await call(
          'metrics',
          mask('pr.flo'),
          mask('gt.flo'),
          option,
          mask('wrong_size.png'),
        )
        expect({ code, err }).toEqual({
          code: 1,
          err: expect.stringContaining(
            `${mask('wrong_size.png')}: the mask is 32 x 10, and the flow 32 x 24`,
          ),
        })
      }
    })
  })

  test('take Spring’s ground truth of twice the size, and say so', async () => {
    const small = await readFlow(fixture('masks/gt.flo'))
    const large = new FlowField(
      2 * small.width,
      2 * small.height,
      new Float32Array(8 * small.x.length).fill(77),
    )
    const valid = new Uint8Array(4 * small.x.length)
    for (let row = 0; row < small.height; row++)
      for (let column = 0; column < small.width; column++) {
        const at = 2 * row * large.width + 2 * column
        large.x[at] = small.x[row * small.width + column]!
        large.y[at] = small.y[row * small.width + column]!
        valid[at] = 1
      }
    await writeFlow(at('large.flo'), large)
    await writeMap(at('large.npy'), { data: valid, width: large.width, height: large.height })
    const { code, out } = await call('metrics', fixture('masks/pr.flo'), at('large.flo'))
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(
        /every second pixel of every second row of .*large\.flo \(64 x 48\), as Spring's rules say/,
      ),
    })
    const masked = await call(
      'metrics',
      fixture('masks/gt.flo'),
      at('large.flo'),
      '--valid',
      at('large.npy'),
      '--json',
    )
    expect(JSON.parse(masked.out)).toMatchObject({ epe: 0, subsampled: 1, validPixels: small.x.length })
  })

  test('read 16-bit PNGs in the code that is named', async () => {
    const dsec = fixture('formats/dsec_128.png')
    await call('convert', dsec, at('dsec.flo'), '--png-code', 'dsec')
    const same = await call('metrics', at('dsec.flo'), dsec, '--png-code', 'dsec', '--json')
    expect(JSON.parse(same.out)).toMatchObject({ epe: 0 })
    const other = await call('metrics', at('dsec.flo'), dsec, '--json')
    expect((JSON.parse(other.out) as FlowErrors).epe).toBeGreaterThan(1)
    const unknown = await call('viz', dsec, '-o', at('x.png'), '--png-code', 'sintel')
    expect(unknown).toMatchObject({ code: 2, err: expect.stringContaining('kitti, dsec, vkitti2') })
    const written = await call('convert', at('dsec.flo'), at('y.png'), '--png-code', 'dsec')
    expect(written).toMatchObject({ code: 2, err: expect.stringContaining('that is written is kitti') })
    expect(existsSync(at('y.png'))).toBe(false)
  })

  test('are a table for people', async () => {
    const { out } = await call('metrics', at('guess.flo'), at('truth.flo'))
    expect(out).toMatch(/^EPE +2\.00 px/)
    expect(out).toMatch(/Fl-all +33\.33 %/)
    expect(out).toMatch(/pixels +3 of 3 \(3 x 1\)/)
    expect(out).toMatch(/^s0-10 +3\.00 px, EPE of motions below 10 px$/m)
    expect(out).not.toMatch(/s10-40|matched|occluded/)
  })

  test('tell hidden pixels from visible ones', async () => {
    // Errors of 2, 4 and 0 px.
    await writeMap(at('hidden.png'), { data: Uint8Array.of(0, 1, 0), width: 3, height: 1 })
    const { out } = await call('metrics', at('guess.flo'), at('truth.flo'), '--occluded', at('hidden.png'))
    expect(out).toMatch(/^matched +1\.00 px/m)
    expect(out).toMatch(/^occluded +4\.00 px/m)
  })

  test('of different sizes, or of nothing, are an error', async () => {
    const sizes = await call('metrics', golden, at('truth.flo'))
    expect(sizes).toMatchObject({ code: 1, out: '', err: expect.stringContaining('47 x 31') })
    await writeFlow(at('unknown.flo'), new FlowField(3, 1, new Float32Array(6).fill(NaN)))
    const none = await call('metrics', at('guess.flo'), at('unknown.flo'))
    expect(none).toMatchObject({ code: 1, out: '', err: expect.stringContaining('no pixel is valid') })
  })
})
