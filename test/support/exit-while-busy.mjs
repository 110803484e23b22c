// Calls process.exit while work is queued and running.
import { loadTiny, plainFrame } from './tiny.mjs'

const model = await loadTiny()
const frame = plainFrame(640)
const calls = Array.from({ length: 50 }, () => model.flow(frame, frame).catch(() => {}))
await calls[0]
process.exit(7)
