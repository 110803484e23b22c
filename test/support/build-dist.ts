import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Makes dist once, before all tests, and again before each rerun in watch mode: `npm run build:ts`. */
export default function setup(project: TestProject): void {
  buildDist()
  project.onTestsRerun(async () => buildDist())
}

function buildDist(): void {
  runNode('typescript/bin/tsc', '-p', 'tsconfig.build.json')
  for (const page of ['viewer', 'report'])
    runNode('vite/bin/vite.js', 'build', '-c', `${page}/vite.config.mjs`, page)
}

function runNode(program: string, ...args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`node_modules/${program}`, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    // vitest sets it to `test`, in which vite would build another page than for users.
    env: { ...process.env, NODE_ENV: 'production' },
  })
  if (status !== 0) throw new Error(`${program} failed:\n${stdout}${stderr}`)
}
