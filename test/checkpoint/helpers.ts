import {
  closeSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect } from 'vitest'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import type { Source } from '../../lib/checkpoint/source.js'
import {
  type CheckpointFile,
  DTYPE_BYTES,
  type StoredTensor,
  type Weight,
} from '../../lib/checkpoint/tensor.js'
import { FlowError, type FlowErrorCode } from '../../lib/errors.js'

export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
}

/** A folder that is gone after the file's tests. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'checkpoint-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Opens a checkpoint for the length of `use`. */
export function withFile<T>(path: string, use: (file: CheckpointFile) => T): T {
  const file = openCheckpoint(path)
  try {
    return use(file)
  } finally {
    file.close()
  }
}

/** The error that `run` throws, which must be a FlowError of `code`. */
export function refusal(run: () => unknown, code: FlowErrorCode): FlowError {
  let thrown: unknown
  try {
    run()
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(FlowError)
  if (!(thrown instanceof FlowError)) throw thrown
  expect(thrown.code, thrown.message).toBe(code)
  return thrown
}

/** A weight's values as the engine reads them: parts joined, strides gathered, converted to float32. */
export function valuesOf(weight: Weight): Float32Array {
  const parts = weight.parts.map((part) =>
    'zeros' in part ? new Float32Array(part.zeros) : tensorValues(part.file, part.tensor),
  )
  const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export function allValues(weights: readonly Weight[]): Map<string, Float32Array> {
  return new Map(weights.map((weight) => [weight.name, valuesOf(weight)]))
}

function tensorValues(file: Source, tensor: StoredTensor): Float32Array {
  const { shape, strides, dtype } = tensor
  const count = shape.reduce((a, b) => a * b, 1)
  const last = shape.reduce((sum, n, axis) => sum + (n - 1) * (strides[axis] ?? 0), 0)
  const width = DTYPE_BYTES[dtype]
  const bytes = Buffer.alloc((last + 1) * width)
  expect(readSync(file.fd, bytes, 0, bytes.length, tensor.offset)).toBe(bytes.length)
  const out = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    let rest = i
    let element = 0
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const n = shape[axis] ?? 1
      element += (rest % n) * (strides[axis] ?? 0)
      rest = Math.floor(rest / n)
    }
    out[i] = (tensor.negated ? -1 : 1) * decode(bytes, element * width, dtype)
  }
  return out
}

function decode(bytes: Buffer, at: number, dtype: StoredTensor['dtype']): number {
  if (dtype === 'float64') return bytes.readDoubleLE(at)
  if (dtype === 'float32') return bytes.readFloatLE(at)
  const half = bytes.readUInt16LE(at)
  if (dtype === 'bfloat16') {
    const wide = Buffer.alloc(4)
    wide.writeUInt16LE(half, 2)
    return wide.readFloatLE()
  }
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 1023
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

export interface Entry {
  readonly shape: readonly number[]
  readonly dtype?: 'F32' | 'F16' | 'BF16' | 'F64' | 'I64'
}

/** Writes a safetensors file whose data is zeros, as a hole: it takes no space. */
export function writeSafetensors(path: string, entries: Readonly<Record<string, Entry>>): string {
  const header: Record<string, unknown> = {}
  let at = 0
  for (const [name, { shape, dtype = 'F32' }] of Object.entries(entries)) {
    const begin = at
    at += shape.reduce((a, b) => a * b, 1) * { F32: 4, F16: 2, BF16: 2, F64: 8, I64: 8 }[dtype]
    header[name] = { dtype, shape, data_offsets: [begin, at] }
  }
  return writeHeader(path, JSON.stringify(header), at)
}

/** Writes a safetensors file of any header text. */
export function writeHeader(path: string, header: string, dataBytes: number): string {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const fd = openSync(path, 'w')
  writeSync(fd, length)
  writeSync(fd, text)
  closeSync(fd)
  truncateSync(path, 8 + text.length + dataBytes)
  return path
}

/** The tensors of a file, as entries to write again: renamed, changed or left out (undefined). */
export function entriesOf(
  path: string,
  rename: (name: string) => string | undefined = (name) => name,
): Record<string, Entry> {
  return withFile(path, (file) => {
    const entries: Record<string, Entry> = {}
    for (const { name, shape } of file.tensors.values()) {
      const renamed = rename(name)
      if (renamed !== undefined) entries[renamed] = { shape }
    }
    return entries
  })
}

export interface ZipOptions {
  /** 8 is deflate. */
  readonly method?: number
  /** Sizes and offsets in zip64 fields, as torch writes them for files over 4 GB. */
  readonly wide?: 'zip64'
}

/** Writes a zip archive of stored entries. */
export function writeZip(
  path: string,
  entries: Readonly<Record<string, Buffer>>,
  options: ZipOptions = {},
): string {
  const wide = options.wide === 'zip64'
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let at = 0
  for (const [text, data] of Object.entries(entries)) {
    const name = Buffer.from(text)
    const local = Buffer.alloc(30)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(options.method ?? 0, 8)
    local.writeUInt16LE(name.length, 26)
    const extra = Buffer.alloc(wide ? 28 : 0)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(options.method ?? 0, 10)
    central.writeUInt32LE(wide ? 0xffffffff : data.length, 20)
    central.writeUInt32LE(wide ? 0xffffffff : data.length, 24)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt16LE(extra.length, 30)
    central.writeUInt32LE(wide ? 0xffffffff : at, 42)
    if (wide) {
      extra.writeUInt16LE(1, 0)
      extra.writeUInt16LE(24, 2)
      for (const [i, n] of [data.length, data.length, at].entries())
        extra.writeBigUInt64LE(BigInt(n), 4 + 8 * i)
    }
    locals.push(local, name, data)
    centrals.push(central, name, extra)
    at += local.length + name.length + data.length
  }
  const directory = Buffer.concat(centrals)
  const count = Object.keys(entries).length
  writeFileSync(path, Buffer.concat([...locals, directory, ...endOf(at, directory.length, count, options)]))
  return path
}

function endOf(offset: number, size: number, count: number, options: ZipOptions): Buffer[] {
  const wide = options.wide === 'zip64'
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(wide ? 0xffff : count, 10)
  end.writeUInt32LE(wide ? 0xffffffff : size, 12)
  end.writeUInt32LE(wide ? 0xffffffff : offset, 16)
  if (!wide) return [end]
  const record = Buffer.alloc(56)
  record.writeUInt32LE(0x06064b50, 0)
  for (const [i, n] of [count, size, offset].entries()) record.writeBigUInt64LE(BigInt(n), 32 + 8 * i)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(offset + size), 8)
  return [record, locator, end]
}
