import { defineConfig } from 'vitest/config'
import { FiguresReporter } from './test/support/figures-reporter.js'

const printFigures = (process.env['DINOV3_FLOW_FIGURES'] ?? '') !== ''

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The engine has a thread pool of its own: test files that each load a model take turns.
    fileParallelism: false,
    testTimeout: 120_000,
    typecheck: { enabled: true, include: ['test/**/*.test-d.ts'], checker: 'tsc' },
    ...(printFigures && { reporters: ['default', new FiguresReporter()] }),
  },
})
