// Uses a model and leaves it undisposed: the process should end by itself, after the call that nobody awaits.
import { loadTiny, plainFrame } from './tiny.mjs'

const model = await loadTiny()
const frame = plainFrame(640)
model.flow(frame, frame).then(() => console.log('done'))
