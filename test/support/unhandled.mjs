// Makes a call that fails, and neither awaits nor catches it.
import { loadTiny } from './tiny.mjs'

const model = await loadTiny()
model.flow('no-such-frame.png', 'no-such-frame.png')
await model.dispose() // waits for the call
