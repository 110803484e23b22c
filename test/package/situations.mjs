// What a user may do with the package. Each situation is a project of its own, into which the tarball is installed. It fails by
// throwing, and returns what there is to say about it.
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
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

/** Tests of a user, for Jest and Vitest, whose test, expect, beforeAll and afterAll are global. */
const TESTS = `import { readFileSync } from 'node:fs'
  import { decodeFlow, encodeFlow, FlowField, FlowModel, loadImage } from 'dinov3-flow'
  const [first, second] = ['frame1_source.png', 'frame2_source.png']
  let model
  beforeAll(async () => { model = await FlowModel.load({ threads: 1, size: [48, 48], refine: 'off' }) })
  afterAll(() => model?.dispose())
  const frame = (data) => ({ data, width: 48, height: 48, format: 'rgba' })
  test.each([Uint8Array, Uint8ClampedArray])('%p', async (Bytes) => {
    const one = frame(new Bytes(48 * 48 * 4))
    expect((await model.flow(one, one)).width).toBe(48)
  })
  test('Buffer', async () => {
    const one = frame(Buffer.alloc(48 * 48 * 4))
    expect((await model.flow(one, one)).data.every(Number.isFinite)).toBe(true)
  })
  test('paths, URLs and bytes', async () => {
    const { href } = new URL(first, 'file://' + process.cwd() + '/')
    const flow = await model.flow(new URL(href), readFileSync(second))
    const { data } = await model.flow(first, second)
    expect(data.every((value, i) => value === flow.data[i])).toBe(true)
    expect((await loadImage(readFileSync(first))).width).toBe(flow.width)
  }, 60_000)
  test('files of flow', async () => {
    const flow = new FlowField(2, 1, Float32Array.of(1, 2, 3, 4))
    for (const format of ['flo', 'npy', 'pfm', 'kitti', 'flo5'])
      expect([...(await decodeFlow(await encodeFlow(flow, format))).data]).toEqual([1, 2, 3, 4])
  })
  test('a signal, and errors', async () => {
    const one = frame(new Uint8Array(48 * 48 * 4))
    const { signal } = new AbortController()
    expect((await model.flow(one, one, { signal })).width).toBe(48)
    await expect(model.flow(one, { ...one, width: 47 })).rejects.toMatchObject({ code: 'ERR_FRAME' })
    await expect(model.flow(one, 'nowhere.png')).rejects.toMatchObject({ code: 'ERR_IO' })
  })`
/** Takes the memory of frames and results away while their calls wait, in every way that JavaScript has. */
const TAKEN = `import { FlowField, FlowModel } from 'dinov3-flow'
  const model = await FlowModel.load({ threads: 1, size: [48, 48], refine: 'off' })
  const side = 1024
  const ways = [
    (buffer) => structuredClone(buffer, { transfer: [buffer] }),
    (buffer) => buffer.transfer?.(0),
    (buffer) => buffer.transfer?.(),
    (buffer) => new MessageChannel().port1.postMessage(buffer, [buffer]),
  ]
  const settled = []
  for (let round = 0; round < 8; round++)
    for (const take of ways) {
      const busy = model.flow({ data: new Uint8Array(3), width: 1, height: 1 }, { data: new Uint8Array(3), width: 1, height: 1 })
      const frame = { data: new Uint8Array(3 * side * side), width: side, height: side }
      const into = new FlowField(side, side)
      const calls = [model.flow(frame, frame), model.flow({ ...frame, data: frame.data.slice() }, frame, { into })]
      const outcome = Promise.allSettled([busy, ...calls])
      for (const { buffer } of [frame.data, into.data]) take(buffer)
      for (let i = 0; i < 20; i++) new Uint8Array(3 * side * side).fill(round)
      settled.push(...(await outcome).slice(1).map(({ reason }) => reason?.code ?? 'flow'))
      const rab = new ArrayBuffer(3 * side * side, { maxByteLength: 3 * side * side })
      const shrunk = { ...frame, data: new Uint8Array(rab) }
      const call = model.flow(shrunk, shrunk)
      rab.resize(0)
      await call
    }
  await model.dispose()
  console.log([...new Set(settled)].sort().join())`
const MODULES = { NODE_OPTIONS: '--experimental-vm-modules' }

