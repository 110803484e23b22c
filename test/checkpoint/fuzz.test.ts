import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { readHead } from '../../lib/checkpoint/head.js'
import { inspectCheckpoint } from '../../lib/checkpoint/inspect.js'
import { Malformed } from '../../lib/checkpoint/malformed.js'
import { unpickle } from '../../lib/checkpoint/pickle.js'
import { stateDict } from '../../lib/checkpoint/state-dict.js'
import { TorchHost } from '../../lib/checkpoint/torch-objects.js'
import { FlowError } from '../../lib/errors.js'
import {
  joined,
  plainTensors,
  PYTHON_OBJECTS,
  renamed,
  TorchFile,
  WILD,
  writeSafetensors,
} from '../support/wild.js'
import { fixture, scratch, withFile } from './helpers.js'
import { dict } from './pickle-writer.js'

const folder = scratch()

/** Everything that reads a file. The data is not looked at, so that a change of it goes unnoticed: it succeeds. */
function readAll(path: string): void {
  inspectCheckpoint(path)
  withFile(path, (file) => {
    readBackbone(file)
    readHead(file)
  })
}

/** What a refusal says in the end: what to do. A long message is cut there. */
const ADVICE = /(: |; |, so )(fetch|save|give|merge|unpack|are the two files swapped|.*\.\.\.$)/

/** Runs `run`, which may only succeed or throw one of `errors`. */
function onlyThrows(errors: (new (...args: never[]) => Error)[], run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (!errors.some((type) => error instanceof type)) throw error
    // It is for people: one line of a bearable length, without bytes of the file.
    if (!(error instanceof FlowError)) return
    expect(error.message).toMatch(/^[^\p{Cc}\ufffd]{1,400}$/u)
    expect(error.message).toMatch(ADVICE)
  }
}

/** Where a format's structure stands: from the beginning, and for a zip at the end. */
const FILES = [
  { name: 'backbone.safetensors', head: 3600, tail: 0 },
  { name: 'backbone.pth', head: 4000, tail: 5000 },
  { name: 'head_legacy.pth', head: 13000, tail: 0 },
]

describe('a file that is changed at random is read or refused, and nothing else', () => {
  test.each(FILES)('$name', ({ name, head, tail }) => {
    const original = readFileSync(fixture(`tiny/${name}`))
    const path = join(folder, name)
    const place = fc
      .nat({ max: head + tail - 1 })
      .map((i) => (i < head ? i : original.length - (i - head) - 1))
    const change = fc.tuple(place, fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 255, 0x7f, 0x28, 0x2e)))
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = Buffer.from(original)
        for (const [at, value] of changes) bytes[at] = value
        writeFileSync(path, bytes)
        onlyThrows([FlowError], () => readAll(path))
      }),
      { numRuns: 300 },
    )
  })
})

/** Small files of every form: models under other names, in shards, and beside pickled Python objects of three protocols. */
function smallFiles(): { name: string; bytes: Buffer; head: number; tail: number }[] {
  const tensors = plainTensors(WILD.head)
  const average = joined(
    renamed(tensors, (name) => `model.${name}`),
    renamed(tensors, (name) => `ema.${name}`),
  )
  const plain = writeSafetensors(join(folder, 'average.safetensors'), average)
  const withObjects = (file: string, objects: string): string => {
    const torch = new TorchFile()
    const extra = Buffer.from(objects, 'hex')
    return torch.write(join(folder, file), dict({ extra, state_dict: torch.add(tensors) }))
  }
  const texts = Object.values(PYTHON_OBJECTS.protocol2)
  const index = join(folder, 'model.safetensors.index.json')
  const weight_map = Object.fromEntries([...tensors.keys()].map((name) => [name, 'shard.safetensors']))
  writeFileSync(index, JSON.stringify({ metadata: {}, weight_map }))
  writeFileSync(join(folder, 'shard.safetensors'), readFileSync(WILD.head))
  const pickled = { head: 22_000, tail: 9_000 }
  return [
    { name: 'average.safetensors', bytes: readFileSync(plain), head: 14_000, tail: 0 },
    { name: 'objects2.pth', bytes: readFileSync(withObjects('o2.pth', texts.join('30'))), ...pickled },
    {
      name: 'objects4.pth',
      bytes: readFileSync(withObjects('o4.pth', PYTHON_OBJECTS.protocol4)),
      ...pickled,
    },
    {
      name: 'objects5.pth',
      bytes: readFileSync(withObjects('o5.pth', PYTHON_OBJECTS.protocol5)),
      ...pickled,
    },
    { name: 'index.json', bytes: readFileSync(index), head: readFileSync(index).length, tail: 0 },
  ]
}

