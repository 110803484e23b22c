import { describe, expect, test } from 'vitest'
import { Malformed } from '../../lib/checkpoint/malformed.js'
import { plainData, unpickle } from '../../lib/checkpoint/pickle.js'
import {
  PickleDict,
  PickleList,
  PickleOpaque,
  PickleTuple,
  type PickleValue,
} from '../../lib/checkpoint/pickle-values.js'
import { stateDict } from '../../lib/checkpoint/state-dict.js'
import { TorchHost } from '../../lib/checkpoint/torch-objects.js'
import { dict, int, op, pickle, tensor, text, tuple } from './pickle-writer.js'

function read(bytes: Buffer): PickleValue {
  return unpickle(bytes, 0, new TorchHost()).value
}

/** Plain JavaScript for what was read. */
function plain(value: PickleValue): unknown {
  if (value instanceof PickleList || value instanceof PickleTuple) return value.items.map(plain)
  if (value instanceof PickleDict) return [...value.entries].map(([key, item]) => [plain(key), plain(item)])
  return value
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** Tensors need more than a pickle; here their names do. */
const w = tensor({ key: '0', count: 1, shape: [1], strides: [1] })

describe('a pickle of plain data is read', () => {
  // pickle.dumps({'a': [1, -2, 2**40, 1.5, None, True, (1, 2)], 7: 'é'}, protocol) of CPython 3.
  test.each([
    [
      1,
      '7d71002858010000006171015d7102284b014afeffffff4c313039393531313632373737364c0a473ff80000000000004e4930310a284b014b02747103654b075802000000c3a97104752e',
    ],
    [
      2,
      '80027d71002858010000006171015d7102284b014afeffffff8a06000000000001473ff80000000000004e884b014b02867103654b075802000000c3a97104752e',
    ],
    [
      4,
      '80049534000000000000007d94288c0161945d94284b014afeffffff8a06000000000001473ff80000000000004e884b014b028694654b078c02c3a994752e',
    ],
    [
      5,
      '80059534000000000000007d94288c0161945d94284b014afeffffff8a06000000000001473ff80000000000004e884b014b028694654b078c02c3a994752e',
    ],
  ])('protocol %i', (_protocol, bytes) => {
    expect(plain(read(hex(bytes)))).toEqual([
      ['a', [1, -2, 2 ** 40, 1.5, null, true, [1, 2]]],
      [7, 'é'],
    ])
  })

  test('integers of any length are exact', () => {
    expect(read(pickle(int(-1)))).toBe(-1)
    expect(read(pickle(Buffer.from([0x8a, 0])))).toBe(0)
    expect(read(pickle(Buffer.from([0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1])))).toBe(2n ** 64n)
    expect(read(pickle(Buffer.from([0x8a, 9, 0, 0, 0, 0, 0, 0, 0, 0, 255])))).toBe(-(2n ** 64n))
    expect(read(pickle(Buffer.from('L123L\n')))).toBe(123)
  })

  test('attributes of a state dict are dropped', () => {
    expect(plain(read(pickle(dict({ a: int(1) }), dict({ _metadata: int(2) }), op.build)))).toEqual([
      ['a', 1],
    ])
  })
})

describe('what is not whitelisted becomes an object that holds nothing and calls nothing', () => {
  test.each([
    ['builtins', 'exec'],
    ['os', 'system'],
    ['posix', 'system'],
    ['torch', 'load'],
    ['numpy.core.multiarray', 'scalar'],
    ['argparse', 'Namespace'],
    ['torch._utils', '_rebuild_tensor_v2.__globals__'],
    ['', 'constructor'],
    ['__proto__', 'x'],
  ])('%s.%s, also where it is called', (module, name) => {
    const called = [op.global(module, name), tuple(text('echo')), op.reduce]
    for (const parts of [[op.global(module, name)], called, [...called, dict({ a: w }), op.build]]) {
      const { value, skipped } = unpickle(pickle(...parts), 0, new TorchHost())
      expect(value).toEqual(new PickleOpaque(`${module}.${name}`))
      expect([...skipped]).toEqual([`${module}.${name}`])
    }
  })

  const cls = op.global('a', 'B')
  test.each([
    ['INST', Buffer.from('(ia\nB\n'), 'a.B'],
    ['OBJ', Buffer.concat([op.mark, cls, int(1), Buffer.from('o')]), 'a.B'],
    ['NEWOBJ', Buffer.concat([cls, op.emptyTuple, Buffer.from([0x81])]), 'a.B'],
    ['NEWOBJ_EX', Buffer.concat([cls, op.emptyTuple, op.emptyDict, Buffer.from([0x92])]), 'a.B'],
    ['EXT1', Buffer.from([0x82, 1]), 'copyreg.extension(1)'],
    ['EXT2', Buffer.from([0x83, 1, 1]), 'copyreg.extension(257)'],
    ['EXT4', Buffer.from([0x84, 1, 0, 0, 1]), 'copyreg.extension(16777217)'],
    [
      'a call of a type',
      Buffer.concat([op.global('torch', 'FloatStorage'), op.emptyTuple, op.reduce]),
      'torch.FloatStorage',
    ],
    ['items of a subclass of list', Buffer.concat([cls, op.emptyTuple, op.reduce, int(1), op.append]), 'a.B'],
    [
      'items of a subclass of dict',
      Buffer.concat([cls, op.emptyTuple, op.reduce, int(1), w, op.setItem]),
      'a.B',
    ],
    ['a set', Buffer.concat([Buffer.from([0x8f]), op.mark, int(1), Buffer.from([0x90])]), 'builtins.set'],
    ['a frozenset', Buffer.concat([op.mark, int(1), Buffer.from([0x91])]), 'builtins.frozenset'],
  ])('%s', (_what, bytes, name) => {
    expect(read(pickle(bytes))).toEqual(new PickleOpaque(name))
  })

  test('and of a hundred thousand names a hundred are remembered', () => {
    const names = Array.from({ length: 100_000 }, (_, i) =>
      Buffer.concat([op.global('m', `n${i}`), Buffer.from('0')]),
    )
    expect(unpickle(pickle(...names, op.none), 0, new TorchHost()).skipped.size).toBe(100)
  })
})

describe('a pickle that cannot be torch.save\u2019s is refused', () => {
  test.each([
    ['a call of text', Buffer.concat([text('a'), op.emptyTuple, op.reduce])],
    ['a call with text', Buffer.concat([op.global('a', 'B'), text('a'), op.reduce])],
    ['attributes of a tensor', Buffer.concat([w, op.emptyDict, op.build])],
    ['attributes of a number', Buffer.concat([int(1), op.emptyDict, op.build])],
    ['an item added to a list', Buffer.concat([op.emptyList, op.mark, int(1), Buffer.from([0x90])])],
    ['a storage that is none', Buffer.concat([tuple(text('file'), text('/etc/passwd')), op.persistentId])],
    ['a name of a thousand characters', op.global('a'.repeat(500), 'b'.repeat(500))],
  ])('%s', (_what, bytes) => {
    expect(() => read(pickle(bytes))).toThrow(Malformed)
  })
})

describe('a damaged pickle is refused', () => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['no end', op.none],
    ['an empty stack', Buffer.from('.')],
    ['a tuple without a mark', Buffer.from('t.')],
    ['a value taken from before a mark', Buffer.from('N(\x85.', 'latin1')],
    ['a value that was never stored', Buffer.from('h\x07.', 'latin1')],
    ['text past the end', Buffer.from('X\xff\xff\xff\xffa.', 'latin1')],
    ['text of 2^63 bytes', hex('8d 00000000000000 80 2e')],
    ['an append to a dict', Buffer.from('}Na.')],
    ['an item of a list', Buffer.from(']NNs.')],
    ['half an item', Buffer.from('}(Nu.')],
    ['protocol 6', hex('80 06 4e 2e')],
    ['an integer of letters', Buffer.from('Ix\n.')],
    ['a line without an end', Buffer.from('c' + 'a'.repeat(5000))],
  ])('%s', (_what, bytes) => {
    expect(() => unpickle(bytes, 0, plainData)).toThrow(Malformed)
  })
})

