// Draws docs/flow.png, the README's picture: a flow that is known (a rotation with zoom about the image's centre), colour coded with
// its key, and as arrows on a frame.  node scripts/readme-picture.mjs
import { fileURLToPath } from 'node:url'
import { colorWheelLegend, drawArrows, FlowField, flowToColor, loadImage } from 'dinov3-flow'
import sharp from 'sharp'

const frame = await loadImage(
  fileURLToPath(new URL('../test/fixtures/seed/frame1_source.png', import.meta.url)),
)
const { width, height } = frame
const flow = new FlowField(width, height)
for (let y = 0; y < height; y++) {
  for (let x = 0; x < width; x++) {
    const [dx, dy] = [x - width / 2, y - height / 2]
    flow.x[y * width + x] = 0.05 * dx - 0.06 * dy
    flow.y[y * width + x] = 0.05 * dy + 0.06 * dx
  }
}

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
    { ...raw(await drawArrows(frame, flow, { step: 40 })), left: width + gap, top: 0 },
  ])
  .png({ compressionLevel: 9, palette: true })
  .toFile(fileURLToPath(new URL('../docs/flow.png', import.meta.url)))
