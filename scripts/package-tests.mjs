// Tests what `npm run release` made: in the situations of test/package, its kernels and its addon where the engine's tests run, and
// the tests that touch Node on the newest one. The last line of the output is "N passed, N failed".
import { runSituations } from '../test/package/run.mjs'
import { node } from '../test/package/tools.mjs'
import { addTotals, end, printSkipped } from './totals.mjs'
import { runVitest } from './vitest.mjs'

/** What another Node could break: the addon and its buffers, files, pictures, processes. */
const OF_NODE = ['test/api/', 'test/cli/', 'test/image/', 'test/cuda/external-buffers.test.ts']

/** Which kernels each driver gets; what the compiler of the release could break. */
const OF_THE_RELEASE = ['test/cuda/drivers.test.ts', 'test/api/lifetime.test.ts', 'test/api/parity.test.ts']

const total = addTotals([
  await runSituations(),
  runVitest('quick', { files: OF_THE_RELEASE, env: { PREBUILDS_ONLY: '1' } }),
  runVitest('quick', { files: OF_NODE, node: node(26) }),
])
printSkipped(total)
end(total)
