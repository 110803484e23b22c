import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { readHead } from '../../lib/checkpoint/head.js'
import { readConfig } from '../../lib/checkpoint/hf-config.js'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { unpickle } from '../../lib/checkpoint/pickle.js'
import { stateDict } from '../../lib/checkpoint/state-dict.js'
import { TorchHost } from '../../lib/checkpoint/torch-objects.js'
import type { FlowErrorCode } from '../../lib/errors.js'
import { plainTensors, TorchFile, WILD } from '../support/wild.js'
import {
  entriesOf,
  fixture,
  refusal,
  scratch,
  withFile,
  writeHeader,
  writeSafetensors,
  writeZip,
} from './helpers.js'
import { dict, int, op, pickle, tensor, type TensorSpec, text } from './pickle-writer.js'

const folder = scratch()

describe('a hostile file is refused by file, tensor and reason', () => {
  test.each<[file: string, code: FlowErrorCode, message: RegExp]>([
    [
      'executes_code.pth',
      'ERR_CHECKPOINT_FORMAT',
      /holds no tensors, but an object of "posix\.system", which was not run or read.*state_dict\(\)/,
    ],
    [
      'huge_header.safetensors',
      'ERR_CHECKPOINT_FORMAT',
      /header claims 1152921504606846976 bytes, the file has 705972/,
    ],
    ['missing_tensor.safetensors', 'ERR_CHECKPOINT_TENSOR', /tensor "flow_head\.1\.weight" is missing/],
    ['negative_shape.safetensors', 'ERR_CHECKPOINT_FORMAT', /tensor "proj1\.weight": its shape \[-1, 5\]/],
    ['not_a_checkpoint.pth', 'ERR_CHECKPOINT_FORMAT', /looks like text, .*: give a safetensors .*\.pth/],
    [
      'offsets_out_of_file.safetensors',
      'ERR_CHECKPOINT_FORMAT',
      /tensor "proj1\.weight": its data ends at byte 1000000000000/,
    ],
    ['truncated.pth', 'ERR_CHECKPOINT_FORMAT', /cut short/],
    ['truncated.safetensors', 'ERR_CHECKPOINT_FORMAT', /header claims 7696 bytes, the file has 5000/],
    [
      'wrong_shape.safetensors',
      'ERR_CHECKPOINT_TENSOR',
      /tensor "flow_head\.1\.weight" has shape \[48, 2, 1, 1\] instead of \[2, 48, 1, 1\]/,
    ],
  ])('%s', (name, code, message) => {
    const error = refusal(() => withFile(fixture(`hostile/${name}`), readHead), code)
    expect(error.message).toMatch(message)
    expect(error.message.startsWith(fixture(`hostile/${name}`))).toBe(true)
  })

  test('a pickle that would run a command runs nothing', () => {
    refusal(() => openCheckpoint(fixture('hostile/executes_code.pth')), 'ERR_CHECKPOINT_FORMAT')
    expect(existsSync('/tmp/pickle-was-executed')).toBe(false)
  })
})

