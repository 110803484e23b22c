import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { fixture, refusal, scratch, withFile, writeZip } from './helpers.js'
import { dict, pickle, tensor } from './pickle-writer.js'

const folder = scratch()
const made = tensor({ key: '0', count: 2, shape: [2], strides: [1] })
const entries = {
  'm/data.pkl': pickle(dict({ w: made })),
  'm/data/0': Buffer.from('0000803f00000040', 'hex'),
}

describe('a zip archive', () => {
  test('is read, with 64-bit sizes and offsets too', () => {
    for (const options of [{}, { wide: 'zip64' } as const])
      withFile(writeZip(join(folder, 'a.pth'), entries, options), (file) => {
        const { offset } = file.tensors.get('w') ?? { offset: NaN }
        expect(readFileSync(file.path).readFloatLE(offset)).toBe(1)
        expect(readFileSync(file.path).readFloatLE(offset + 4)).toBe(2)
      })
  })

  test('that is compressed is refused', () => {
    const path = writeZip(join(folder, 'b.pth'), entries, { method: 8 })
    expect(refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT').message).toMatch(
      /"m\/data\.pkl" is compressed/,
    )
  })

  test('of something else is refused', () => {
    const path = writeZip(join(folder, 'c.npz'), { 'arr_0.npy': Buffer.alloc(8) })
    expect(refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT').message).toMatch(
      /not one of torch\.save/,
    )
  })

  test('with a comment is read', () => {
    const bytes = readFileSync(writeZip(join(folder, 'd.pth'), entries))
    bytes.writeUInt16LE(5, bytes.length - 2)
    const path = join(folder, 'e.pth')
    writeFileSync(path, Buffer.concat([bytes, Buffer.from('PK\x05\x06!', 'latin1')]))
    expect(withFile(path, (file) => file.tensors.size)).toBe(1)
  })

  test('of zip64 whose numbers are out of reach is refused', () => {
    const bytes = readFileSync(writeZip(join(folder, 'f.pth'), entries, { wide: 'zip64' }))
    const end = bytes.length - 22 - 20 - 56
    for (const field of [40, 48]) {
      const changed = Buffer.from(bytes)
      changed.writeBigUInt64LE(2n ** 63n, end + field)
      const path = join(folder, `g${field}.pth`)
      writeFileSync(path, changed)
      refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT')
    }
  })

  test('cut short anywhere is refused', () => {
    const bytes = readFileSync(fixture('tiny/backbone.pth'))
    for (const length of [4, 30, 3000, bytes.length / 2, bytes.length - 22, bytes.length - 1]) {
      const path = join(folder, 'h.pth')
      writeFileSync(path, bytes.subarray(0, length))
      expect(refusal(() => openCheckpoint(path), 'ERR_CHECKPOINT_FORMAT').message).toMatch(/cut short/)
    }
  })
})
