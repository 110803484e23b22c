// Proves that the tests of kernels on the emulated GPU notice mistakes. Plants each mistake of test/mutation/mutations.mjs
// in a copy of kernels/, builds the emulated driver from the copy, and expects ops_test to fail. Without a mistake ops_test
// passes.
//   node scripts/mutation-tests.mjs [TEXT]   only the mutations whose mistake contains TEXT
// Needs the builds that native-tests.mjs makes: host, sanitize, race.
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { MUTATIONS } from '../test/mutation/mutations.mjs'
import { buildFolder, SCHEDULES } from './native-tests.mjs'
import { each } from './pool.mjs'
import { end } from './totals.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const mutants = path.join(root, 'build', 'mutants')
const run = promisify(execFile)

/** Builds the emulated driver of one build, with `kernels` compiled from `scratch`/kernels. Returns its path. */
async function buildDriver(build, kernels, scratch) {
  const folder = buildFolder(build)
  const commands = JSON.parse(readFileSync(path.join(folder, 'compile_commands.json'), 'utf8'))
  const emulator = path.join(folder, 'test', 'emulator')
  let link = readFileSync(path.join(emulator, 'CMakeFiles', 'cuda_emu.dir', 'link.txt'), 'utf8').trim()
  for (const kernel of kernels) {
    const { command, directory } = commands.find(
      ({ file, command }) => file.endsWith(`/kernels/${kernel}`) && command.includes('cuda_emu.dir'),
    )
    const [, object] = / -o (\S+) /.exec(command)
    const output = path.join(scratch, `${kernel}.o`)
    const mutated = command
      .replace(` -o ${object} `, ` -o ${output} `)
      .replaceAll(path.join(root, 'kernels', kernel), path.join(scratch, 'kernels', kernel))
    await run('sh', ['-c', mutated], { cwd: directory })
    const linked = link
      .split(' ')
      .find((word) => path.resolve(emulator, word) === path.resolve(directory, object))
    link = link.replace(linked, output)
  }
  const driver = path.join(scratch, 'libcuda_emu.so')
  link = link.replace(/ -o \S+/, ` -o ${driver}`)
  await run('sh', ['-c', link], { cwd: emulator })
  return driver
}

/** Whether the CUDA engine's part of ops_test passes under a schedule. `driver` replaces the driver of the build. */
async function passes(build, { driver, test, schedule = SCHEDULES[0] } = {}) {
  const program = path.join(buildFolder(build), 'ops_test')
  const env = {
    ...process.env,
    EMULATOR_SCHEDULE: schedule,
    ...(driver !== undefined && { DINOV3_FLOW_CUDA_DRIVER: driver }),
  }
  const filter = test === undefined ? [] : [test]
  return run(program, ['[cuda', ...filter], {
    env,
    timeout: test === undefined ? 600_000 : 120_000,
    maxBuffer: 1 << 28,
  }).then(
    () => true,
    () => false,
  )
}

/** The first build and schedule that notice a mutation; undefined if none does. */
async function notice({ file, find, replace, kernels, test, builds }) {
  const scratch = mkdtempSync(path.join(mutants, 'mutant-'))
  const sources = path.join(scratch, 'kernels')
  cpSync(path.join(root, 'kernels'), sources, { recursive: true })
  const source = readFileSync(path.join(sources, file), 'utf8')
  if (!source.includes(find)) throw new Error(`kernels/${file} has no more ${JSON.stringify(find)}`)
  writeFileSync(path.join(sources, file), source.replace(find, replace))
  for (const build of builds) {
    const driver = await buildDriver(build, kernels, scratch)
    for (const schedule of build === 'host' ? SCHEDULES : SCHEDULES.slice(0, 1))
      if (!(await passes(build, { driver, test, schedule }))) return `${build}, ${schedule}`
  }
  return undefined
}

const buildsOf = (mutations) => new Set(mutations.flatMap(({ builds }) => builds))

/** Runs the mutations, as many at a time as there are cores; returns how many were noticed, and those that were not. */
export async function runMutationTests(mutations = MUTATIONS) {
  const begin = performance.now()
  console.log('\n== mutations of kernels')
  rmSync(mutants, { recursive: true, force: true })
  mkdirSync(mutants, { recursive: true })
  let passed = 0
  const failures = []
  for (const build of buildsOf(mutations))
    if (!existsSync(path.join(buildFolder(build), 'ops_test')))
      throw new Error(`build/tests-${build} is not there: run node scripts/native-tests.mjs --${build} first`)
  // Control: a driver that is built the same way without a mistake must pass. Else every mutation would seem to be noticed.
  for (const build of buildsOf(mutations)) {
    const control = mutations.find(({ builds }) => builds.includes(build))
    if ((await notice({ ...control, replace: control.find, builds: [build] })) !== undefined)
      throw new Error(`ops_test fails without any mistake (${build})`)
  }
  await each(mutations, availableParallelism(), async (mutation) => {
    const noticed = await notice(mutation)
    console.log(
      noticed === undefined
        ? `NOT NOTICED: ${mutation.mistake}`
        : `noticed (${noticed}): ${mutation.mistake}`,
    )
    if (noticed === undefined) failures.push(`mutation that no test noticed: ${mutation.mistake}`)
    else passed++
  })
  const seconds = Math.round((performance.now() - begin) / 1000)
  console.log(`mutations: ${passed} passed, ${failures.length} failed, in ${seconds} s`)
  return { passed, failures }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [, , text = ''] = process.argv
  const mutations = MUTATIONS.filter(({ mistake }) => mistake.includes(text))
  const total = await runMutationTests(mutations)
  // A test that fails without any mistake would notice every mutation, so ops_test must pass with the builds' own drivers.
  // test.mjs needs no such check: it has run ops_test before.
  for (const build of buildsOf(mutations))
    if (!(await passes(build))) throw new Error(`ops_test fails without any mistake (${build})`)
  end(total)
}