/** Two frames of noise, small because a GPU is emulated slowly. */
const GPU = `import { FlowModel } from 'dinov3-flow'
  const model = await FlowModel.load({ device: 'cuda' })
  const frame = (seed) => ({
    width: 96, height: 64, data: Uint8Array.from({ length: 3 * 96 * 64 }, (_, i) => (i * i * seed) % 251),
  })
  const { data } = await model.flow(frame(7), frame(11), { refine: 'off' })
  console.log(model.info.engine, model.info.gpu.kernels)
  console.log(data.length === 2 * 96 * 64 && data.every(Number.isFinite) ? 'works' : 'no flow')
  await model.dispose()`

/** x64 processors as qemu names them, and the instructions that the CPU engine takes there. */
const PROCESSORS = [
  { model: 'Nehalem', set: 'sse2' },
  { model: 'Haswell', set: 'avx2' },
]

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
    if (options.install !== false) await project.install(tarball())
    return await use(project)
  } finally {
    project.remove()
  }
}

/** The flow of a main job on this machine, which all others must find. */
let reference

async function sameFlow(flow) {
  reference ??= inProject({}, (project) => project.mainJob())
  const expected = await reference
  expect(flow.length === expected.length, `${flow.length} values of flow, not ${expected.length}`)
  const differences = flow.map((value, i) => Math.abs(value - expected[i]))
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length
  expect(mean <= SAME_FLOW, `flow differs by ${mean} px on average`)
}

/** Installs the package for arm64 and calls `use` with what comes before a script there. */
function onArm64(use) {
  return inProject({ install: false }, async (project) => {
    await project.install(tarball(), '--cpu=arm64', '--os=linux', '--libc=glibc')
    return use(project, ['/usr/bin/qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', nodeForArm])
  })
}

