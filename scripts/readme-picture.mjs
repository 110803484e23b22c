// Draws docs/flow.png, the README's picture: the flow of the package's model between the two frames of `npm run example`. The
// left half is the flow in colours with their legend, the right half has arrows over the first frame.
//   node scripts/readme-picture.mjs
import { fileURLToPath } from 'node:url'
import { colorWheelLegend, drawArrows, FlowModel, flowToColor, loadImage } from 'dinov3-flow'
import sharp from 'sharp'

const path = (relative) => fileURLToPath(new URL(`../${relative}`, import.meta.url))
const [frame1, frame2] = await Promise.all(
  [1, 2].map((i) => loadImage(path(`test/fixtures/seed/frame${i}_source.png`))),
)
const model = await FlowModel.load()
const flow = await model.flow(frame1, frame2)
await model.dispose()

const { width, height } = frame1
const raw = ({ data, width, height }) => ({ input: data, raw: { width, height, channels: 3 } })
const side = 120
const gap = 16
const circle = Buffer.from(`<svg width="${side}" height="${side}"><circle cx="50%" cy="50%" r="50%"/></svg>`)
const key = await sharp(colorWheelLegend(side).data, { raw: { width: side, height: side, channels: 3 } })
  .ensureAlpha()
  .composite([{ input: circle, blend: 'dest-in' }])
  .png()
  .toBuffer()

await sharp({ create: { width: 2 * width + gap, height, channels: 3, background: 'white' } })
  .composite([
    { ...raw(flowToColor(flow)), left: 0, top: 0 },
    { input: key, left: gap, top: gap },
    { ...raw(await drawArrows(frame1, flow, { step: 40 })), left: width + gap, top: 0 },
  ])
  .png({ compressionLevel: 9, palette: true })
  .toFile(path('docs/flow.png'))