describe('a bomb', () => {
  test.each([
    ['of dicts', Buffer.alloc(8 << 20, '}')],
    ['of lists', Buffer.alloc(8 << 20, ']')],
    ['of marks', Buffer.alloc(8 << 20, '(')],
    ['of memos', Buffer.concat([op.none, Buffer.alloc(8 << 20, 0x94)])],
    ['of copies', Buffer.concat([op.emptyDict, Buffer.alloc(8 << 20, '2')])],
    ['of empty bytes', Buffer.alloc(8 << 20, Buffer.from('C\0'))],
  ])('%s stops at the budget', (_what, bytes) => {
    expect(() => read(bytes)).toThrow(/far more than a checkpoint needs/)
  })

  test('of nesting does not overflow the stack', () => {
    const depth = 300_000
    const value = read(Buffer.concat([Buffer.alloc(depth, ']'), Buffer.alloc(depth - 1, 'a'), op.stop]))
    expect(value).toBeInstanceOf(PickleList)
  })

  test('of dicts that hold each other 2^64 times is walked once', () => {
    const levels = Array.from({ length: 64 }, (_, i) =>
      Buffer.concat([
        op.put(0),
        Buffer.from('0'),
        dict({}),
        text('a'),
        op.get(0),
        op.setItem,
        text('b'),
        op.get(0),
        op.setItem,
        op.put(i === 63 ? 1 : 0),
      ]),
    )
    const root = read(pickle(dict({ w }), ...levels))
    expect(() => stateDict(root)).toThrow(/no tensors/)
  })

  test('of a dict that holds itself is walked once', () => {
    const root = read(
      pickle(
        dict({ a: int(1) }),
        op.put(0),
        text('state_dict'),
        op.get(0),
        op.setItem,
        text('w'),
        w,
        op.setItem,
      ),
    )
    expect([...stateDict(root).tensors.keys()]).toEqual(['w'])
  })

  test('of one long name used again and again is refused', () => {
    const root = read(pickle(dict({ ['n'.repeat(600)]: w })))
    expect(() => stateDict(root)).toThrow(/more than 512 characters/)
  })
})

