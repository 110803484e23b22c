import { elements, rowMajor } from '../layout.js'
import type { NamedValues } from '../weights.js'
import { storedZip } from './stored-zip.js'

/** The bytes of a state dict of float32 as torch.save writes it: a zip archive of a pickle and a file for each tensor. */
export function torchFile(tensors: readonly NamedValues[]): Generator<Uint8Array> {
  const entry = (name: string, bytes: Uint8Array) => ({
    name: `archive/${name}`,
    size: bytes.length,
    read: () => bytes,
  })
  return storedZip([
    entry('data.pkl', pickle(tensors)),
    entry('byteorder', Buffer.from('little')),
    ...tensors.map(({ shape, read }, i) => ({
      name: `archive/data/${i}`,
      size: 4 * elements(shape),
      read: () => Buffer.from(read().buffer),
    })),
    entry('version', Buffer.from('3\n')),
  ])
}

const REDUCE = 'R'
const PERSISTENT_ID = 'Q'

/** A dictionary of tensors in pickle's protocol 2 (Python's pickletools lists its codes). */
function pickle(tensors: readonly NamedValues[]): Buffer {
  const items = tensors.flatMap((tensor, i) => [text(tensor.name), ...rebuild(tensor, i)])
  const parts = [Buffer.from([0x80, 2]), '}(', ...items, 'u.']
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
}

/** torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks). */
function rebuild({ shape }: NamedValues, i: number): (string | Buffer)[] {
  const storage = tuple(
    text('storage'),
    global('torch', 'FloatStorage'),
    text(String(i)),
    text('cpu'),
    integer(elements(shape)),
  )
  const hooks = `${global('collections', 'OrderedDict')})R`
  const requiresGrad = Buffer.from([0x89])
  return [
    global('torch._utils', '_rebuild_tensor_v2'),
    ...tuple(
      ...storage,
      PERSISTENT_ID,
      integer(0),
      ...tuple(...shape.map(integer)),
      ...tuple(...rowMajor(shape).map(integer)),
      requiresGrad,
      hooks,
    ),
    REDUCE,
  ]
}

function tuple(...items: readonly (string | Buffer)[]): readonly (string | Buffer)[] {
  return ['(', ...items, 't']
}

function global(module: string, name: string): string {
  return `c${module}\n${name}\n`
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  const head = Buffer.from('X\0\0\0\0')
  head.writeUInt32LE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** A number below 2^31. */
function integer(value: number): Buffer {
  const code = Buffer.from('J\0\0\0\0')
  code.writeInt32LE(value, 1)
  return code
}
