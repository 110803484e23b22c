import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { scratch } from '../checkpoint/helpers.js'
import { call as callOf, dict, text } from '../checkpoint/pickle-writer.js'
import { joined, plainTensors, renamed, TorchFile, WILD, writeSafetensors } from '../support/wild.js'
import { call, fixture, TINY } from './helpers.js'

const folder = scratch()

describe('inspect', () => {
  test('tells architecture, tensors and use, a file after the other', async () => {
    const { code, out, err } = await call('inspect', TINY.backbone, TINY.head)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('width 64, 2 blocks, 2 heads of 32, SwiGLU 128, patch 16, 4 storage tokens')
    expect(out).toContain(
      'projection 32, radius 4, fusion 48, 2 layers, refinement of 1 layer, upsampling 16',
    )
    expect(out).toContain('99 (88 float32, 11 int64)')
    expect(out).toContain('yes, as backbone\n\n')
    expect(out).toContain('yes, as head\n')
  })

  test('--tensors lists every tensor', async () => {
    const { out } = await call('inspect', TINY.head, '--tensors')
    expect(out).toMatch(/\n {2}"proj1\.weight" +float32 +\[32, 64, 1, 1\]\n/)
    expect(out.match(/^ {2}"/gm)).toHaveLength(99)
  })

  test('--json prints what the library tells', async () => {
    const { out } = await call('inspect', TINY.backbone, '--json')
    const [found] = JSON.parse(out) as unknown[]
    expect(found).toMatchObject({
      usable: true,
      kind: 'backbone',
      format: 'torch-zip',
      backbone: { dim: 64 },
    })
  })

  test.each([
    ['hostile/missing_tensor.safetensors', 'missing  "flow_head.1.weight"'],
    ['hostile/wrong_shape.safetensors', 'has shape [48, 2, 1, 1] instead of [2, 48, 1, 1]'],
    ['tiny/activations.safetensors', 'and 14 more (--tensors lists them)'],
    ['tiny/activations.safetensors', 'no: neither a DINOv3 backbone nor a flow head'],
  ])('%s cannot be used: exit code 1, %s', async (name, message) => {
    const { code, out, err } = await call('inspect', fixture(name))
    expect({ code, err }).toEqual({ code: 1, err: '' })
    expect(out).toContain(message)
  })

  test('one file that cannot be read does not keep the others from being told', async () => {
    const truncated = fixture('hostile/truncated.pth')
    const text = await call('inspect', truncated, TINY.head)
    expect(text.code).toBe(1)
    expect(text.err).toMatch(/^error: .*truncated\.pth.*\(ERR_CHECKPOINT_FORMAT\)\n$/)
    expect(text.out).toContain('yes, as head')
    const json = await call('inspect', truncated, TINY.head, '--json')
    expect({ code: json.code, err: json.err }).toEqual({ code: 1, err: '' })
    expect(JSON.parse(json.out)).toMatchObject([
      { path: truncated, usable: false, error: { code: 'ERR_CHECKPOINT_FORMAT' } },
      { usable: true },
    ])
  })

  test('tells the prefix, and which of several models is taken; --prefix takes another', async () => {
    const tensors = plainTensors(WILD.head)
    const path = join(folder, 'average.safetensors')
    const prefixed = ['net.', 'net_ema.module.'].map((prefix) => renamed(tensors, (name) => prefix + name))
    writeSafetensors(path, joined(...prefixed))
    const average = await call('inspect', path)
    expect(average.out).toContain(
      'names begin with "net_ema.module." (average of the weights); also in the file: "net." (--prefix takes another)',
    )
    const raw = await call('inspect', path, '--prefix', 'net')
    expect(raw.code).toBe(0)
    expect(raw.out).toContain('names begin with "net."; also in the file: "net_ema.module."')
    const none = await call('inspect', path, '--prefix', 'ne')
    expect(none.code).toBe(1)
    expect(none.out).toContain('no model has the prefix "ne": give one of ["net_ema.module.", "net."]')
  })

  test('tells the Python objects that were skipped, and shards', async () => {
    const torch = new TorchFile()
    const evil = callOf('posix', 'system', text('touch /tmp/pickle-was-executed'))
    const path = torch.write(
      join(folder, 'evil.pth'),
      dict({ x: evil, model: torch.add(plainTensors(WILD.head)) }),
    )
    const { code, out } = await call('inspect', path)
    expect(code).toBe(0)
    expect(out).toMatch(/skipped +Python objects, neither read nor run:\n +"posix\.system"\n/)
    expect(existsSync('/tmp/pickle-was-executed')).toBe(false)
    const index = join(folder, 'model.safetensors.index.json')
    copyFileSync(WILD.head, join(folder, 'one.safetensors'))
    const names = [...plainTensors(WILD.head).keys()].map((name) => [name, 'one.safetensors'])
    writeFileSync(index, JSON.stringify({ weight_map: Object.fromEntries(names) }))
    expect((await call('inspect', folder)).out).toMatch(/format +safetensors, 1 shard, 75 kB/)
  })

  test('--backbone-config names the configuration of a backbone with Hugging Face’s names', async () => {
    const file = fixture('tiny/backbone_hf.safetensors')
    const right = await call('inspect', file, '--backbone-config', fixture('tiny/config_hf.json'))
    expect(right.out).toContain('2 heads of 32')
    const absent = await call('inspect', file, '--backbone-config', fixture('none.json'))
    expect(absent.code).toBe(1)
    expect(absent.out).toContain('none.json: no such file')
  })

  test('tells which pixels a backbone expects, where a file beside it does', async () => {
    const beside = join(folder, 'satellite')
    mkdirSync(beside)
    copyFileSync(fixture('tiny/backbone_hf.safetensors'), join(beside, 'model.safetensors'))
    copyFileSync(fixture('tiny/config_hf.json'), join(beside, 'config.json'))
    const processor = join(beside, 'preprocessor_config.json')
    const numbers = { image_mean: [0.43, 0.411, 0.296], image_std: [0.213, 0.156, 0.143] }
    writeFileSync(processor, JSON.stringify(numbers))
    const told = await call('inspect', beside)
    expect(told.code).toBe(0)
    expect(told.out).toContain(
      'pixels of mean 0.43, 0.411, 0.296 and standard deviation 0.213, 0.156, 0.143\n',
    )
    writeFileSync(processor, '{"image_mean":[0,0,0,0]}')
    const refused = await call('inspect', beside)
    expect(refused.code).toBe(1)
    expect(refused.out).toContain('has image_mean [0, 0, 0, 0], not three numbers')
    expect((await call('inspect', TINY.backbone)).out).not.toContain('pixels')
  })
})