describe('a file of any form that is changed at random is read or refused, and nothing else', () => {
  const changed = (runs: number): void => {
    for (const { name, bytes: original, head, tail } of smallFiles()) {
      const path = join(folder, name)
      const tailStart = Math.max(0, original.length - tail)
      const place = fc
        .nat({ max: Math.min(head, original.length) + tail - 1 })
        .map((i) => (i < head ? i : Math.min(original.length - 1, tailStart + i - head)))
      const byte = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 255, 0x28, 0x2e, 0x52, 0x63, 0x81, 0x94))
      const change = fc.record({
        at: place,
        bytes: fc.array(byte, { maxLength: 6 }),
        instead: fc.nat({ max: 6 }),
      })
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
          let bytes = original
          for (const { at, bytes: inserted, instead } of changes)
            bytes = Buffer.concat([
              bytes.subarray(0, at),
              Buffer.from(inserted),
              bytes.subarray(at + instead),
            ])
          writeFileSync(path, bytes)
          onlyThrows([FlowError], () => readAll(path))
        }),
        { numRuns: runs },
      )
    }
  }
  test('1000 times', () => changed(200))
  test('25,000 times', { tags: ['slow'], timeout: 600_000 }, () => changed(5000))
})

describe('a file that is cut anywhere is refused', () => {
  test.each(FILES)('$name', ({ name }) => {
    const original = readFileSync(fixture(`tiny/${name}`))
    const path = join(folder, `cut-${name}`)
    fc.assert(
      fc.property(fc.nat({ max: original.length - 1 }), (length) => {
        writeFileSync(path, original.subarray(0, length))
        let thrown: unknown
        try {
          readAll(path)
        } catch (error) {
          thrown = error
        }
        expect(thrown).toBeInstanceOf(FlowError)
      }),
      { numRuns: 100 },
    )
  })
})

describe('any sequence of opcodes ends', () => {
  // Opcodes with operands that fit them, so that sequences live longer than random bytes do.
  const OPCODES = fc.constantFrom(
    ...'(012N]}).atesudlRQb'.split('').map((opcode) => Buffer.from(opcode)),
    ...[0x81, 0x8f, 0x90, 0x91, 0x92, 0x6f, 0x85, 0x86, 0x87, 0x88, 0x94, 0x93].map((opcode) =>
      Buffer.from([opcode]),
    ),
    ...[0, 1].flatMap((i) => [Buffer.from([0x68, i]), Buffer.from([0x71, i])]),
    ...[1, 255].map((n) => Buffer.from([0x4b, n])),
    ...[
      'torch._utils\n_rebuild_tensor_v2',
      'torch\nFloatStorage',
      'torch\nSize',
      'torch._utils\n_rebuild_tensor_v3',
      'torch._utils\n_rebuild_sparse_tensor',
      'torch._tensor\n_rebuild_from_type_v2',
      'torch\nfloat32',
      'collections\nOrderedDict',
      'collections\ndefaultdict',
      'os\nsystem',
    ].map((name) => Buffer.from(`c${name}\n`)),
    Buffer.from('\x8c\x07storage', 'latin1'),
    Buffer.from('\x8c\x010', 'latin1'),
  )

  test('in a value or a refusal', () => {
    fc.assert(
      fc.property(fc.array(OPCODES, { maxLength: 60 }), (opcodes) => {
        const bytes = Buffer.concat([...opcodes, Buffer.from('.')])
        onlyThrows([Malformed], () => stateDict(unpickle(bytes, 0, new TorchHost()).value))
      }),
      { numRuns: 20_000 },
    )
  })

  test('and so does any sequence of bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        onlyThrows([Malformed], () => stateDict(unpickle(Buffer.from(bytes), 0, new TorchHost()).value))
      }),
      { numRuns: 20_000 },
    )
  })
})
