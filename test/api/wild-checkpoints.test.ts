import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tmpdir } from 'node:os'
import { FlowModel, type FlowModelInfo, type LoadOptions } from '../../lib/index.js'
import { call, dict, int, op, text, tuple } from '../checkpoint/pickle-writer.js'
import { flowError, largestDifference, sameBits } from '../support/compare.js'
import { fixture } from '../support/fixtures.js'
import {
  joined,
  type PlainTensors,
  plainTensors,
  PYTHON_OBJECTS,
  renamed,
  rowMajor,
  spoiled,
  TorchFile,
  WILD,
  writeSafetensors,
} from '../support/wild.js'

const BACKBONE = plainTensors(WILD.backbone)
const HEAD = plainTensors(WILD.head)
const TRUTH = new Float32Array(Uint8Array.from(readFileSync(fixture('wild/truth.f32'))).buffer)
const FRAMES = ['a', 'b'].map((name) => ({
  data: readFileSync(fixture(`wild/${name}_64x48.rgb`)),
  width: 64,
  height: 48,
}))

let folder: string
let files = 0
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'wild-'))))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const newPath = (extension: string): string => join(folder, `${files++}.${extension}`)

async function load(options: LoadOptions): Promise<{ flow: Float32Array; info: FlowModelInfo }> {
  const model = await FlowModel.load({ ...WILD, threads: 1, ...options })
  try {
    const [a, b] = FRAMES
    return { flow: (await model.flow(a!, b!, { size: [48, 64] })).data, info: model.info }
  } finally {
    await model.dispose()
  }
}

/** Loads and expects the oracle's flow, whose components reach 5 px. */
async function expectRight(options: LoadOptions): Promise<FlowModelInfo> {
  const { flow, info } = await load(options)
  expect(largestDifference(flow, TRUTH)).toBeLessThan(1e-4)
  return info
}

const head = (tensors: PlainTensors): LoadOptions => ({
  head: writeSafetensors(newPath('safetensors'), tensors),
})
const backbone = (tensors: PlainTensors): LoadOptions => ({
  backbone: writeSafetensors(newPath('safetensors'), tensors),
})

describe('wrappers inside names are left out', () => {
  const block = (wrapper: string) => (name: string) => name.replace(/^blocks\.\d+\./, `$&${wrapper}.`)
  it.each<[string, (name: string) => string]>([
    ['compiled blocks', block('_orig_mod')],
    ['checkpointed blocks', block('_checkpoint_wrapped_module')],
    ['blocks in DataParallel', block('module')],
    ['blocks in FSDP and checkpointing', block('_fsdp_wrapped_module._checkpoint_wrapped_module')],
    ['blocks in a module of the user', block('inner_block')],
    ['compiled attention', (name) => name.replace('.attn.', '.attn._orig_mod.')],
    ['compiled parts outside the blocks', (name) => name.replace(/^(patch_embed|norm)\./, '$1._orig_mod.')],
    ['FSDP around everything, too', (name) => `_fsdp_wrapped_module.${block('_fsdp_wrapped_module')(name)}`],
  ])('%s of a backbone', async (_, rename) => {
    await expectRight(backbone(renamed(BACKBONE, rename)))
  })

  // The backbone has two blocks. A block of another number would be missing, or be taken for this one.
  it.each<[string, (number: number) => string]>([
    ['one chunk of all', (number) => `0.${number}`],
    ['chunks that count on, as DINOv2 trains in', (number) => `${number}.${number}`],
    ['chunks that count from 0', (number) => `${number}.0`],
    ['chunks that are compiled', (number) => `0._orig_mod.${number}._checkpoint_wrapped_module`],
  ])('lists of blocks: %s', async (_, index) => {
    await expectRight(
      backbone(
        renamed(BACKBONE, (name) =>
          name.replace(/^blocks\.(\d)/, (_found, number: string) => `blocks.${index(Number(number))}`),
        ),
      ),
    )
  })

  it.each<[string, (name: string) => string]>([
    ['compiled layers', (name) => name.replace(/\.net\.\d+\./, '$&_orig_mod.')],
    ['a wrapper of every leaf', (name) => name.replace(/\.(\w+)$/, '.module.$1')],
    ['some parts in DataParallel', (name) => name.replace(/^(proj1|flow_head)\./, '$1.module.')],
  ])('%s of a head', async (_, rename) => {
    await expectRight(head(renamed(HEAD, rename)))
  })
})

