import { join } from 'node:path'
import type { DataSet } from './dataset.js'
import { foldersIn, oneOf, someOf } from './folders.js'

export const middlebury: DataSet = {
  title: 'Middlebury, the scenes with a public ground truth',
  layout: 'other-data/SCENE/frame10.png and frame11.png, and other-gt-flow/SCENE/flow10.flo',
  has: [],
  async list(root) {
    const images = await oneOf(root, 'other-data')
    const flows = await oneOf(root, 'other-gt-flow')
    const pairs = (await foldersIn(flows)).map((scene) => ({
      name: scene,
      sequence: scene,
      first: join(images, scene, 'frame10.png'),
      second: join(images, scene, 'frame11.png'),
      truth: join(flows, scene, 'flow10.flo'),
    }))
    return someOf(pairs, root)
  },
}
