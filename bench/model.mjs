// Predicts what a stream's frame costs on GPUs that are not at hand: counts it on the emulated driver, and turns the counts into
// microseconds. Writes counts.json, predictions.json and BUDGET.md in bench/gpu. Takes some minutes.
//   npm run bench:model
//   npm run bench:model -- --rates   with the counts that are there: after a change of cards.mjs or of the model
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { predictions, renderBudget } from './gpu/budget.mjs'
import { CARDS } from './gpu/cards.mjs'
import { buildCounter, countFrame, registersOf } from './gpu/count.mjs'
import { each } from '../scripts/pool.mjs'
import { ROOT } from './lib.mjs'

const fileOf = (name) => path.join(ROOT, 'bench', 'gpu', name)
const COUNTS = fileOf('counts.json')
const SIZE = { height: 640, width: 640 }
/** The files with the kernels of a frame. */
const FILES = [
  'attention.cu',
  'correlation.cu',
  'depthwise.cu',
  'gemm.cu',
  'layer_norm.cu',
  'mask_upsample.cu',
  'predict_flow.cu',
  'preprocess.cu',
  'resize_flow.cu',
]

async function count() {
  buildCounter()
  const frames = Object.fromEntries(Object.keys(CARDS).map((id) => [id, []])) // in this order, whichever is done first
  await each(Object.entries(CARDS), availableParallelism(), async ([id, card]) => {
    console.log(`counting for ${card.name}`)
    frames[id] = await countFrame(card, SIZE)
  })
  const kernels = new Set(Object.values(frames).flatMap((nodes) => nodes.map((node) => node.kernel)))
  const registers = {}
  for (const image of new Set(Object.values(CARDS).map((card) => card.image))) {
    console.log(`compiling for ${image}`)
    const all = registersOf(FILES, image)
    if (all === undefined) console.log('without nvcc there are no registers')
    else registers[image] = Object.fromEntries(Object.entries(all).filter(([kernel]) => kernels.has(kernel)))
  }
  return { ...SIZE, frames, registers }
}

/** One node a line, so that a change of a kernel is a change of its lines. */
function textOf({ height, width, frames, registers }) {
  const lines = (nodes) => `[\n${nodes.map((node) => `    ${JSON.stringify(node)}`).join(',\n')}\n  ]`
  const cards = Object.entries(frames).map(([id, nodes]) => `  ${JSON.stringify(id)}: ${lines(nodes)}`)
  const images = Object.entries(registers).map(
    ([image, of]) => `  ${JSON.stringify(image)}: ${JSON.stringify(of)}`,
  )
  return `{
"height": ${height}, "width": ${width},
"frames": {
${cards.join(',\n')}
},
"registers": {
${images.join(',\n')}
}
}
`
}

const { values } = parseArgs({ options: { rates: { type: 'boolean' } } })
if (!values.rates) writeFileSync(COUNTS, textOf(await count()))
const [counts, before] = [COUNTS, fileOf('counts-before.json')].map((file) =>
  JSON.parse(readFileSync(file, 'utf8')),
)
const budget = renderBudget(counts, before) // throws where a reason for waste is missing, before anything is written
writeFileSync(fileOf('predictions.json'), `${JSON.stringify(predictions(counts), null, 1)}\n`)
writeFileSync(fileOf('BUDGET.md'), budget)
console.log('wrote bench/gpu/BUDGET.md and predictions.json')