describe('a prefix in front of all names is found, and told', () => {
  const PREFIXES = [
    'net.',
    'pretrained.',
    'dinov3.',
    'flow_head.',
    'refine.',
    'proj1.',
    'fuse_trunk.net.0.',
    'norm.',
  ]
  it.each([...PREFIXES, 'blocks.0.', 'a.b.c.d.e.f.g.h.', 'module._orig_mod.', '模型.'])(
    '%s',
    async (prefix) => {
      const info = await expectRight({
        ...backbone(renamed(BACKBONE, (name) => prefix + name)),
        ...head(renamed(HEAD, (name) => prefix + name)),
      })
      const choice = { prefix, role: 'model', others: [] }
      expect(info.choice).toMatchObject({ backbone: choice, head: choice })
      expect(info.unused).toEqual({ backbone: [], head: [] })
    },
  )

  it('of each model in a file of both, also if it is the same', async () => {
    for (const prefix of ['encoder.', 'flow_head.']) {
      const both = joined(
        renamed(BACKBONE, (name) => prefix + name),
        renamed(HEAD, (name) => `flow_head.${name}`),
      )
      const path = writeSafetensors(newPath('safetensors'), both)
      expect((await expectRight({ backbone: path, head: path })).unused).toEqual({ backbone: [], head: [] })
    }
  })
})

