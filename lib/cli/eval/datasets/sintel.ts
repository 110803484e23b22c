import { join } from 'node:path'
import type { DataSet, Pair } from './dataset.js'
import { after, foldersIn, isFolder, numbersIn, oneOf, pairNumbers, someOf } from './folders.js'

export const sintel: DataSet = {
  title: 'MPI Sintel, its training half',
  layout:
    'training/{clean,final}/SCENE/frame_NNNN.png, training/flow/SCENE/frame_NNNN.flo, and training/occlusions and ' +
    'training/invalid with masks, if they are there',
  has: ['pass'],
  async list(root, { pass }) {
    const images = await oneOf(root, `training/${pass}`)
    const flows = await oneOf(root, 'training/flow')
    const [occlusions, invalid] = [join(root, 'training/occlusions'), join(root, 'training/invalid')]
    const [hasOcclusions, hasInvalid] = [await isFolder(occlusions), await isFolder(invalid)]
    const scenes = new Set([...(await foldersIn(images)), ...(await foldersIn(flows))])
    const pairs: Pair[] = []
    for (const scene of [...scenes].sort()) {
      const frames = await numbersIn(join(images, scene), /^frame_(\d+)\.png$/)
      const truths = await numbersIn(join(flows, scene), /^frame_(\d+)\.flo$/)
      for (const number of pairNumbers(frames, truths)) {
        const name = `${scene}/frame_${number}`
        pairs.push({
          name,
          sequence: scene,
          first: join(images, `${name}.png`),
          second: join(images, scene, `frame_${after(number)}.png`),
          truth: join(flows, `${name}.flo`),
          hidden: hasOcclusions ? { kind: 'mask', path: join(occlusions, `${name}.png`) } : undefined,
          invalid: hasInvalid ? join(invalid, `${name}.png`) : undefined,
        })
      }
    }
    return someOf(pairs, root)
  },
}
