import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { skipIf } from '../support/skip.js'

test('an addon that needs a C++ library, a newer C library, or exports more than Node looks for is refused', () => {
  skipIf(process.platform !== 'linux', 'readelf knows programs of Linux')
  // Node itself is an example of all three.
  const { status, stderr } = spawnSync(
    process.execPath,
    ['scripts/addon-check.mjs', process.execPath, '2.2'],
    {
      encoding: 'utf8',
    },
  )
  expect(status).toBe(1)
  expect(stderr).toContain('links libstdc++.so.6')
  expect(stderr).toMatch(/needs GLIBC_2\.(1\d|28)$/m)
  expect(stderr).toMatch(/exports \d{3,} symbols: /)
})
