import { join } from 'node:path'
import type { DataSet, Pair } from './dataset.js'
import { after, matchesIn, oneOf, someOf } from './folders.js'

export const hd1k: DataSet = {
  title: 'HD1K',
  layout: 'hd1k_input/image_2/SSSSSS_NNNN.png and hd1k_flow_gt/flow_occ/SSSSSS_NNNN.png',
  has: [],
  async list(root) {
    const images = await oneOf(root, 'hd1k_input/image_2')
    const flows = await oneOf(root, 'hd1k_flow_gt/flow_occ')
    const pattern = /^(\d{6})_(\d+)\.png$/
    const last = new Map((await matchesIn(images, pattern)) as [string, string][])
    const pairs: Pair[] = []
    for (const [sequence, number] of (await matchesIn(flows, pattern)) as [string, string][]) {
      // The last frame has a ground truth as well, but no frame behind it.
      if (number === last.get(sequence)) continue
      const name = `${sequence}_${number}`
      const second = join(images, `${sequence}_${after(number)}.png`)
      pairs.push({
        name,
        sequence,
        first: join(images, `${name}.png`),
        second,
        truth: join(flows, `${name}.png`),
      })
    }
    return someOf(pairs, root)
  },
}
