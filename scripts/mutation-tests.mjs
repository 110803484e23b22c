// Proves that the tests of kernels on the emulated GPU notice mistakes: plants each of test/mutation/mutations.mjs in a copy of
// kernels/, builds the emulated driver with it, and expects ops_test to fail. The same driver without a mistake must pass.
//   node scripts/mutation-tests.mjs [TEXT]   only the mutations whose mistake contains TEXT
// Needs the builds that native-tests.mjs makes: host, sanitize, race.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { MUTATIONS } from '../test/mutation/mutations.mjs'
import { buildFolder, SCHEDULES } from './native-tests.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const scratch = path.join(root, 'build', 'mutants')

/** The emulated driver of one build with `kernels` compiled from a folder of its own; returns its path. */
function buildDriver(build, kernels, sources) {
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
      .replaceAll(path.join(root, 'kernels', kernel), path.join(sources, kernel))
    execFileSync('sh', ['-c', mutated], { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] })
    const linked = link
      .split(' ')
      .find((word) => path.resolve(emulator, word) === path.resolve(directory, object))
    link = link.replace(linked, output)
  }
  const driver = path.join(scratch, 'libcuda_emu.so')
  link = link.replace(/ -o \S+/, ` -o ${driver}`)
  execFileSync('sh', ['-c', link], { cwd: emulator, stdio: ['ignore', 'ignore', 'inherit'] })
  return driver
}

/** Whether the CUDA engine's part of ops_test passes, under a schedule; on another driver than the one that was built for it. */
function passes(build, { driver, test, schedule = SCHEDULES[0] } = {}) {
  const program = path.join(buildFolder(build), 'ops_test')
  const { status } = spawnSync(program, ['[cuda', ...(test === undefined ? [] : [test])], {
    env: {
      ...process.env,
      EMULATOR_SCHEDULE: schedule,
      ...(driver !== undefined && { DINOV3_FLOW_CUDA_DRIVER: driver }),
    },
    stdio: 'ignore',
    timeout: 120_000,
  })
  return status === 0
}

/** Whether one of the builds notices, and which. */
function notice({ file, find, replace, kernels, test, builds }) {
  const sources = path.join(scratch, 'kernels')
  rmSync(sources, { recursive: true, force: true })
  cpSync(path.join(root, 'kernels'), sources, { recursive: true })
  const source = readFileSync(path.join(sources, file), 'utf8')
  if (!source.includes(find)) throw new Error(`kernels/${file} has no more ${JSON.stringify(find)}`)
  writeFileSync(path.join(sources, file), source.replace(find, replace))
  for (const build of builds) {
    const driver = buildDriver(build, kernels, sources)
    const schedules = build === 'host' ? SCHEDULES : SCHEDULES.slice(0, 1)
    const schedule = schedules.find((order) => !passes(build, { driver, test, schedule: order }))
    if (schedule !== undefined) return `${build}, ${schedule}`
  }
  return undefined
}

/** Runs the mutations; returns how many were noticed and how many were not. */
export function runMutationTests(filter = '') {
  mkdirSync(scratch, { recursive: true })
  const total = { passed: 0, failed: 0 }
  const mutations = MUTATIONS.filter(({ mistake }) => mistake.includes(filter))
  for (const build of new Set(mutations.flatMap(({ builds }) => builds))) {
    if (!existsSync(path.join(buildFolder(build), 'ops_test')))
      throw new Error(`build/tests-${build} is not there: run node scripts/native-tests.mjs --${build} first`)
    if (!passes(build)) throw new Error(`ops_test fails without any mistake (${build})`)
  }
  for (const mutation of mutations) {
    const noticed = notice(mutation)
    console.log(
      noticed === undefined
        ? `NOT NOTICED: ${mutation.mistake}`
        : `noticed (${noticed}): ${mutation.mistake}`,
    )
    total[noticed === undefined ? 'failed' : 'passed']++
  }
  console.log(`mutations: ${total.passed} passed, ${total.failed} failed`)
  return total
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = runMutationTests(process.argv[2]).failed === 0 ? 0 : 1
