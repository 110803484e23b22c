// Keeps a plan again and again under one key, by argv: folder, MiB, value of its bytes, count. Prints "done", and warnings.
import { PlanCache } from '../../dist/tensorrt/plan-cache.js'

const [folder, size, value, count] = process.argv.slice(2)
const target = { version: '10.16.1', gpu: 'Orin', computeCapability: '8.7', driver: '13.0' }
const plan = new Uint8Array(Number(size) * 2 ** 20).fill(Number(value))
process.on('warning', ({ code, message }) => console.log(`${code}: ${message}`))
const cache = new PlanCache(folder)
for (let i = 0; i < Number(count); i++)
  await cache.keep('key', target, { plan, timingCache: new Uint8Array() })
console.log('done')
