import { join } from 'node:path'
import type { DataSet, Pair, Part } from './dataset.js'
import { after, foldersIn, isFolder, matchesIn, numbersIn, oneOf, someOf } from './folders.js'

export const things: DataSet = {
  title: 'FlyingThings3D, or its subset, the left camera, into the future',
  layout:
    'frames_{cleanpass,finalpass}/{TRAIN,TEST}/{A,B,C}/NNNN/left/NNNN.png and optical_flow/{TRAIN,TEST}/{A,B,C}/NNNN/into_future/' +
    'left/OpticalFlowIntoFuture_NNNN_L.pfm; or of the subset {train,val}/image_{clean,final}/left/NNNNNNN.png, ' +
    '{train,val}/flow/left/into_future/NNNNNNN.flo and, if it is there, flow_occlusions beside flow',
  has: ['pass', 'split'],
  note: 'val is TEST of the full set',
  async list(root, part) {
    const isSubset = await isFolder(join(root, part.split, 'flow'))
    return someOf(await (isSubset ? subset : full)(root, part), root)
  },
}

async function full(root: string, { pass, split }: Part): Promise<Pair[]> {
  const half = split === 'train' ? 'TRAIN' : 'TEST'
  const images = await oneOf(root, `frames_${pass}pass/${half}`, `frames_${pass}pass_webp/${half}`)
  const flows = await oneOf(root, `optical_flow/${half}`)
  const pairs: Pair[] = []
  for (const letter of await foldersIn(flows))
    for (const scene of await foldersIn(join(flows, letter))) {
      const sequence = `${letter}/${scene}`
      const [seen, truths] = [join(images, sequence, 'left'), join(flows, sequence, 'into_future/left')]
      const files = await matchesIn(seen, /^(\d+)\.(png|webp)$/)
      const [last, extension = 'png'] = files.at(-1) ?? []
      // The last frame has a ground truth as well, but no frame behind it.
      for (const number of await numbersIn(truths, /^OpticalFlowIntoFuture_(\d+)_L\.pfm$/))
        if (number !== last)
          pairs.push({
            name: `${sequence}/${number}`,
            sequence,
            first: join(seen, `${number}.${extension}`),
            second: join(seen, `${after(number)}.${extension}`),
            truth: join(truths, `OpticalFlowIntoFuture_${number}_L.pfm`),
          })
    }
  return pairs
}

async function subset(root: string, { pass, split }: Part): Promise<Pair[]> {
  const images = await oneOf(root, `${split}/image_${pass}/left`)
  const flows = await oneOf(root, `${split}/flow/left/into_future`)
  const occlusions = join(root, split, 'flow_occlusions/left/into_future')
  const hasOcclusions = await isFolder(occlusions)
  const frames = new Set(await numbersIn(images, /^(\d+)\.png$/))
  const truths = new Map((await matchesIn(flows, /^(\d+)\.(flo|pfm)$/)) as [string, string][])
  // Sequences follow each other without a mark: where one ends, the next number is that of no frame.
  const numbers = [...truths.keys()].filter((number) => frames.has(number) && frames.has(after(number)))
  return numbers.map((number) => ({
    name: number,
    sequence: null,
    first: join(images, `${number}.png`),
    second: join(images, `${after(number)}.png`),
    truth: join(flows, `${number}.${truths.get(number)}`),
    hidden: hasOcclusions ? { kind: 'mask', path: join(occlusions, `${number}.png`) } : undefined,
  }))
}
