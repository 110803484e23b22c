// Calls process.exit while work is queued and running.
import { loadTiny, plainFrame } from './tiny.mjs'

const model = await loadTiny()
const frame = plainFrame(640)
for (let i = 0; i < 50; i++) model.flow(frame, frame).catch(() => {})
setTimeout(() => process.exit(7), 20)
