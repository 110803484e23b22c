import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { gapsOf, listFiles, listFlows } from '../../lib/cli/view/folder.js'
import { scratch } from '../cli/helpers.js'

const at = scratch()

function folder(name: string, ...files: readonly string[]): string {
  mkdirSync(at(name))
  for (const file of files) writeFileSync(join(at(name), file), '')
  return at(name)
}

/** Numbers and names, as they are listed. */
async function listed(path: string) {
  const { files, ignored } = await listFiles(path, ['.flo', '.png'], 'flow files')
  return { files: files.map((file) => [file.number, basename(file.path)]), ignored }
}

describe('the files of a folder', () => {
  test('are in the order of the last number of their names', async () => {
    const path = folder('numbers', 'v3_10.flo', 'v3_9.flo', 'v3_100.flo')
    expect(await listed(path)).toEqual({
      files: [
        [9, 'v3_9.flo'],
        [10, 'v3_10.flo'],
        [100, 'v3_100.flo'],
      ],
      ignored: 0,
    })
  })

  test('without numbers of their own are counted', async () => {
    expect(await listed(folder('names', 'b_v2.flo', 'a_v2.flo'))).toMatchObject({
      files: [
        [0, 'a_v2.flo'],
        [1, 'b_v2.flo'],
      ],
    })
    expect(await listed(folder('words', 'two.flo', 'one.flo'))).toMatchObject({
      files: [
        [0, 'one.flo'],
        [1, 'two.flo'],
      ],
    })
  })

  test('are those of the commonest extension; hidden files and folders are none', async () => {
    const path = folder('mixed', '1.flo', '2.flo', '1.png', '.3.flo')
    mkdirSync(join(path, '4.flo'))
    expect(await listed(path)).toEqual({
      files: [
        [1, '1.flo'],
        [2, '2.flo'],
      ],
      ignored: 1,
    })
  })

  test('that belong to a flow are found beside it, by its name', async () => {
    const path = folder('beside', 'a.png', 'a.backward.png', 'a.occlusion.png', 'b.png', 'b.confidence.npy')
    const { files, beside } = await listFlows(path, ['.flo', '.png'], ['.png', '.npy'])
    expect(files.map((file) => basename(file.path))).toEqual(['a.png', 'b.png'])
    expect(Object.fromEntries(beside)).toEqual({
      a: { backward: join(path, 'a.backward.png'), occlusion: join(path, 'a.occlusion.png') },
      b: { confidence: join(path, 'b.confidence.npy') },
    })
  })
})

test('gaps go by the commonest distance of numbers, and a wild number makes none', () => {
  expect(gapsOf([1, 2, 3, 6, 7])).toEqual({ spacing: 1, gaps: [4, 5] })
  expect(gapsOf([0, 2, 4, 8])).toEqual({ spacing: 2, gaps: [6] })
  expect(gapsOf([5])).toEqual({ spacing: 1, gaps: [] })
  expect(gapsOf([1, 2, 20_260_101]).gaps).toEqual([])
})