describe('of a model and its average the average is taken, and told', () => {
  const NAMES = [
    'model_ema',
    'ema',
    'state_dict_ema',
    'ema_model.module',
    'ema_module',
    'swa_model',
    'modelEMA',
    'avg_model',
  ]
  it.each(NAMES)('%s', async (name) => {
    const tensors = joined(
      renamed(spoiled(HEAD), (tensor) => `model.${tensor}`),
      renamed(HEAD, (tensor) => `${name}.${tensor}`),
    )
    const { choice } = await expectRight(head(tensors))
    expect(choice.head).toEqual({
      prefix: `${name}.`,
      role: 'average',
      weights: 72,
      others: [{ prefix: 'model.', role: 'model', weights: 72 }],
    })
  })

  it('the one that PyTorch’s AveragedModel saves as module, beside n_averaged', async () => {
    const average = renamed(HEAD, (name) => `module.${name}`)
    const counter = new Map([['n_averaged', { shape: [], data: Float32Array.of(3) }]])
    const info = await expectRight(head(joined(spoiled(HEAD), average, counter)))
    expect(info.choice.head).toMatchObject({ prefix: 'module.', role: 'average' })
  })

  it('of parameters alone, completed by the buffers of the model', async () => {
    const isBuffer = (name: string) => name.includes('running_')
    const raw = new Map(
      [...spoiled(HEAD)].map(([name, t]) => [`model.${name}`, isBuffer(name) ? HEAD.get(name)! : t]),
    )
    const average = renamed(HEAD, (name) => (isBuffer(name) ? undefined : `ema.shadow.${name}`))
    const info = await expectRight(head(joined(raw, average)))
    expect(info.choice.head).toMatchObject({ prefix: 'ema.shadow.', role: 'average', buffers: 'model.' })
  })

  it.each(['', 'model.', 'lightning.model.'])(
    'of names without dots beside %s, as LitEma',
    async (prefix) => {
      const isBuffer = (name: string) => name.includes('running_')
      const raw = new Map(
        [...spoiled(HEAD)].map(([name, t]) => [prefix + name, isBuffer(name) ? HEAD.get(name)! : t]),
      )
      const dotless = (from: string) =>
        renamed(HEAD, (name) =>
          isBuffer(name) ? undefined : `model_ema.${(from + name).replaceAll('.', '')}`,
        )
      for (const from of new Set(['', prefix, prefix.split('.').slice(-2).join('.')])) {
        const { choice, unused } = await expectRight(head(joined(raw, dotless(from))))
        expect(choice.head).toMatchObject({ prefix: 'model_ema.', role: 'average', buffers: prefix })
        expect(unused.head.filter((name) => name.startsWith('model_ema.'))).toEqual([])
      }
      const incomplete = new Map([...dotless('')].slice(1))
      const { info } = await load(head(joined(raw, incomplete)))
      expect(info.choice.head).toMatchObject({ prefix, role: 'model' })
    },
  )

  it('of parameters in a list without names, as torch_ema’s shadow_params', async () => {
    const isBuffer = (name: string) => name.includes('running_')
    const raw = new Map([...spoiled(HEAD)].map(([name, t]) => [name, isBuffer(name) ? HEAD.get(name)! : t]))
    const parameters = [...HEAD].filter(([name]) => !isBuffer(name))
    const write = (order: typeof parameters): string => {
      const torch = new TorchFile()
      const tensors = order.map(([, { shape, data }]) => torch.tensor(shape, data))
      const list = Buffer.concat([op.emptyList, op.mark, ...tensors, Buffer.from('e')])
      const ema = dict({ decay: int(1), shadow_params: list, collected_params: op.none })
      return torch.write(newPath('pth'), dict({ model: torch.add(raw), ema }))
    }
    const info = await expectRight({ head: write(parameters) })
    expect(info.choice.head).toMatchObject({
      prefix: 'ema.shadow_params.',
      role: 'average',
      buffers: 'model.',
    })
    expect((await load({ head: write([...parameters].reverse()) })).info.choice.head.role).toBe('model')
  })

  it('the teacher rather than the student; neither a Gram teacher nor an optimizer’s averages', async () => {
    const groups = (wrong: string, right: string) =>
      joined(
        renamed(spoiled(BACKBONE), (name) => wrong + name),
        renamed(BACKBONE, (name) => right + name),
      )
    await expectRight(backbone(groups('student.backbone.', 'teacher.backbone.')))
    await expectRight(backbone(groups('gram_teacher.', 'teacher.')))
    await expectRight(backbone(groups('optimizer.exp_avg.', '')))
  })

  it('unless a prefix names another one; a prefix that is not there is refused with those that are', async () => {
    const path = writeSafetensors(
      newPath('safetensors'),
      joined(
        renamed(HEAD, (name) => `net.student.${name}`),
        renamed(spoiled(HEAD), (name) => `ema.${name}`),
      ),
    )
    for (const prefix of ['net.student.', 'net.student', 'student.'])
      expect((await expectRight({ head: { path, prefix } })).choice.head.prefix).toBe('net.student.')
    await expect(load({ head: { path, prefix: 'nowhere' } })).rejects.toThrow(
      flowError('ERR_CHECKPOINT_TENSOR', path, '"nowhere"', '["ema.", "net.student."]'),
    )
    await expect(load({ head: { path, prefix: 3 as unknown as string } })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'head.prefix', '3'),
    )
  })
})

describe('Python objects beside the weights are skipped', () => {
  it.each(Object.keys(PYTHON_OBJECTS.protocol2))('%s', async (name) => {
    const torch = new TorchFile()
    const object = Buffer.from(PYTHON_OBJECTS.protocol2[name]!, 'hex')
    const path = torch.write(
      newPath('pth'),
      dict({ extra: object, state_dict: torch.add(HEAD), after: object }),
    )
    await expectRight({ head: path })
  })

  it.each(['protocol4', 'protocol5'] as const)('all of them in %s', async (protocol) => {
    const torch = new TorchFile()
    const objects = Buffer.from(PYTHON_OBJECTS[protocol], 'hex')
    const info = await expectRight({
      head: torch.write(newPath('pth'), dict({ objects, model: torch.add(HEAD) })),
    })
    expect(info.unused.head).toEqual([])
  })
})

