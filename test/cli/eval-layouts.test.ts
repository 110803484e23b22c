import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Pair, Part } from '../../lib/cli/eval/datasets/dataset.js'
import { DATA_SETS, type DataSetName } from '../../lib/cli/eval/datasets/index.js'
import { flowError } from '../support/compare.js'
import { scratch } from './helpers.js'

const path = scratch()
let trees = 0

/** A tree of empty files. */
function tree(...files: readonly string[]): string {
  const root = path(String(trees++))
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), '')
  }
  return root
}

/** The pairs of a tree, with paths from its root. */
async function list(name: DataSetName, root: string, part: Partial<Part> = {}): Promise<Partial<Pair>[]> {
  const pairs = await DATA_SETS[name].list(root, { pass: 'clean', split: 'val', ...part })
  return pairs.map(({ name: pair, sequence, first, second, truth }) => ({
    name: pair,
    sequence,
    first: relative(root, first),
    second: relative(root, second),
    truth: relative(root, truth),
  }))
}

describe('the layout', () => {
  test.each(['image_2', 'colored_0', 'image_0'])('of KITTI with frames in %s', async (folder) => {
    const files = ['10', '11'].map((frame) => `training/${folder}/000003_${frame}.png`)
    const root = tree(...files, 'training/flow_occ/000003_10.png')
    expect(await list('kitti', root)).toEqual([
      {
        name: '000003_10',
        sequence: null,
        first: files[0],
        second: files[1],
        truth: 'training/flow_occ/000003_10.png',
      },
    ])
  })

  test('of FlyingThings3D in its final pass, as WebP, of the training half', async () => {
    const frames = ['0006', '0007'].map((n) => `frames_finalpass_webp/TRAIN/C/0001/left/${n}.webp`)
    const flows = ['0006', '0007'].map(
      (n) => `optical_flow/TRAIN/C/0001/into_future/left/OpticalFlowIntoFuture_${n}_L.pfm`,
    )
    expect(await list('things', tree(...frames, ...flows), { pass: 'final', split: 'train' })).toEqual([
      { name: 'C/0001/0006', sequence: 'C/0001', first: frames[0], second: frames[1], truth: flows[0] },
    ])
  })

  test('of FlyingThings3D’s subset in its final pass, with PFM', async () => {
    const frames = ['0000010', '0000011'].map((n) => `train/image_final/left/${n}.png`)
    const truth = 'train/flow/left/into_future/0000010.pfm'
    expect(await list('things', tree(...frames, truth), { pass: 'final', split: 'train' })).toEqual([
      { name: '0000010', sequence: null, first: frames[0], second: frames[1], truth },
    ])
  })

  test('of FlyingChairs without its data folder, and with the other name of the split', async () => {
    const root = tree('00007_img1.ppm', '00007_img2.ppm', '00007_flow.flo')
    writeFileSync(join(root, 'FlyingChairs_train_val_split.txt'), '2\n')
    expect(await list('chairs', root)).toEqual([
      {
        name: '00007',
        sequence: null,
        first: '00007_img1.ppm',
        second: '00007_img2.ppm',
        truth: '00007_flow.flo',
      },
    ])
    await expect(list('chairs', root, { split: 'train' })).rejects.toThrow(flowError('ERR_IO', 'split train'))
  })

  test('may have other files and folders in it', async () => {
    const frames = ['0001', '0002'].map((n) => `training/clean/alley_1/frame_${n}.png`)
    const truth = 'training/flow/alley_1/frame_0001.flo'
    const others = [
      'training/clean/.DS_Store',
      'training/flow/alley_1/Thumbs.db',
      'training/clean/readme/a.txt',
    ]
    expect(await list('sintel', tree(...frames, truth, ...others))).toEqual([
      { name: 'alley_1/frame_0001', sequence: 'alley_1', first: frames[0], second: frames[1], truth },
    ])
  })

  test('a frame or a truth that is missing in the middle leaves a pair, which tells it when it is read', async () => {
    const frame = (n: number) => `train/0002/frame_left/frame_left_000${n}.png`
    const truth = (n: number) => `train/0002/flow_FW_left/flow_FW_left_000${n}.flo5`
    const root = tree(frame(1), frame(2), frame(4), truth(1), truth(3))
    expect((await list('spring', root)).map((pair) => [pair.first, pair.second, pair.truth])).toEqual([
      [frame(1), frame(2), truth(1)],
      [frame(2), frame(3), truth(2)],
      [frame(3), frame(4), truth(3)],
    ])
  })
})
