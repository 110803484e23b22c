// What a user may do with the package. Each situation is a project of its own, into which the tarball is installed. It fails by
// throwing, and returns what there is to say about it.
import { chmodSync, cpSync, mkdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { Project, sizeOf } from './project.mjs'
import { bun, module, NODE_LINES, nodeForArm, pnpm, root, tarball } from './tools.mjs'

/** Loads the package's model and prints the length of the flow: 2 values for each of 640 x 480 pixels, say. */
const USE = `const model = await FlowModel.load()
  const { data } = await model.flow('frame1_source.png', 'frame2_source.png')
  await model.dispose()
  console.log(data.length > 1000 && data.every(Number.isFinite) ? 'works' : 'no flow')`
const ESM = `import { FlowModel } from 'dinov3-flow'\n${USE}`
const CJS = `const { FlowModel } = require('dinov3-flow')\n;(async () => {${USE}})()`

const WORKS = 'works\n'
const MAX_PACKAGES = 12
const MAX_DOWNLOAD = 15e6
const MAX_UNPACKED = 40e6
/**
 * Largest difference in px, on average, between flows that should be the same. Instruction sets round differently, and where two
 * motions fit equally well the refinement then takes another one: up to 0.05 px in 2 % of the pixels.
 */
const SAME_FLOW = 1e-3

function expect(condition, message) {
  if (!condition) throw new Error(message)
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`

/** Makes a project, installs the package there, and removes the project after `use`. */
async function inProject(options, use) {
  const project = new Project(options)
  try {
    if (options.install !== false) project.install()
    return await use(project)
  } finally {
    project.remove()
  }
}

/** The flow of the first main job, which all others must find. */
let reference

async function sameFlow(flow) {
  reference ??= await inProject({}, async (project) => project.mainJob())
  expect(flow.length === reference.length, `${flow.length} values of flow, not ${reference.length}`)
  const differences = flow.map((value, i) => Math.abs(value - reference[i]))
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length
  expect(mean <= SAME_FLOW, `flow differs by ${mean} px on average`)
}

const installs = NODE_LINES.map((line) => ({
  name: `npm 12, scripts blocked, no compiler, Node ${line}`,
  run: () =>
    inProject({ line, install: false }, async (project) => {
      const seconds = project.install()
      const begin = performance.now()
      await sameFlow(project.mainJob())
      const total = seconds + (performance.now() - begin) / 1000
      console.error(`installed in ${seconds.toFixed(1)} s, with the main job ${total.toFixed(1)} s`)
    }),
}))

export const SITUATIONS = [
  ...installs,
  {
    name: 'sizes',
    run: () =>
      inProject({ install: false }, async (project) => {
        project.install('--omit=optional')
        const packages = project.packages()
        const unpacked = sizeOf(project.path('node_modules/dinov3-flow'))
        const download = statSync(tarball()).size
        expect(packages <= MAX_PACKAGES, `${packages} packages`)
        expect(download <= MAX_DOWNLOAD, `a download of ${megabytes(download)}`)
        expect(unpacked <= MAX_UNPACKED, `${megabytes(unpacked)} unpacked`)
        return `${packages} packages besides, ${megabytes(download)} to download, ${megabytes(unpacked)} unpacked`
      }),
  },
  {
    name: 'ES module',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        expect(project.must(project.node, ['main.mjs']) === WORKS, 'no flow')
      }),
  },
  {
    name: 'CommonJS',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.cjs', CJS)
        expect(project.must(project.node, ['main.cjs']) === WORKS, 'no flow')
      }),
  },
  {
    name: 'TypeScript, module nodenext, without h5wasm',
    run: () =>
      inProject({}, async (project) => {
        cpSync(path.join(root, 'test/types/consumer'), project.path('consumer'), { recursive: true })
        const types = path.join(root, 'node_modules/@types')
        const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
        project.must(project.node, [tsc, '-p', 'consumer', '--typeRoots', types])
      }),
  },
  {
    name: 'esbuild, the package external',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        const options = { entryPoints: ['main.mjs'], bundle: true, platform: 'node', format: 'esm' }
        project.write(
          'bundle.mjs',
          `import { build } from ${JSON.stringify(path.join(module('esbuild'), 'lib/main.js'))}
          await build(${JSON.stringify({ ...options, outfile: 'out.mjs', external: ['dinov3-flow'] })})`,
        )
        project.must(project.node, ['bundle.mjs'])
        expect(project.must(project.node, ['out.mjs']) === WORKS, 'no flow')
      }),
  },
  {
    name: 'webpack, the package external',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        project.write(
          'bundle.cjs',
          `const webpack = require(${JSON.stringify(module('webpack'))})
          webpack({
            mode: 'production', target: 'node', entry: './main.mjs', experiments: { outputModule: true },
            externals: { 'dinov3-flow': 'module dinov3-flow' }, externalsType: 'module',
            output: { path: __dirname, filename: 'out.mjs', module: true, chunkFormat: 'module' },
          }, (error, stats) => {
            if (error ?? stats.hasErrors()) throw error ?? new Error(stats.toString())
          })`,
        )
        project.must(project.node, ['bundle.cjs'])
        expect(project.must(project.node, ['out.mjs']) === WORKS, 'no flow')
      }),
  },
  {
    name: 'pnpm, symlinked tree',
    run: () =>
      inProject({ install: false }, async (project) => {
        project.must(project.node, [pnpm, 'add', tarball(), '--store-dir', path.join(project.base, 'store')])
        await sameFlow(project.mainJob())
      }),
  },
  {
    name: 'a path with spaces and letters that are not ASCII',
    run: () => inProject({ name: 'Überfluss & 光流/my project' }, (project) => sameFlow(project.mainJob())),
  },
  {
    name: 'an install folder that is read-only to the user',
    run: () =>
      inProject({}, async (project) => {
        // Root may write everywhere, so another user runs it. What it writes goes elsewhere.
        mkdirSync(project.path('out'))
        chmodSync(project.path('out'), 0o777)
        const program = project.path('node_modules/dinov3-flow/dist/cli/index.js')
        const pictures = ['frame1_source.png', 'frame2_source.png']
        const done = project.must(project.node, [program, 'run', ...pictures, '-o', 'out/flow.flo'], {
          uid: 65534,
        })
        expect(statSync(project.path('out/flow.flo')).size > 1000, `no flow: ${done}`)
      }),
  },
  {
    name: 'node --permission',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        const folder = `--allow-fs-read=${project.folder}/*`
        const refused = project.run(project.node, ['--permission', folder, 'main.mjs'])
        expect(
          /--allow-addons/.test(refused.stderr),
          `the refusal does not say what to allow: ${refused.stderr}`,
        )
        const flags = ['--permission', '--allow-addons', '--allow-fs-read=*', '--allow-worker', 'main.mjs']
        expect(project.must(project.node, flags) === WORKS, 'no flow')
        return 'with --allow-addons --allow-fs-read=*'
      }),
  },
  {
    name: 'worker_threads, two at once',
    run: () =>
      inProject({}, async (project) => {
        project.write('worker.mjs', ESM)
        project.write(
          'main.mjs',
          `import { Worker } from 'node:worker_threads'
          for (let i = 0; i < 2; i++) new Worker(new URL('worker.mjs', import.meta.url))`,
        )
        expect(project.must(project.node, ['main.mjs']) === WORKS.repeat(2), 'no flow')
      }),
  },
  {
    name: 'Bun',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        expect(project.must(bun, ['main.mjs']) === WORKS, 'no flow')
      }),
  },
  {
    name: 'linux-arm64 under qemu',
    run: () =>
      inProject({ install: false }, async (project) => {
        project.install('--cpu=arm64', '--os=linux', '--libc=glibc')
        await sameFlow(
          project.mainJob(['/usr/bin/qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', nodeForArm]),
        )
      }),
  },
  ...['darwin-arm64', 'win32-x64'].map((system) => ({
    name: `${system}, which has no binary`,
    run: () =>
      inProject({ install: false }, async (project) => {
        const [os, cpu] = system.split('-')
        project.install(`--os=${os}`, `--cpu=${cpu}`)
        // node-gyp-build takes the system from these, sharp from the machine.
        const env = { npm_config_platform: os, npm_config_arch: cpu }
        project.write(
          'main.mjs',
          `import { encodeFlow, FlowField, FlowModel, evaluate, flowToColor } from 'dinov3-flow'
          const flow = new FlowField(2, 1)
          console.log((await encodeFlow(flow, 'flo')).length, flowToColor(flow).width, evaluate(flow, flow).epe)
          await FlowModel.load().catch(({ code, message }) => console.log(code, message))`,
        )
        const text = project.must(project.node, ['main.mjs'], { env })
        expect(/^28 2 0\nERR_NATIVE [^]*npx dinov3-flow build\n/.test(text), text)
        return 'installs; models say how to build'
      }),
  })),
  {
    name: 'a build without tools',
    run: () =>
      inProject({}, async (project) => {
        const program = project.path('node_modules/dinov3-flow/dist/cli/index.js')
        const { status, stderr } = project.run(project.node, [program, 'build'])
        expect(
          status === 1 && /CMake[^]*compiler[^]*make or ninja[^]*npm install .*node-addon-api/.test(stderr),
          stderr,
        )
        return 'names all that is missing'
      }),
  },
  {
    name: 'a build from source',
    run: () =>
      inProject({ install: false }, async (project) => {
        project.install('node-api-headers', 'node-addon-api')
        const program = project.path('node_modules/dinov3-flow/dist/cli/index.js')
        const env = { PATH: `${path.dirname(project.node)}:${process.env.PATH}` }
        project.must(project.node, [program, 'build', '--cuda', 'off'], { env })
        const found = JSON.parse(project.must(project.node, [program, 'doctor', '--json']))
        expect(found.addon.endsWith('build/Release/dinov3_flow.node') && found.ok, JSON.stringify(found))
        await sameFlow(project.mainJob())
      }),
  },
]
