import { join } from 'node:path'
import type { DataSet } from './dataset.js'
import { isFolder, numbersIn, oneOf, someOf } from './folders.js'

export const kitti: DataSet = {
  title: 'KITTI 2015 or 2012, its training half',
  layout:
    'training/image_2 (2015), or colored_0 or image_0 (2012), with NNNNNN_10.png and NNNNNN_11.png, training/flow_occ and, if it ' +
    'is there, training/flow_noc with NNNNNN_10.png',
  has: [],
  note: 'matched are the pixels of flow_noc, occluded those that only flow_occ has',
  async list(root) {
    const images = await oneOf(root, 'training/image_2', 'training/colored_0', 'training/image_0')
    const flows = await oneOf(root, 'training/flow_occ')
    const visible = join(root, 'training/flow_noc')
    const hasVisible = await isFolder(visible)
    const frames = await numbersIn(images, /^(\d+)_10\.png$/)
    const truths = await numbersIn(flows, /^(\d+)_10\.png$/)
    const pairs = [...new Set([...frames, ...truths])].sort().map((number) => ({
      name: `${number}_10`,
      sequence: null,
      first: join(images, `${number}_10.png`),
      second: join(images, `${number}_11.png`),
      truth: join(flows, `${number}_10.png`),
      hidden: hasVisible
        ? ({ kind: 'visible truth', path: join(visible, `${number}_10.png`) } as const)
        : undefined,
    }))
    return someOf(pairs, root)
  },
}