/** Runs a bundle of everything, which has left the addon and the model behind. */
async function refusedBundle(project, file) {
  const { status, stderr } = await project.run(project.node, [file])
  expect(status === 1 && /ERR_NATIVE/.test(stderr), `it is not refused: ${stderr}`)
  expect(/'dinov3-flow' and 'sharp' external[^]*Bundlers/.test(stderr), stderr)
  return 'says what to keep external'
}

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`

async function timed(work) {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}

const installs = NODE_LINES.map((line) => ({
  name: `npm 12, scripts blocked, no compiler, Node ${line}`,
  run: () => inProject({ line }, async (project) => sameFlow(await project.mainJob())),
}))

export const SITUATIONS = [
  {
    name: 'time of an install and of the main job',
    alone: true,
    run: async () => {
      const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
      const others = Object.entries(dependencies).map(([name, version]) => `${name}@${version}`)
      const theirs = await inProject({ install: false }, (project) => timed(() => project.install(...others)))
      return inProject({ install: false }, async (project) => {
        const all = await timed(() => project.install(tarball()))
        const job = await timed(() => project.mainJob())
        return `${seconds(all)} and ${seconds(job)}; ${seconds(theirs)} for its dependencies alone`
      })
    },
  },
  ...installs,
  ...NODE_LINES.map((line) => ({
    name: `memory taken away while calls wait, Node ${line}`,
    run: () =>
      inProject({ line }, async (project) => {
        project.write('main.mjs', TAKEN)
        const said = await project.must(project.node, ['--expose-gc', 'main.mjs'])
        // Node 20 has no transfer(), so that some of its calls have all their memory.
        expect(said === (line === 20 ? 'ERR_FRAME,flow\n' : 'ERR_FRAME\n'), said)
        return 'is an error'
      }),
  })),
  {
    name: 'sizes',
    run: () =>
      inProject({ install: false }, async (project) => {
        await project.install(tarball(), '--omit=optional')
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
        expect((await project.must(project.node, ['main.mjs'])) === WORKS, 'no flow')
      }),
  },
  {
    name: 'CommonJS',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.cjs', CJS)
        expect((await project.must(project.node, ['main.cjs'])) === WORKS, 'no flow')
      }),
  },
  {
    name: 'TypeScript, module nodenext, without h5wasm',
    run: () =>
      inProject({}, async (project) => {
        cpSync(path.join(root, 'test/types/consumer'), project.path('consumer'), { recursive: true })
        const types = path.join(root, 'node_modules/@types')
        const tsc = path.join(root, 'node_modules/typescript/bin/tsc')
        await project.must(project.node, [tsc, '-p', 'consumer', '--typeRoots', types])
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
        await project.must(project.node, ['bundle.mjs'])
        expect((await project.must(project.node, ['out.mjs'])) === WORKS, 'no flow')
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
        await project.must(project.node, ['bundle.cjs'])
        expect((await project.must(project.node, ['out.mjs'])) === WORKS, 'no flow')
      }),
  },
  ...['esm', 'cjs'].map((format) => ({
    name: `esbuild, everything in one file, ${format}`,
    run: () =>
      inProject({}, async (project) => {
        project.write(
          'main.mjs',
          format === 'esm' ? ESM : `import { FlowModel } from 'dinov3-flow'\n;(async () => {${USE}})()`,
        )
        const options = { entryPoints: ['main.mjs'], bundle: true, platform: 'node', format }
        const outfile = format === 'esm' ? 'out.mjs' : 'out.cjs'
        project.write(
          'bundle.mjs',
          `import { build } from ${JSON.stringify(path.join(module('esbuild'), 'lib/main.js'))}
          await build(${JSON.stringify({ ...options, outfile, external: ['sharp'] })})`,
        )
        await project.must(project.node, ['bundle.mjs'])
        return refusedBundle(project, outfile)
      }),
  })),
  {
    name: 'webpack, everything in one file',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', `import { FlowModel } from 'dinov3-flow'\n;(async () => {${USE}})()`)
        project.write(
          'bundle.cjs',
          `const webpack = require(${JSON.stringify(module('webpack'))})
          webpack({
            mode: 'production', target: 'node', entry: './main.mjs', externals: { sharp: 'commonjs sharp' },
            output: { path: __dirname, filename: 'out.cjs' },
          }, (error, stats) => {
            if (error ?? stats.hasErrors()) throw error ?? new Error(stats.toString())
          })`,
        )
        await project.must(project.node, ['bundle.cjs'])
        return refusedBundle(project, 'out.cjs')
      }),
  },
  {
    name: 'files traced by @vercel/nft, and nothing else',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        project.write(
          'trace.mjs',
          `import { nodeFileTrace } from ${JSON.stringify(path.join(module('@vercel/nft'), 'out/index.js'))}
          import { cpSync } from 'node:fs'
          const { fileList } = await nodeFileTrace(['main.mjs'])
          for (const file of fileList) cpSync(file, 'traced/' + file, { verbatimSymlinks: true })`,
        )
        await project.must(project.node, ['trace.mjs'])
        rmSync(project.path('node_modules'), { recursive: true })
        for (const picture of ['frame1_source.png', 'frame2_source.png'])
          cpSync(project.path(picture), project.path('traced', picture))
        const main = [
          '--input-type=module',
          '-e',
          "process.chdir('traced'); await import(process.cwd() + '/main.mjs')",
        ]
        expect((await project.must(project.node, main)) === WORKS, 'no flow')
        return `${megabytes(sizeOf(project.path('traced/node_modules/dinov3-flow')))} of this package`
      }),
  },
  ...['node', 'jsdom'].map((environment) => ({
    name: `Jest, ${environment}`,
    run: () =>
      inProject({ install: false }, async (project) => {
        await project.install(tarball(), 'h5wasm')
        project.write('flow.test.js', TESTS)
        const jest = path.join(module('jest'), 'bin/jest.js')
        const env = `--env=${module(`jest-environment-${environment}`)}`
        await project.must(project.node, [jest, `--rootDir=${project.folder}`, env], { env: MODULES })
      }),
  })),
  ...['threads', 'forks', 'vmThreads'].map((pool) => ({
    name: `Vitest, ${pool}`,
    run: () =>
      inProject({ install: false }, async (project) => {
        await project.install(tarball(), 'h5wasm')
        project.write('flow.test.js', TESTS)
        const vitest = path.join(module('vitest'), 'vitest.mjs')
        const flags = ['--globals', `--pool=${pool}`, `--root=${project.folder}`]
        await project.must(project.node, [vitest, 'run', ...flags])
      }),
  })),
  {
    name: 'pnpm, symlinked tree',
    run: () =>
      inProject({ install: false }, async (project) => {
        await project.must(project.node, [
          pnpm,
          'add',
          tarball(),
          '--store-dir',
          path.join(project.base, 'store'),
        ])
        await sameFlow(await project.mainJob())
      }),
  },
  {
    name: 'a path with spaces and letters that are not ASCII',
    run: () =>
      inProject({ name: 'Überfluss & 光流/my project' }, async (project) =>
        sameFlow(await project.mainJob()),
      ),
  },
  {
    name: 'an install folder that is read-only to the user',
    run: () =>
      inProject({}, async (project) => {
        // Root may write everywhere, so another user runs it. What it writes goes elsewhere.
        mkdirSync(project.path('out'))
        chmodSync(project.path('out'), 0o777)
        const pictures = ['frame1_source.png', 'frame2_source.png']
        const done = await project.must(
          project.node,
          [project.program, 'run', ...pictures, '-o', 'out/flow.flo'],
          {
            uid: 65534,
          },
        )
        expect(statSync(project.path('out/flow.flo')).size > 1000, `no flow: ${done}`)
      }),
  },
  {
    name: 'node --permission',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        const folder = `--allow-fs-read=${project.folder}/*`
        const refused = await project.run(project.node, ['--permission', folder, 'main.mjs'])
        expect(
          /--allow-addons/.test(refused.stderr),
          `the refusal does not say what to allow: ${refused.stderr}`,
        )
        const flags = ['--permission', '--allow-addons', '--allow-fs-read=*', '--allow-worker', 'main.mjs']
        expect((await project.must(project.node, flags)) === WORKS, 'no flow')
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
        expect((await project.must(project.node, ['main.mjs'])) === WORKS.repeat(2), 'no flow')
      }),
  },
  {
    name: 'Bun',
    run: () =>
      inProject({}, async (project) => {
        project.write('main.mjs', ESM)
        expect((await project.must(bun, ['main.mjs'])) === WORKS, 'no flow')
      }),
  },
  ...PROCESSORS.map(({ model, set }) => ({
    name: `x64 with ${set.toUpperCase()}, under qemu`,
    long: true,
    run: () =>
      inProject({}, async (project) => {
        const emulated = ['/usr/bin/qemu-x86_64-static', '-cpu', model, project.node]
        const [command, ...args] = emulated
        const found = await project.must(command, [...args, project.program, 'doctor', '--json'])
        expect(JSON.parse(found).engines.cpu.instructionSet === set, found)
        await sameFlow(await project.mainJob(emulated))
      }),
  })),
  {
    name: 'linux-arm64 under qemu',
    long: true,
    run: () => onArm64(async (project, emulated) => sameFlow(await project.mainJob(emulated))),
  },
  {
    name: 'linux-arm64 under qemu, GPU emulated',
    run: () =>
      onArm64(async (project, [command, ...args]) => {
        project.write('main.mjs', GPU)
        const driver = path.join(root, 'build/tests-arm64/test/emulator/libcuda_emu.so')
        expect(existsSync(driver), `${driver} is not there: npm run test:native -- --arm64`)
        const env = { DINOV3_FLOW_CUDA_DRIVER: driver }
        const text = await project.must(command, [...args, 'main.mjs'], { env })
        expect(/^cuda sm_\d+\nworks\n$/.test(text), text)
      }),
  },
  ...['darwin-arm64', 'win32-x64'].map((system) => ({
    name: `${system}, which has no binary`,
    run: () =>
      inProject({ install: false }, async (project) => {
        const [os, cpu] = system.split('-')
        await project.install(tarball(), `--os=${os}`, `--cpu=${cpu}`)
        // node-gyp-build takes the system from these, sharp from the machine.
        const env = { npm_config_platform: os, npm_config_arch: cpu }
        project.write(
          'main.mjs',
          `import { encodeFlow, FlowField, FlowModel, evaluate, flowToColor } from 'dinov3-flow'
          const flow = new FlowField(2, 1)
          console.log((await encodeFlow(flow, 'flo')).length, flowToColor(flow).width, evaluate(flow, flow).epe)
          await FlowModel.load().catch(({ code, message }) => console.log(code, message))`,
        )
        const text = await project.must(project.node, ['main.mjs'], { env })
        expect(/^28 2 0\nERR_NATIVE [^]*npx dinov3-flow build\n/.test(text), text)
        return 'installs; models say how to build'
      }),
  })),
  {
    name: 'a build without tools',
    run: () =>
      inProject({}, async (project) => {
        const { status, stderr } = await project.run(project.node, [project.program, 'build'])
        expect(
          status === 1 && /CMake[^]*compiler[^]*make or ninja[^]*npm install .*node-addon-api/.test(stderr),
          stderr,
        )
        return 'names all that is missing'
      }),
  },
  {
    name: 'a build from source',
    long: true,
    run: () =>
      inProject({ install: false }, async (project) => {
        await project.install(tarball(), 'node-api-headers', 'node-addon-api')
        const env = { PATH: `${path.dirname(project.node)}:${process.env.PATH}` }
        await project.must(project.node, [project.program, 'build', '--cuda', 'off'], { env })
        const found = JSON.parse(await project.must(project.node, [project.program, 'doctor', '--json']))
        expect(found.addon.endsWith('build/Release/dinov3_flow.node') && found.ok, JSON.stringify(found))
        await sameFlow(await project.mainJob())
      }),
  },
]