describe('what is no checkpoint is named', () => {
  test.each([
    ['an empty file', '', /an empty file/],
    ['a web page', '<!doctype html><html>', /a web page/],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid', /Git LFS pointer/],
    ['a plain pickle', '\x80\x04N.', /a pickle that torch\.save did not write/],
    ['something else', '\x01\x02\x03', /unknown data \(it begins with 010203\)/],
  ])('%s', (name, content, message) => {
    const path = join(folder, name)
    writeFileSync(path, content, 'latin1')
    expect(refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT').message).toMatch(message)
  })

  test('a missing file is an ERR_IO with its cause', () => {
    const error = refusal(() => openCheckpoint(join(folder, 'nowhere.pth')), 'ERR_IO')
    expect(error.message).toMatch(/nowhere\.pth: no such file/)
    expect(error.cause).toBeInstanceOf(Error)
  })

  test('a folder without a model says what is expected', () => {
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    expect(refusal(() => openCheckpoint(empty), 'ERR_CHECKPOINT_FORMAT').message).toMatch(
      /is a folder without model\.safetensors, model\.safetensors\.index\.json, .*: give the path/,
    )
  })
})

describe('a safetensors header', () => {
  const header = (name: string, text: string): RegExp | string =>
    refusal(() => openCheckpoint(writeHeader(join(folder, name), text, 64)), 'ERR_CHECKPOINT_FORMAT').message

  test.each([
    ['not JSON', '{"a":', /not valid JSON/],
    ['nested deeper than the format', `{"a":{"b":[${'['.repeat(1000)}`, /nested deeper/],
    ['an entry that is a number', '{"a":1}', /tensor "a": its entry is not an object/],
    [
      'a fraction',
      '{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}}',
      /tensor "a": its shape \[1\.5\]/,
    ],
    [
      'a shape whose product overflows',
      '{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
      /impossibly large/,
    ],
    [
      'too few bytes',
      '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}',
      /needs 16 bytes, its data_offsets give 8/,
    ],
    [
      'a type that is no text',
      '{"a":{"dtype":{"toString":1},"shape":[1],"data_offsets":[0,4]}}',
      /tensor "a": its dtype an object is not a name/,
    ],
    [
      'a shape of other things',
      `{"a":{"dtype":"F32","shape":["\\u001b[31m${'x'.repeat(500)}"],"data_offsets":[0,4]}}`,
      /tensor "a": its shape \["\\u001b\[31mx{115}\.\.\."\] hold/,
    ],
    ['backward offsets', '{"a":{"dtype":"F32","shape":[0],"data_offsets":[8,0]}}', /not \[begin, end\]/],
    ['metadata that is no text', '{"__metadata__":{"a":1}}', /__metadata__ "a" is not text/],
  ])('with %s is refused', (name, text, message) => {
    expect(header(name, text)).toMatch(message)
  })

  test('with the name __proto__ is harmless', () => {
    const path = writeHeader(
      join(folder, 'proto'),
      '{"__proto__":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"__proto__":"x"}}',
      8,
    )
    withFile(path, (file) => {
      expect([...file.tensors.keys()]).toEqual(['__proto__'])
      expect(Object.getPrototypeOf(file.metadata)).toBe(null)
      expect(({} as Record<string, unknown>)['shape']).toBeUndefined()
    })
  })
})

describe('a config.json', () => {
  test.each([
    ['an object', '{"toString":1}', 'an object'],
    ['a deep list', `${'['.repeat(5000)}${']'.repeat(5000)}`, 'a list'],
    ['text for a terminal', '"\\u001b[31m"', '"\\u001b[31m"'],
  ])('with %s for a value is refused', (name, value, said) => {
    for (const key of ['model_type', 'layer_norm_eps', 'num_attention_heads']) {
      const path = join(folder, `${name} ${key}.json`)
      writeFileSync(path, `{"${key}":${value}}`)
      expect(refusal(() => readConfig(path), 'ERR_CHECKPOINT_FORMAT').message).toContain(said)
    }
  })
})

describe('a tensor of a .pth', () => {
  const open = (name: string, spec: Partial<TensorSpec>, extra: Record<string, Buffer> = {}): string => {
    const made = tensor({ key: '0', count: 6, shape: [2, 3], strides: [3, 1], ...spec })
    const path = writeZip(join(folder, `${name}.pth`), {
      'a/data.pkl': pickle(dict({ w: made })),
      'a/data/0': Buffer.alloc(24),
      ...extra,
    })
    return refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT').message
  }

  test.each<[string, Partial<TensorSpec>, RegExp]>([
    ['past its storage', { offset: 1 }, /ends at element 7 of a storage of 6/],
    ['with strides past its storage', { strides: [4, 1] }, /ends at element 7 of a storage of 6/],
    ['in a storage larger than the file', { count: 7 }, /needs 28 bytes, the file has 24/],
    ['in no storage', { key: '1' }, /storage "1" is not in the file/],
    ['of a negative shape', { shape: [-2, 3] }, /shape \[-2, 3\]/],
    ['with strides for another shape', { strides: [1] }, /strides do not fit/],
    ['of a thousand axes', { shape: Array(1000).fill(1), strides: Array(1000).fill(1) }, /1000 axes/],
  ])('%s is refused', (name, spec, message) => {
    const text = open(name, spec)
    expect(text).toMatch(message)
    expect(text).toMatch(/tensor "w"/)
  })

  test('saved on a big endian machine is refused', () => {
    expect(open('big', {}, { 'a/byteorder': Buffer.from('big') })).toMatch(/"big" endian/)
  })

  test('in a TorchScript program is refused with the way out', () => {
    expect(open('script', {}, { 'a/constants.pkl': Buffer.alloc(0) })).toMatch(/TorchScript.*state_dict\(\)/)
  })
})

describe('what a file may ask for is bounded', () => {
  const w = tensor({ key: '0', count: 1, shape: [1], strides: [1] })
  const within = (milliseconds: number, run: () => void): void => {
    const begin = performance.now()
    run()
    expect(performance.now() - begin).toBeLessThan(milliseconds)
  }
  const read = (...parts: Buffer[]): unknown =>
    stateDict(unpickle(pickle(...parts), 0, new TorchHost()).value)
  const repeat = (count: number, part: (i: number) => Buffer): Buffer =>
    Buffer.concat(Array.from({ length: count }, (_, i) => part(i)))

  test('a container that many others hold is walked once', () => {
    const big = Buffer.concat([
      op.emptyDict,
      op.mark,
      repeat(100_000, (i) => Buffer.concat([int(i), op.none])),
      op.setItems,
      op.put(0),
    ])
    const holders = repeat(20_000, (i) => Buffer.concat([text(`k${i}`), op.emptyList, op.get(0), op.append]))
    within(5000, () =>
      expect(() => read(big, Buffer.from('0'), op.emptyDict, op.mark, holders, op.setItems)).toThrow(
        'holds no tensors',
      ),
    )
  })

  test('names that are joined from long parts stop at a length', () => {
    const long = [text('m'.repeat(1 << 20)), op.put(0)]
    expect(() => read(...long, op.get(0), Buffer.from([0x93]))).toThrow('a name of more than 512 characters')
  })

  test('names beyond counting stop at the budget', () => {
    const names = [text('m'.repeat(250)), op.put(0), text('n'.repeat(250)), op.put(1)]
    const again = Buffer.concat([op.get(0), op.get(1), Buffer.from([0x93, 0x30])])
    within(5000, () =>
      expect(() =>
        read(
          ...names,
          repeat(500_000, () => again),
        ),
      ).toThrow('far more than a checkpoint needs'),
    )
  })

  test('dicts that are made of one long list again and again stop at the budget', () => {
    const list = [op.emptyList, op.mark, repeat(100_000, () => op.none), Buffer.from('e'), op.put(0)]
    const made = Buffer.concat([
      op.global('collections', 'OrderedDict'),
      op.get(0),
      Buffer.from([0x85]),
      op.reduce,
      Buffer.from('0'),
    ])
    within(5000, () =>
      expect(() =>
        read(
          ...list,
          repeat(100_000, () => made),
        ),
      ).toThrow('far more than a checkpoint needs'),
    )
  })

  test('a tensor that is rebuilt by what rebuilds tensors, and so on, is not followed', () => {
    const from = op.global('torch._tensor', '_rebuild_from_type_v2')
    const nested = Buffer.concat([
      repeat(50_000, () => Buffer.concat([op.mark, from, op.global('torch', 'Tensor')])),
      op.emptyTuple,
      repeat(50_000, () => op.tuple),
    ])
    expect(read(op.emptyDict, text('w'), from, nested, op.reduce, op.setItem)).toMatchObject({
      tensors: { size: 1 },
    })
    expect(read(dict({ w }))).toMatchObject({ tensors: { size: 1 } })
  })

  test('a message, also where the path is long', () => {
    const path = join(folder, ...Array.from({ length: 10 }, () => 'd'.repeat(100)))
    mkdirSync(path, { recursive: true })
    const file = join(path, 'head.safetensors')
    const entries = entriesOf(WILD.head, (name) => `${'p'.repeat(200)}.${name.replace('bn', 'bm')}`)
    const { message } = refusal(
      () => withFile(writeSafetensors(file, entries), readHead),
      'ERR_CHECKPOINT_TENSOR',
    )
    expect(message).toMatch(/^\.\.\.d.{1,400}head\.safetensors: \d+ tensors are missing/)
    expect(message.length).toBeLessThanOrEqual(400)
  })

  test('names of many parts, each of which could begin a name', () => {
    const names = Array.from({ length: 20_000 }, (_, i) => [`${'bn1.'.repeat(120)}${i}`, { shape: [1] }])
    const path = writeSafetensors(join(folder, 'parts'), Object.fromEntries(names))
    within(10_000, () =>
      expect(
        refusal(() => withFile(path, readHead), 'ERR_CHECKPOINT_TENSOR').message.length,
      ).toBeLessThanOrEqual(400),
    )
  })

  test('an expanded weight counts as many bytes as it has values', () => {
    const head = plainTensors(WILD.head)
    const torch = new TorchFile()
    const key = torch.storage(Buffer.alloc(4))
    const expanded = (shape: number[]): string =>
      torch.write(
        join(folder, 'expanded.pth'),
        Buffer.concat([
          torch.add(head),
          text('bn1.weight'),
          tensor({ key, count: 1, shape, strides: shape.map(() => 0) }),
          op.setItem,
        ]),
      )
    expect(withFile(expanded([8]), (file) => readHead(file).config.proj)).toBe(8)
    expect(refusal(() => withFile(expanded([1e9]), readHead), 'ERR_CHECKPOINT_TENSOR').message).toMatch(
      /\[1000000000\]/,
    )
  })
})

describe('a model that cannot be', () => {
  const shapes = (name: string, change: (entries: ReturnType<typeof entriesOf>) => void): string => {
    const entries = entriesOf(fixture('tiny/backbone.safetensors'))
    change(entries)
    const path = writeSafetensors(join(folder, name), entries)
    return refusal(() => withFile(path, (file) => readBackbone(file)), 'ERR_CHECKPOINT_TENSOR').message
  }

  test('says how many tensors are missing, and names the first', () => {
    const text = shapes('missing', (entries) => {
      for (const name of Object.keys(entries)) if (name.startsWith('blocks.1.norm')) delete entries[name]
    })
    expect(text).toMatch(/4 tensors are missing: "blocks\.1\.norm1\.weight", .* and 2 more/)
  })

  test.each<[string, (entries: ReturnType<typeof entriesOf>) => void, RegExp]>([
    [
      'too wide',
      (e) => (e['patch_embed.proj.weight'] = { shape: [8193, 3, 1, 1] }),
      /a width of 8193: 1 to 8192/,
    ],
    [
      'too deep',
      (e) => (e['blocks.999999.norm1.weight'] = { shape: [64] }),
      /"blocks\.999999\.norm1\.weight" gives a depth of 1000000/,
    ],
    ['with odd heads', (e) => (e['rope_embed.periods'] = { shape: [5] }), /heads of 20 in a width of 64/],
    [
      'with one qkv bias missing',
      (e) => delete e['blocks.1.attn.qkv.bias'],
      /tensor "blocks\.1\.attn\.qkv\.bias" is missing/,
    ],
    ['of integers', (e) => (e['norm.bias'] = { shape: [64], dtype: 'I64' }), /tensor "norm\.bias" is int64/],
    [
      'with a flat token',
      (e) => (e['storage_tokens'] = { shape: [64] }),
      /"storage_tokens" has shape \[64\] instead of \[1, \?, 64\]/,
    ],
    ['of no width', (e) => (e['patch_embed.proj.weight'] = { shape: [0, 3, 16, 16] }), /a width of 0/],
    [
      'of DINOv2',
      (e) => (e['pos_embed'] = { shape: [1, 50, 64] }),
      /"pos_embed" is a learned position embedding/,
    ],
  ])('%s is refused', (name, change, message) => {
    expect(shapes(name, change)).toMatch(message)
  })

  test('whose tensors share bytes, so that a small file asks for much memory, is refused', () => {
    const entries = entriesOf(fixture('tiny/head.safetensors'))
    const header = Object.entries(entries).map(([name, { shape }]) => [
      name,
      { dtype: 'F32', shape, data_offsets: [0, 4 * shape.reduce((a, b) => a * b, 1)] },
    ])
    const path = writeHeader(join(folder, 'shared'), JSON.stringify(Object.fromEntries(header)), 500_000)
    const { message } = refusal(() => withFile(path, readHead), 'ERR_CHECKPOINT_TENSOR')
    expect(message).toMatch(/share their bytes/)
  })

  test('swapped files are told apart', () => {
    const swapped = [
      refusal(() => withFile(fixture('tiny/head.pth'), (f) => readBackbone(f)), 'ERR_CHECKPOINT_TENSOR'),
      refusal(() => withFile(fixture('tiny/backbone.pth'), readHead), 'ERR_CHECKPOINT_TENSOR'),
    ]
    expect(swapped[0]?.message).toMatch(/holds a head, no backbone: are the two files swapped/)
    expect(swapped[1]?.message).toMatch(/holds a backbone, no head: are the two files swapped/)
  })

  test('another model is refused with the names that it has', () => {
    const path = writeSafetensors(join(folder, 'resnet'), {
      'conv1.weight': { shape: [1] },
      'bn.x': { shape: [1] },
    })
    const { message } = refusal(() => withFile(path, readHead), 'ERR_CHECKPOINT_TENSOR')
    expect(message).toMatch(/holds no flow head: none of its 2 tensors .* "conv1\.weight", "bn\.x"/)
  })

  test('a head whose channels fit no correlation window is refused', () => {
    const entries = entriesOf(fixture('tiny/head.safetensors'))
    entries['fuse_in.0.dw.weight'] = { shape: [176, 1, 3, 3] }
    entries['fuse_in.0.pw.weight'] = { shape: [48, 176, 1, 1] }
    const path = writeSafetensors(join(folder, 'window'), entries)
    expect(refusal(() => withFile(path, readHead), 'ERR_CHECKPOINT_TENSOR').message).toMatch(
      /"fuse_in\.0\.dw\.weight" has 176 channels, which three of 32/,
    )
  })

  test('a file cut short after it was opened is refused when it is opened again', () => {
    const path = writeSafetensors(join(folder, 'shrinks'), { a: { shape: [100] } })
    expect(withFile(path, (file) => file.tensors.size)).toBe(1)
    truncateSync(path, 200)
    expect(refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT').message).toMatch(
      /tensor "a".*cut short/,
    )
  })
})