describe('tensors that no weight needs may be of any type and layout, and are listed as unused', () => {
  const view = (storage: Buffer) => [storage, int(0), tuple(int(2)), tuple(int(1)), op.false, op.emptyDict]
  const untyped = (torch: TorchFile) =>
    Buffer.concat([
      tuple(
        text('storage'),
        op.global('torch.storage', 'UntypedStorage'),
        text(torch.storage(Buffer.alloc(16))),
        text('cpu'),
        int(16),
      ),
      op.persistentId,
    ])
  const typed = (torch: TorchFile, type: string, bytes: number) =>
    Buffer.concat([
      tuple(
        text('storage'),
        op.global('torch', type),
        text(torch.storage(Buffer.alloc(2 * bytes))),
        text('cpu'),
        int(2),
      ),
      op.persistentId,
    ])
  const build = (name: string, ...args: Buffer[]) => call('torch._utils', name, ...args)

  it.each<[string, (torch: TorchFile) => Buffer]>([
    ['complex', (torch) => build('_rebuild_tensor_v2', ...view(typed(torch, 'ComplexFloatStorage', 8)))],
    [
      'of a storage of tomorrow',
      (torch) => build('_rebuild_tensor_v2', ...view(typed(torch, 'NewStorage', 4))),
    ],
    [
      'float8',
      (torch) => build('_rebuild_tensor_v3', ...view(untyped(torch)), op.global('torch', 'float8_e4m3fn')),
    ],
    [
      'float8 of tomorrow',
      (torch) => build('_rebuild_tensor_v3', ...view(untyped(torch)), op.global('torch', 'float8_e3m4')),
    ],
    ['uint16', (torch) => build('_rebuild_tensor_v3', ...view(untyped(torch)), op.global('torch', 'uint16'))],
    ['quantised', (torch) => build('_rebuild_qtensor', ...view(typed(torch, 'QInt8Storage', 1)))],
    [
      'sparse',
      (torch) =>
        build(
          '_rebuild_sparse_tensor',
          op.global('torch', 'sparse_coo'),
          tuple(
            torch.tensor([1, 1], Float32Array.of(0)),
            torch.tensor([1], Float32Array.of(1)),
            tuple(int(3)),
          ),
        ),
    ],
    [
      'sparse rows',
      () =>
        build(
          '_rebuild_sparse_csr_tensor',
          op.global('torch', 'sparse_csr'),
          tuple(op.none, op.none, op.none, tuple(int(3), int(3))),
        ),
    ],
    [
      'on the meta device',
      () =>
        build(
          '_rebuild_meta_tensor_no_storage',
          op.global('torch', 'float32'),
          tuple(int(2)),
          tuple(int(1)),
          op.false,
        ),
    ],
    ['of a way of tomorrow', () => build('_rebuild_jagged_tensor', int(1))],
    [
      'expanded',
      (torch) =>
        build(
          '_rebuild_tensor_v2',
          typed(torch, 'FloatStorage', 4),
          int(0),
          tuple(int(1e6), int(1e6)),
          tuple(int(0), int(0)),
          op.false,
          op.emptyDict,
        ),
    ],
    [
      'of as many axes as PyTorch allows',
      (torch) =>
        build(
          '_rebuild_tensor_v2',
          typed(torch, 'FloatStorage', 4),
          int(0),
          tuple(...Array<Buffer>(64).fill(int(1))),
          tuple(...Array<Buffer>(64).fill(int(1))),
          op.false,
          op.emptyDict,
        ),
    ],
    [
      'of a class of its own',
      (torch) =>
        call(
          'torch._tensor',
          '_rebuild_from_type_v2',
          op.global('torch._utils', '_rebuild_tensor_v2'),
          op.global('torchao', 'Int4'),
          tuple(...view(typed(torch, 'FloatStorage', 4))),
          op.none,
        ),
    ],
  ])('%s', async (_, make) => {
    const torch = new TorchFile()
    const odd = make(torch)
    const path = torch.write(
      newPath('pth'),
      dict({ state_dict: Buffer.concat([torch.add(HEAD), text('odd'), odd, op.setItem]) }),
    )
    expect((await expectRight({ head: path })).unused.head).toEqual(['odd'])
  })

  it.each(['F8_E8M0', 'C64', 'F4', 'F7_OF_TOMORROW'])('%s in safetensors', async (dtype) => {
    const bytes = readFileSync(WILD.head)
    const length = Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, unknown>
    const data = bytes.subarray(8 + length)
    const size = dtype === 'C64' ? 16 : 2
    header['odd'] = { dtype, shape: [2], data_offsets: [data.length, data.length + size] }
    const text = Buffer.from(JSON.stringify(header))
    const start = Buffer.alloc(8)
    start.writeBigUInt64LE(BigInt(text.length))
    const path = newPath('safetensors')
    writeFileSync(path, Buffer.concat([start, text, data, Buffer.alloc(size)]))
    expect((await expectRight({ head: path })).unused.head).toEqual(['odd'])
  })

  it('but a weight of such a kind is refused, by name and with what to do', async () => {
    const torch = new TorchFile()
    const without = renamed(HEAD, (name) => (name === 'bn1.bias' ? undefined : name))
    const withBias = (bias: Buffer) =>
      load({
        head: torch.write(
          newPath('pth'),
          Buffer.concat([torch.add(without), text('bn1.bias'), bias, op.setItem]),
        ),
      })
    await expect(withBias(build('_rebuild_sparse_tensor', op.none, tuple()))).rejects.toThrow(
      flowError('ERR_CHECKPOINT_TENSOR', 'tensor "bn1.bias" is sparse: save it after .to_dense()'),
    )
    await expect(withBias(call('numpy.core.multiarray', '_reconstruct', int(0)))).rejects.toThrow(
      flowError(
        'ERR_CHECKPOINT_TENSOR',
        '"bn1.bias" is an object of "numpy.core.multiarray._reconstruct"',
        'save a tensor',
      ),
    )
    await expect(
      withBias(build('_rebuild_tensor_v2', ...view(typed(torch, 'ComplexFloatStorage', 8)))),
    ).rejects.toThrow(flowError('ERR_CHECKPOINT_TENSOR', '"bn1.bias" has shape [2] instead of [8]'))
  })
})

