import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

// One script and one style, which `dinov3-flow bench --html` puts into every page that it writes.
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  logLevel: 'warn',
  build: {
    outDir: '../dist/report',
    emptyOutDir: true,
    target: 'es2022',
    lib: {
      entry: 'index.ts',
      formats: ['iife'],
      name: 'report',
      fileName: () => 'report.js',
      cssFileName: 'report',
    },
  },
})
