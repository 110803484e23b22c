// Makes what is published: prebuilt addons and the CUDA kernels in prebuilds/, and the package, dinov3-flow-VERSION.tgz.
//   npm run release                     everything
//   npm run release -- linux-arm64      only targets whose names begin so; the others in prebuilds/ stay as they are
//   npm run release -- --without-cuda   without the kernels, which take most of the time: these addons use no GPU
//
// The addons are compiled and linked by zig: against the oldest C library that Node runs on, with the C++ library inside. GCC
// compiles the kernels of native/cpu/isa, which are a tenth faster by it. The CUDA kernels do not depend on the host, so they
// are compiled once, and all addons read them from one file. zig and nvcc come from PyPI, into build/. Needs python3 with pip,
// CMake, ninja, g++ and g++-aarch64-linux-gnu.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkAddon, checkWideObject } from './addon-check.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const ZIG = ['ziglang==0.17.1']
/** The first CUDA that knows Jetson Thor. ptxas of CUDA 12, for older drivers, is fetched by tools/cmake. */
const NVCC = [
  'nvidia-cuda-nvcc==13.0.88',
  'nvidia-cuda-crt==13.0.88',
  'nvidia-nvvm==13.0.88',
  'nvidia-cuda-runtime==13.0.96',
  'nvidia-cuda-cccl==13.0.85',
]
/** The C library of Debian 10 and RHEL 8: Node asks for it, too. */
const OLDEST_GLIBC = '2.28'

const X64 = { system: 'linux-x64', gcc: 'g++' }
const ARM64 = { system: 'linux-arm64', gcc: 'aarch64-linux-gnu-g++' }
const TARGETS = [
  { ...X64, libc: 'glibc', zig: `x86_64-linux-gnu.${OLDEST_GLIBC}` },
  { ...X64, libc: 'musl', zig: 'x86_64-linux-musl' },
  { ...ARM64, libc: 'glibc', zig: `aarch64-linux-gnu.${OLDEST_GLIBC}` },
  { ...ARM64, libc: 'musl', zig: 'aarch64-linux-musl' },
].map((target) => ({ ...target, name: `${target.system}-${target.libc}` }))

const prebuilds = path.join(root, 'prebuilds')
const images = path.join(root, 'build', 'release-kernels', 'images')

/** Runs a program to its end; throws if it fails. */
function run(program, ...args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw error ?? new Error(`${[program, ...args].join(' ')} failed: ${status}`)
}

/** The folder of packages from PyPI, installed at the first call. */
function fromPyPI(packages) {
  const folder = path.join(root, 'build', packages[0])
  if (!existsSync(folder)) {
    const part = `${folder}.part` // what an interrupted run leaves must not be taken for the whole
    rmSync(part, { recursive: true, force: true })
    run('python3', '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', part, ...packages)
    run('mv', part, folder)
  }
  return folder
}

/** Configures a build of its own and makes one target of it. Returns its folder. */
function make(name, target, options) {
  const folder = path.join(root, 'build', `release-${name}`)
  const common = ['-DCMAKE_BUILD_TYPE=Release', '-DFLOW_WERROR=ON']
  run('cmake', '-S', root, '-B', folder, '-G', 'Ninja', ...common, ...options)
  run('cmake', '--build', folder, '--target', target, '--parallel', String(availableParallelism()))
  return folder
}

function publish(file, ...place) {
  const published = path.join(prebuilds, ...place)
  mkdirSync(path.dirname(published), { recursive: true })
  copyFileSync(file, published)
  console.log(`${path.relative(root, published)}: ${(statSync(published).size / 1e6).toFixed(1)} MB`)
}

/** Compiles the CUDA kernels for every GPU and driver into one file, where the addons look for it. */
function buildKernels() {
  console.log('\n== CUDA kernels')
  const nvcc = path.join(fromPyPI(NVCC), 'nvidia/cu13/bin/nvcc')
  const options = [
    '-DFLOW_ADDON=OFF',
    '-DFLOW_CUDA=ON',
    `-DFLOW_NVCC=${nvcc}`,
    '-DFLOW_RELEASE=ON',
    `-DFLOW_SHARED_IMAGES=${images}`,
  ]
  make('kernels', 'flow_images', options)
  publish(path.join(images, 'kernels.bin'), 'kernels.bin')
}

/** Builds the addon of one target, checks it, and puts it where node-gyp-build looks for it. */
function buildAddon({ name, system, libc, zig, gcc }, cuda) {
  console.log(`\n== ${name}`)
  const folder = make(name, 'dinov3_flow', [
    `-DCMAKE_TOOLCHAIN_FILE=${path.join(root, 'tools/cmake/zig.cmake')}`,
    `-DFLOW_ZIG=${path.join(fromPyPI(ZIG), 'ziglang/zig')}`,
    `-DFLOW_ZIG_TARGET=${zig}`,
    `-DFLOW_ISA_COMPILER=${gcc}`,
    '-DCMAKE_MODULE_LINKER_FLAGS=-s',
    '-DFLOW_CUDA=OFF', // its kernels are in the file
    `-DFLOW_SHARED_IMAGES=${cuda ? images : ''}`,
  ])
  const wide = readdirSync(path.join(folder, 'isa')).filter((file) => file.endsWith('.o'))
  for (const file of wide) checkWideObject(path.join(folder, 'isa', file))
  const addon = path.join(folder, 'Release', 'dinov3_flow.node')
  checkAddon(addon, libc === 'glibc' ? OLDEST_GLIBC : undefined)
  publish(addon, system, `dinov3-flow.${libc}.node`)
}

const args = process.argv.slice(2)
const cuda = !args.includes('--without-cuda')
const wanted = args.filter((arg) => arg !== '--without-cuda')
const chosen = TARGETS.filter(
  ({ name }) => wanted.length === 0 || wanted.some((begin) => name.startsWith(begin)),
)
if (chosen.length === 0)
  throw new Error(
    `no target begins with ${wanted.join(' or ')}: ${TARGETS.map(({ name }) => name).join(', ')}`,
  )
if (cuda) buildKernels()
else rmSync(path.join(prebuilds, 'kernels.bin'), { force: true })
for (const target of chosen) buildAddon(target, cuda)
run('npm', 'run', '-s', 'build:ts')
run('npm', 'pack', '--ignore-scripts', '--loglevel=error')
if (!cuda) console.log('left out: the CUDA kernels, so these addons use no GPU')