describe('the values of a weight are those that PyTorch gives', () => {
  const changed = (
    change: (name: string, shape: readonly number[], data: Float32Array, torch: TorchFile) => Buffer,
  ) => {
    const torch = new TorchFile()
    const tensors = [...HEAD].map(
      ([name, { shape, data }]) => [name, change(name, shape, data, torch)] as const,
    )
    return { head: torch.write(newPath('pth'), dict(Object.fromEntries(tensors))) }
  }
  const bytes = (data: Float32Array | Float64Array) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const storage = (torch: TorchFile, type: string, data: Float32Array | Float64Array) =>
    Buffer.concat([
      tuple(
        text('storage'),
        op.global('torch', type),
        text(torch.storage(bytes(data))),
        text('cpu'),
        int(data.length),
      ),
      op.persistentId,
    ])
  const rebuilt = (shape: readonly number[], storage: Buffer, ...rest: Buffer[]) =>
    call(
      'torch._utils',
      '_rebuild_tensor_v2',
      storage,
      int(0),
      tuple(...shape.map(int)),
      tuple(...rowMajor(shape).map(int)),
      op.false,
      op.emptyDict,
      ...rest,
    )

  it('negated by the neg bit', async () => {
    await expectRight(
      changed((name, shape, data, torch) =>
        name.startsWith('bn')
          ? rebuilt(
              shape,
              storage(
                torch,
                'FloatStorage',
                data.map((x) => -x),
              ),
              dict({ neg: op.true, conj: op.false }),
            )
          : torch.tensor(shape, data),
      ),
    )
  })

  it('of float64', async () => {
    await expectRight(
      changed((_, shape, data, torch) =>
        rebuilt(shape, storage(torch, 'DoubleStorage', Float64Array.from(data))),
      ),
    )
  })

  it('of parameters with attributes, and of storages without a type', async () => {
    const parameter = (made: Buffer) =>
      call(
        'torch._utils',
        '_rebuild_parameter_with_state',
        made,
        op.true,
        op.emptyDict,
        dict({ tag: op.none }),
      )
    await expectRight(changed((_, shape, data, torch) => parameter(torch.tensor(shape, data))))
    await expectRight(
      changed((_, shape, data, torch) => {
        const key = torch.storage(bytes(data))
        const raw = Buffer.concat([
          tuple(
            text('storage'),
            op.global('torch.storage', 'UntypedStorage'),
            text(key),
            text('cpu'),
            int(4 * data.length),
          ),
          op.persistentId,
        ])
        return call(
          'torch._utils',
          '_rebuild_tensor_v3',
          raw,
          int(0),
          tuple(...shape.map(int)),
          tuple(...rowMajor(shape).map(int)),
          op.false,
          op.emptyDict,
          op.global('torch', 'float32'),
        )
      }),
    )
  })
})

