import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { inspectCheckpoint } from '../../lib/checkpoint/inspect.js'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { entriesOf, fixture, refusal, scratch, withFile, writeSafetensors, writeZip } from './helpers.js'
import { dict, pickle, tensor } from './pickle-writer.js'

const folder = scratch()
const SHARDS = [
  'model-00001-of-00003.safetensors',
  'model-00002-of-00003.safetensors',
  'model-00003-of-00003.safetensors',
]

/** The tiny backbone in three shards. */
function write(
  change: (index: Record<string, unknown>, map: Record<string, unknown>) => void = () => {},
): string {
  const model = mkdtempSync(join(folder, 'model-'))
  const entries = Object.entries(entriesOf(fixture('tiny/backbone.safetensors')))
  const map: Record<string, unknown> = {}
  SHARDS.forEach((shard, i) => {
    const part = entries.filter((_, at) => at % 3 === i)
    writeSafetensors(join(model, shard), Object.fromEntries(part))
    for (const [name] of part) map[name] = shard
  })
  const index: Record<string, unknown> = { metadata: {}, weight_map: map }
  change(index, map)
  writeFileSync(join(model, 'model.safetensors.index.json'), JSON.stringify(index))
  return model
}

const descriptors = (): number => readdirSync('/proc/self/fd').length

describe('a model in shards', () => {
  test('is the same as the model in one file', () => {
    const whole = inspectCheckpoint(fixture('tiny/backbone.safetensors'))
    const found = inspectCheckpoint(write())
    expect(found).toMatchObject({
      backbone: whole.backbone,
      shards: 3,
      format: 'safetensors',
      missing: [],
      problems: [],
    })
    expect(found.path.endsWith('/model.safetensors.index.json')).toBe(true)
    expect(found.tensors).toHaveLength(whole.tensors.length)
  })

  test('may have an index that begins with a byte order mark', () => {
    const model = write()
    const index = join(model, 'model.safetensors.index.json')
    writeFileSync(index, `\ufeff${readFileSync(index, 'utf8')}`)
    expect(inspectCheckpoint(index)).toMatchObject({ shards: 3, missing: [], problems: [] })
  })

  test('may have other names, and its index may be indented', () => {
    const model = mkdtempSync(join(folder, 'other-'))
    writeSafetensors(join(model, 'a.safetensors'), { w: { shape: [2] } })
    const index = join(model, 'diffusion_pytorch_model.safetensors.index.fp16.json')
    writeFileSync(index, JSON.stringify({ weight_map: { w: 'a.safetensors' } }, null, 2))
    for (const path of [index, model])
      expect(withFile(path, (file) => [...file.tensors.keys()])).toEqual(['w'])
  })

  test('leaves no file open, whether it is read or refused', () => {
    if (!existsSync('/proc/self/fd')) return
    const [good, bad] = [write(), write((_, map) => (map['no.such.tensor'] = SHARDS[2]))]
    const before = descriptors()
    withFile(good, (file) => expect(descriptors()).toBe(before + file.shards!))
    refusal(() => openCheckpoint(bad), 'ERR_CHECKPOINT_FORMAT')
    expect(descriptors()).toBe(before)
  })

  test('without its index is refused with what is missing', () => {
    const model = write()
    rmSync(join(model, 'model.safetensors.index.json'))
    expect(refusal(() => openCheckpoint(model), 'ERR_CHECKPOINT_FORMAT').message).toMatch(
      /holds the shard "model-0000\d-of-00003\.safetensors" but no index: fetch model\.safetensors\.index\.json/,
    )
  })

  test('of which one is not there, or cut short, is refused with its name', () => {
    const model = write()
    rmSync(join(model, SHARDS[1]!))
    expect(refusal(() => openCheckpoint(model), 'ERR_CHECKPOINT_FORMAT').message).toMatch(
      /index\.json: names 3 shards, of which 1 are not beside it: fetch \["model-00002-of-00003\.safetensors"\]/,
    )
    const cut = write()
    truncateSync(join(cut, SHARDS[2]!), 3000)
    const { message } = refusal(() => openCheckpoint(cut), 'ERR_CHECKPOINT_FORMAT')
    expect(message).toMatch(/model-00003-of-00003\.safetensors: .*cut short/)
  })

  test.each<[string, Parameters<typeof write>[0], RegExp]>([
    [
      'a path out of the folder',
      (_, map) => (map['w'] = '../../etc/passwd'),
      /"w" is in "\.\.\/\.\.\/etc\/passwd", which is no name/,
    ],
    ['an absolute path', (_, map) => (map['w'] = '/etc/passwd'), /no name of a file beside it/],
    ['the folder', (_, map) => (map['w'] = '..'), /no name of a file beside it/],
    ['a number', (_, map) => (map['w'] = 3), /"w" is in 3/],
    ['a list', (_, map) => (map['w'] = [SHARDS[0]]), /"w" is in a list/],
    [
      'a tensor that is not in its shard',
      (_, map) => (map['norm.bias'] = SHARDS[map['norm.bias'] === SHARDS[0] ? 1 : 0]),
      /"norm\.bias" is in "model-0000\d-of-00003\.safetensors", which does not hold it/,
    ],
    [
      'itself as a shard',
      (_, map) => (map['w'] = 'model.safetensors.index.json'),
      /looks like a JSON file, not like a shard/,
    ],
    [
      'a thousand shards',
      (_, map) => {
        for (let i = 0; i < 1000; i++) map[`w${i}`] = `s${i}`
      },
      /more than 256 shards/,
    ],
    ['nothing', (index) => (index['weight_map'] = {}), /empty weight_map/],
    ['no map', (index) => delete index['weight_map'], /JSON file without weight_map, so no index of shards/],
    ['depth', (index) => (index['x'] = [[[[[[[[[[[]]]]]]]]]]]), /nested deeper/],
  ])('whose index names %s is refused', (_, change, message) => {
    const { message: text } = refusal(() => openCheckpoint(write(change)), 'ERR_CHECKPOINT_FORMAT')
    expect(text).toMatch(message)
    expect(text.length).toBeLessThan(400)
  })

  test('may be links, as in the cache of Hugging Face', () => {
    const linked = mkdtempSync(join(folder, 'linked-'))
    const model = write()
    for (const file of readdirSync(model)) symlinkSync(join(model, file), join(linked, file))
    expect(withFile(linked, (file) => file.shards)).toBe(3)
  })
})

describe('one shard by itself', () => {
  test('is told by its name, in inspect too', () => {
    const found = inspectCheckpoint(join(write(), SHARDS[0]!))
    expect(found.missing.length).toBeGreaterThan(0)
    expect(found.problems[0]).toMatch(
      /^it is shard 1 of 3: give the folder, or "model\.safetensors\.index\.json"/,
    )
  })

  test('is not taken for one where it holds everything', () => {
    const path = join(folder, 'model-00001-of-00001.safetensors')
    writeSafetensors(path, entriesOf(fixture('tiny/backbone.safetensors')))
    expect(inspectCheckpoint(path).problems).toEqual([])
  })

  test('of torch.save is told, too', () => {
    const path = join(folder, 'pytorch_model-00002-of-00002.bin')
    const made = tensor({ key: '0', count: 1, shape: [1], strides: [1] })
    writeZip(path, { 'm/data.pkl': pickle(dict({ 'proj1.weight': made })), 'm/data/0': Buffer.alloc(4) })
    expect(inspectCheckpoint(path).problems[0]).toMatch(/shard 2 of 2: .* "pytorch_model\.bin\.index\.json"/)
  })
})
