import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeNpz } from '../../lib/formats/npz.js'
import { encodeNpy } from '../../lib/formats/npy.js'
import { type ZipMember, zipOf } from '../support/zip.js'
import { damage, expectFieldOrFormatError, expectSameFlow, fixture, goldenFlow } from './helpers.js'

const NPY = encodeNpy(goldenFlow())

describe('.npz', () => {
  test.each<[string, ZipMember[]]>([
    ['its only array, deflated', [{ name: 'arr_0.npy', data: NPY }]],
    ['its only array, stored', [{ name: 'motion.npy', data: NPY, stored: true }]],
    [
      'the array named flow',
      [
        { name: 'image.npy', data: Uint8Array.of(1) },
        { name: 'flow.npy', data: NPY },
      ],
    ],
    [
      'an array beside a file that is none',
      [
        { name: 'README', data: Uint8Array.of(1) },
        { name: 'x.npy', data: NPY },
      ],
    ],
  ])('is read: %s', async (_, members) => {
    expectSameFlow(await decodeNpz(zipOf(members)), goldenFlow())
  })

  test.each<[string, ZipMember[], string]>([
    [
      'several arrays without a flow',
      [
        { name: 'u.npy', data: NPY },
        { name: 'v.npy', data: NPY },
      ],
      'the arrays ["u", "v"]',
    ],
    ['no array', [{ name: 'x.txt', data: NPY }], 'it holds no array'],
    ['an array that is no flow', [{ name: 'flow.npy', data: Uint8Array.of(1, 2) }], 'no NumPy header'],
    ['a wrong checksum', [{ name: 'flow.npy', data: NPY, crc: 1 }], 'checksum'],
    [
      'another compression',
      [{ name: 'flow.npy', data: NPY, method: 12 }],
      'compressed in a way that numpy never writes',
    ],
    ['less than it says', [{ name: 'flow.npy', data: NPY, size: NPY.length + 1 }], 'checksum'],
    ['more than it says', [{ name: 'flow.npy', data: NPY, size: 1000 }], 'not a readable .npz'],
    [
      'a size that its bytes cannot have',
      [{ name: 'flow.npy', data: NPY, size: 2 ** 30 }],
      'cannot unpack to 1073741824',
    ],
    [
      'more than memory should hold',
      [{ name: 'flow.npy', data: NPY, size: 2 ** 31 }],
      'takes 2147483648 bytes',
    ],
  ])('is refused with %s', async (_, members, reason) => {
    await expect(decodeNpz(zipOf(members))).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining(reason),
    })
  })

  test('a bomb is refused before it is unpacked', async () => {
    const before = process.memoryUsage().arrayBuffers
    const bomb = zipOf([{ name: 'flow.npy', data: new Uint8Array(2 ** 26), size: 2000 }])
    await expect(decodeNpz(bomb)).rejects.toMatchObject({ code: 'ERR_FORMAT' })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 27)
  })

  test('the names of many arrays do not fill the screen', async () => {
    const members = Array.from({ length: 300 }, (_, i) => ({ name: `${'x'.repeat(200)}${i}.npy`, data: NPY }))
    const error = await decodeNpz(zipOf(members)).catch((cause: unknown) => cause)
    expect((error as Error).message.length).toBeLessThan(400)
  })

  test('a damaged file is a field or a format error', async () => {
    for (const file of [fixture('formats/flow.npz'), zipOf([{ name: 'a.npy', data: NPY, stored: true }])])
      await fc.assert(
        fc.asyncProperty(damage(file), (bytes) => expectFieldOrFormatError(bytes, decodeNpz)),
        { numRuns: 300 },
      )
  })
})
