import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { FiguresReporter } from './test/support/figures-reporter.js'
import { TotalsReporter } from './test/support/totals-reporter.js'

const printFigures = (process.env['DINOV3_FLOW_FIGURES'] ?? '') !== ''

/** Tests that load the addon. All others must do without it. */
const ENGINE = [
  'test/api/**/*.test.ts',
  'test/cuda/**/*.test.ts',
  'test/examples/**/*.test.ts',
  'test/cli/{bench,doctor,eval,eval-training,process,run,video,view}.test.ts',
]

export default defineConfig({
  test: {
    tags: [{ name: 'slow', description: 'tests that npm test leaves to npm run test:all' }],
    // Scripts and command lines of the tests run what is compiled to dist.
    globalSetup: 'test/support/build-dist.ts',
    reporters: ['default', new TotalsReporter(), ...(printFigures ? [new FiguresReporter()] : [])],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ENGINE,
          typecheck: { enabled: true, include: ['test/**/*.test-d.ts'], checker: 'tsc' },
          // The addon is not found here, so a test that loads it fails: it belongs to the other project.
          env: { DINOV3_FLOW_PREBUILD: '/nowhere' },
          maxWorkers: availableParallelism(), // vitest would leave one core free
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'engine',
          include: ENGINE,
          // The engine has a thread pool of its own, so these files take turns, after those of the other project.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
        },
      },
    ],
  },
})
