// Lets gyp's tools (prebuildify, electron-rebuild, node-gyp) build the addon: the build itself is CMakeLists.txt.
//   node scripts/gyp-cmake.cjs PRODUCT_DIR ARCH    builds into PRODUCT_DIR
//                                                  FLOW_RELEASE=1 in the environment adds the kernels for every GPU, and
//                                                  makes warnings errors (a spilled register is one)
//   node scripts/gyp-cmake.cjs --inputs            lists the sources, so that gyp notices when they change
const { execFileSync } = require('node:child_process')
const { readdirSync } = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..')

if (process.argv[2] === '--inputs') {
  for (const folder of ['native', 'kernels', 'tools/cmake'])
    for (const entry of readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true }))
      if (entry.isFile())
        console.log(path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
} else {
  const [productDir, arch = process.arch] = process.argv.slice(2)
  const output = path.resolve(root, productDir)
  const build = path.join(path.dirname(output), 'cmake') // beside gyp's own Makefile, never over it
  const type = path.basename(output) === 'Debug' ? 'Debug' : 'Release'
  if (arch !== process.arch && `${process.platform}-${arch}` !== 'linux-arm64')
    throw new Error(`cannot build for ${arch} on ${process.platform}-${process.arch}`)
  const cross =
    arch !== process.arch ? [`-DCMAKE_TOOLCHAIN_FILE=${path.join(root, 'tools/cmake/aarch64.cmake')}`] : []
  const cmake = (...args) => execFileSync('cmake', args, { cwd: root, stdio: 'inherit' })
  cmake(
    '-S',
    root,
    '-B',
    build,
    `-DCMAKE_BUILD_TYPE=${type}`,
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${output}`,
    ...cross,
    ...(process.env.FLOW_RELEASE ? ['-DFLOW_RELEASE=ON', '-DFLOW_CUDA=ON', '-DFLOW_WERROR=ON'] : []),
  )
  cmake('--build', build, '--parallel', String(os.availableParallelism()))
}