it('a value that is not finite is refused by the name of its tensor, which cannot control the terminal', async () => {
  const prefix = `\u001b[31m${'x'.repeat(300)}.`
  const broken = renamed(HEAD, (name) => prefix + name)
  const values = broken.get(`${prefix}bn1.bias`)!.data
  broken.get(`${prefix}bn1.bias`)!.data.set([NaN], 1)
  try {
    const path = writeSafetensors(newPath('safetensors'), broken)
    const error = await load({ head: path }).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'ERR_CHECKPOINT_TENSOR' })
    expect((error as Error).message).toMatch(/^[^\p{Cc}]{1,400}$/u)
    expect((error as Error).message).toContain(`tensor "?[31m${'x'.repeat(115)}..." holds NaN at [1]`)
  } finally {
    values.set(plainTensors(WILD.head).get('bn1.bias')!.data)
  }
})

describe("timm's DINOv3", () => {
  const timm = (name: string): string | undefined =>
    /periods|mask|qkv\.bias/.test(name)
      ? undefined
      : name
          .replace('storage_tokens', 'reg_token')
          .replace(/ls([12])\.gamma/, 'gamma_$1')
          .replace('mlp.w1', 'mlp.fc1_g')
          .replace('mlp.w2', 'mlp.fc1_x')
          .replace('mlp.w3', 'mlp.fc2')
  /** `qkvb`: the biases of q and v. That of k is masked to 0. */
  const biases = new Map(
    [...BACKBONE]
      .filter(([name]) => name.endsWith('qkv.bias'))
      .flatMap(([name, { data }]) => [
        [name.replace('qkv.bias', 'q_bias'), { shape: [32], data: data.slice(0, 32) }],
        [name.replace('qkv.bias', 'v_bias'), { shape: [32], data: data.slice(64) }],
      ]),
  )
  // The model has heads of 16, unlike any of timm's: only this tells it.
  const config = (): string => {
    const path = newPath('json')
    writeFileSync(path, JSON.stringify({ num_attention_heads: 2, use_gated_mlp: true, hidden_act: 'silu' }))
    return path
  }

  it('with qkvb gives the flow of the same weights with Meta’s names, its periods computed in float32', async () => {
    const info = await expectRight({
      ...backbone(joined(renamed(BACKBONE, timm), biases)),
      backboneConfig: config(),
    })
    expect(info.ropePeriods).toBe('float32')
    expect(info.unused.backbone).toEqual([])
  })

  it('with ropePeriods bfloat16 gives the flow of a file with periods that are rounded as Meta’s', async () => {
    const rounded = Float32Array.from([0, 1, 2, 3], (j) => toBfloat16(100 ** (j / 4)))
    const periods = new Map([...BACKBONE, ['rope_embed.periods', { shape: [4], data: rounded }] as const])
    const expected = await load(backbone(periods))
    expect(expected.info.ropePeriods).toBe('file')
    const timmNamed = { ...backbone(joined(renamed(BACKBONE, timm), biases)), backboneConfig: config() }
    const found = await load({ ...timmNamed, ropePeriods: 'bfloat16' })
    expect(found.info.ropePeriods).toBe('bfloat16')
    expect(sameBits(found.flow, expected.flow)).toBe(true)
    expect(largestDifference(found.flow, TRUTH)).toBeGreaterThan(1e-4)
    await expect(load({ ...timmNamed, ropePeriods: 'fp16' as 'float32' })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'ropePeriods', 'float32, bfloat16', '"fp16"'),
    )
  })

  it('without qkvb has no bias of q, k and v', async () => {
    const bias = (name: string) => name.endsWith('qkv.bias')
    const zeros = new Map(
      [...BACKBONE].map(([name, t]) => [name, bias(name) ? { ...t, data: t.data.map(() => 0) } : t]),
    )
    const expected = await load(backbone(zeros))
    const found = await load({
      ...backbone(renamed(BACKBONE, timm)),
      backboneConfig: config(),
    })
    expect(sameBits(found.flow, expected.flow)).toBe(true)
  })
})

