import { join } from 'node:path'
import type { DataSet, Pair } from './dataset.js'
import { after, foldersIn, isFolder, numbersIn, oneOf, pairNumbers, someOf } from './folders.js'

export const spring: DataSet = {
  title: 'Spring, its training half, the left camera, forward',
  layout:
    'train/SCENE/frame_left/frame_left_NNNN.png and train/SCENE/flow_FW_left/flow_FW_left_NNNN.flo5 (which needs h5wasm: npm ' +
    'install h5wasm)',
  has: [],
  note:
    'ground truth of twice the width and height is compared at every second pixel of every second row, whose vectors are in pixels ' +
    'of the frames already',
  async list(root) {
    const train = await oneOf(root, 'train')
    const pairs: Pair[] = []
    for (const scene of await foldersIn(train)) {
      const [images, flows] = [join(train, scene, 'frame_left'), join(train, scene, 'flow_FW_left')]
      if (!(await isFolder(flows)) && !(await isFolder(images))) continue
      const frames = await numbersIn(images, /^frame_left_(\d+)\.png$/)
      const truths = await numbersIn(flows, /^flow_FW_left_(\d+)\.flo5$/)
      for (const number of pairNumbers(frames, truths))
        pairs.push({
          name: `${scene}/${number}`,
          sequence: scene,
          first: join(images, `frame_left_${number}.png`),
          second: join(images, `frame_left_${after(number)}.png`),
          truth: join(flows, `flow_FW_left_${number}.flo5`),
        })
    }
    return someOf(pairs, root)
  },
}
