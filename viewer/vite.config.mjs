import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

// One script and one style, which `dinov3-flow view` puts into every page that it writes.
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  logLevel: 'warn',
  build: {
    outDir: '../dist/viewer',
    emptyOutDir: true,
    target: 'es2022',
    lib: {
      entry: 'index.ts',
      formats: ['iife'],
      name: 'viewer',
      fileName: () => 'viewer.js',
      cssFileName: 'viewer',
    },
  },
})
