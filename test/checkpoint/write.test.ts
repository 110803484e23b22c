import { expect, it } from 'vitest'
import { memorySource } from '../../lib/checkpoint/source.js'
import { storedZip, type StoredEntry } from '../../lib/checkpoint/write/stored-zip.js'
import { readZip, zipDataOffset } from '../../lib/checkpoint/zip.js'
import { flowError } from '../support/compare.js'

const entry = (name: string, bytes: Uint8Array): StoredEntry => ({
  name,
  size: bytes.length,
  read: () => bytes,
})

it('an archive has the bytes of its entries, each at a multiple of 64 bytes', () => {
  const files = {
    'archive/a': Buffer.from('first'),
    'archive/ä/b': Buffer.alloc(1000, 7),
    c: Buffer.alloc(0),
  }
  const entries = Object.entries(files).map(([name, bytes]) => entry(name, bytes))
  const archive = Buffer.concat([...storedZip(entries)])
  const source = memorySource(archive)
  const found = readZip(source)
  expect([...found.keys()]).toEqual(Object.keys(files))
  for (const [name, bytes] of Object.entries(files)) {
    const offset = zipDataOffset(source, found.get(name)!)
    expect(offset % 64).toBe(0)
    expect(archive.subarray(offset, offset + bytes.length)).toEqual(bytes)
  }
  expect(Buffer.concat([...storedZip(entries)])).toEqual(archive)
})

it('an archive of more than 4 GiB is refused before anything is read', () => {
  const read = () => expect.unreachable()
  const entries = [1, 2].map((i) => ({ name: `${i}`, size: 2 ** 31, read }))
  expect(() => storedZip(entries).next()).toThrow(flowError('ERR_ARGUMENT', '4 GiB', '.safetensors'))
})
