// Makes what is published: prebuilt addons in prebuilds/, and the package, dinov3-flow-VERSION.tgz.
//   npm run release                 every target
//   npm run release -- linux-arm64  only targets whose names begin so; the others in prebuilds/ stay as they are
//   npm run release -- --kernels    with the CUDA kernels, which takes an nvcc, and minutes for each target
//
// The addons are compiled and linked by zig (from PyPI, put into build/): against the oldest C library that Node runs on, with
// the C++ library inside. GCC compiles the kernels of native/cpu/isa, which are a tenth faster by it. Needs python3 with pip,
// CMake, ninja, g++ and g++-aarch64-linux-gnu.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkAddon, checkWideObject } from './addon-check.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const ZIG_VERSION = '0.17.1'
/** The C library of Debian 10 and RHEL 8: Node asks for it, too. */
const OLDEST_GLIBC = '2.28'

const TARGETS = [
  { system: 'linux-x64', libc: 'glibc', zig: `x86_64-linux-gnu.${OLDEST_GLIBC}`, gcc: 'g++' },
  { system: 'linux-x64', libc: 'musl', zig: 'x86_64-linux-musl', gcc: 'g++' },
  {
    system: 'linux-arm64',
    libc: 'glibc',
    zig: `aarch64-linux-gnu.${OLDEST_GLIBC}`,
    gcc: 'aarch64-linux-gnu-g++',
  },
].map((target) => ({ ...target, name: `${target.system}-${target.libc}` }))

/** Runs a program to its end; throws if it fails. */
function run(program, ...args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw error ?? new Error(`${[program, ...args].join(' ')} failed: ${status}`)
}

/** The zig program, installed at the first call. */
function zig() {
  const folder = path.join(root, 'build', `zig-${ZIG_VERSION}`)
  const program = path.join(folder, 'ziglang', 'zig')
  if (!existsSync(program))
    run('python3', '-m', 'pip', 'install', '--quiet', '--target', folder, `ziglang==${ZIG_VERSION}`)
  return program
}

/** Builds the addon of one target, checks it, and puts it where node-gyp-build looks for it. */
function build({ name, system, libc, zig: target, gcc }, kernels) {
  console.log(`\n== ${name}`)
  const folder = path.join(root, 'build', `release-${name}`)
  const cuda = kernels ? ['-DFLOW_CUDA=ON', '-DFLOW_RELEASE=ON'] : ['-DFLOW_CUDA=OFF']
  const toolchain = `-DCMAKE_TOOLCHAIN_FILE=${path.join(root, 'tools/cmake/zig.cmake')}`
  const compilers = [
    toolchain,
    `-DFLOW_ZIG=${zig()}`,
    `-DFLOW_ZIG_TARGET=${target}`,
    `-DFLOW_ISA_COMPILER=${gcc}`,
  ]
  const options = [
    '-DCMAKE_BUILD_TYPE=Release',
    '-DCMAKE_MODULE_LINKER_FLAGS=-s',
    '-DFLOW_WERROR=ON',
    ...cuda,
  ]
  run('cmake', '-S', root, '-B', folder, '-G', 'Ninja', ...compilers, ...options)
  run('cmake', '--build', folder, '--target', 'dinov3_flow', '--parallel', String(availableParallelism()))

  const built = path.join(folder, 'Release', 'dinov3_flow.node')
  const wide = readdirSync(path.join(folder, 'isa')).filter((file) => file.endsWith('.o'))
  for (const file of wide) checkWideObject(path.join(folder, 'isa', file))
  checkAddon(built, libc === 'glibc' ? OLDEST_GLIBC : undefined)
  const addon = path.join(root, 'prebuilds', system, `dinov3-flow.${libc}.node`)
  mkdirSync(path.dirname(addon), { recursive: true })
  copyFileSync(built, addon)
  console.log(`${path.relative(root, addon)}: ${(statSync(addon).size / 1e6).toFixed(1)} MB`)
}

const args = process.argv.slice(2)
const kernels = args.includes('--kernels')
const wanted = args.filter((arg) => arg !== '--kernels')
const chosen = TARGETS.filter(
  ({ name }) => wanted.length === 0 || wanted.some((begin) => name.startsWith(begin)),
)
if (chosen.length === 0)
  throw new Error(
    `no target begins with ${wanted.join(' or ')}: ${TARGETS.map(({ name }) => name).join(', ')}`,
  )
for (const target of chosen) build(target, kernels)
run('npm', 'run', '-s', 'build:ts')
run('npm', 'pack', '--ignore-scripts', '--loglevel=error')
if (!kernels) console.log('left out: the CUDA kernels, so these addons use no GPU (--kernels compiles them)')
