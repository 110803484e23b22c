// Prepares the size of the tiny frames with TensorRT, and prints what came of it.
import { loadTiny } from './tiny.mjs'

const model = await loadTiny({ device: 'cuda', size: 'native', backboneEngine: 'tensorrt' })
console.log(JSON.stringify(await model.prepare({ width: 160, height: 112 })))
await model.dispose()