describe('the state dict', () => {
  const names = (...parts: Buffer[]): string[] => [...stateDict(read(pickle(...parts))).tensors.keys()]

  test.each([
    ['itself', dict({ 'a.w': w }), ['a.w']],
    ['under state_dict', dict({ epoch: int(3), state_dict: dict({ 'a.w': w }) }), ['a.w']],
    [
      'under model_state_dict, optimizer beside it',
      dict({ model_state_dict: dict({ w }), optimizer: dict({ state: dict({ m: w }) }) }),
      ['w'],
    ],
    ['under two wrappers', dict({ model: dict({ module: dict({ w }) }) }), ['w']],
    ['under a key that tells something', dict({ ema: dict({ module: dict({ w }) }) }), ['ema.module.w']],
    ['twice', dict({ ema: dict({ e: w }), model: dict({ m: w }) }), ['ema.e', 'model.m']],
    ['in a tuple', tuple(dict({ w }), int(3)), ['0.w']],
    [
      'in a defaultdict',
      Buffer.concat([
        op.global('collections', 'defaultdict'),
        tuple(op.global('builtins', 'list')),
        op.reduce,
        text('w'),
        w,
        op.setItem,
      ]),
      ['w'],
    ],
    [
      'beside a Namespace',
      dict({
        args: Buffer.concat([
          op.global('argparse', 'Namespace'),
          op.emptyTuple,
          op.reduce,
          dict({ w }),
          op.build,
        ]),
        model: dict({ m: w }),
      }),
      ['m'],
    ],
    ['where model is only a name', dict({ model: text('vits16'), net: dict({ w }) }), ['w']],
    ['in named parts', dict({ backbone: dict({ w }), head: dict({ w }) }), ['backbone.w', 'head.w']],
  ])('is found %s', (_where, bytes, expected) => {
    expect(names(bytes)).toEqual(expected)
  })

  test.each([
    ['a single tensor', w, /holds a single tensor instead of a state dict/],
    ['a list', op.emptyList, /holds no tensors/],
    [
      'a whole module',
      Buffer.concat([op.global('my.net', 'Net'), op.emptyTuple, op.reduce, dict({ w }), op.build]),
      /holds an object of "my\.net\.Net", which was not run or read, instead of a state dict.*state_dict\(\)/,
    ],
    [
      'an object under a key',
      dict({ model: Buffer.concat([op.global('my.net', 'Net'), op.emptyTuple, op.reduce]) }),
      /holds no tensors, but an object of "my\.net\.Net"/,
    ],
    ['a number', int(1), /holds a number/],
    ['no tensor', dict({ a: int(1) }), /holds no tensors/],
  ])('is missed in %s', (_what, bytes, message) => {
    expect(() => names(bytes)).toThrow(message)
  })
})
