// Loads a backbone and a head; prints the peak of the process's memory in bytes.
import { FlowModel } from '../../dist/index.js'

const [backbone, head] = process.argv.slice(2)
await FlowModel.load({ backbone, head })
console.log(JSON.stringify({ peak: process.resourceUsage().maxRSS * 1024 }))