describe('a model in shards', () => {
  const shard = (i: number): string => `model-0000${i}-of-00002.safetensors`
  const write = (): { folder: string; index: string } => {
    const parts = [0, 1].map((i) => new Map([...HEAD].filter((_, at) => at % 2 === i)))
    const dir = mkdtempSync(join(folder, 'shards-'))
    parts.forEach((part, i) => writeSafetensors(join(dir, shard(i + 1)), part))
    const weight_map = Object.fromEntries(
      parts.flatMap((part, i) => [...part.keys()].map((name) => [name, shard(i + 1)])),
    )
    const index = join(dir, 'model.safetensors.index.json')
    writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map }, null, 2))
    return { folder: dir, index }
  }

  it('is loaded by its folder and by its index', async () => {
    const written = write()
    for (const path of [written.folder, written.index])
      expect((await expectRight({ head: path })).files.head).toBe(written.index)
  })

  it('of torch.save, too', async () => {
    const dir = mkdtempSync(join(folder, 'bin-'))
    const names = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin']
    const weight_map: Record<string, string> = {}
    for (const [i, file] of names.entries()) {
      const torch = new TorchFile()
      const part = new Map([...HEAD].filter((_, at) => at % 2 === i))
      torch.write(join(dir, file), torch.add(part))
      for (const name of part.keys()) weight_map[name] = file
    }
    writeFileSync(join(dir, 'pytorch_model.bin.index.json'), JSON.stringify({ weight_map }))
    await expectRight({ head: dir })
  })

  it('is told from a damaged file where one shard is given', async () => {
    const path = join(write().folder, shard(2))
    await expect(load({ head: path })).rejects.toThrow(
      flowError(
        'ERR_CHECKPOINT_TENSOR',
        basename(path),
        'it is shard 2 of 2: give the folder',
        '"model.safetensors.index.json"',
      ),
    )
  })
})

/** Rounds to 8 bits of mantissa, ties to even. */
function toBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >> 16) & 1)) & 0xffff0000
  return new Float32Array(bits.buffer)[0]!
}
