// Builds and runs the C++ tests.  node scripts/native-tests.mjs [--schedules | --arm64 | --sanitize | --race | --count]
//   --schedules the kernels under the other schedules of the emulated GPU and of its streams, and on one of compute capability 7.5
//   --arm64     cross-compiled and run under qemu. The emulated GPU runs only whole networks: its kernels are the same on any
//               host. Needs g++-aarch64-linux-gnu and qemu-user-static
//   --sanitize  with AddressSanitizer and UndefinedBehaviorSanitizer, also for the emulated GPU's kernels
//   --race      the emulated GPU's kernels under its race detector
//   --count     what the emulated GPU counts of kernels, against kernels whose counts are known
import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { each } from './pool.mjs'
import { addTotals, end, missing } from './totals.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

const PROGRAMS = [
  'thread_pool_test',
  'ops_test',
  'model_test',
  'label_test',
  'refine_test',
  'tiles_test',
  'cuda_runtime_test',
  'order_test',
  'images_test',
  'emulator_test',
  'tensorrt_test',
  'dlpack_test',
  'parity_test',
  'range_test',
]

/** Orders in which the emulated GPU runs its threads, the usual one first. */
export const SCHEDULES = ['forward', 'reverse', '7']

/** Filter of ops_test. Addresses and barriers of bfloat16 kernels are those of float16. */
const NOT_TWICE = ['~[cuda bf16']

/** Not run where they take minutes: orders of streams neither depend on the host nor concern the threads of a kernel. */
const OF_ORDERS = ['order_test']

/** Each variant has a build of its own, unless `build` names that of another one. */
const VARIANTS = {
  host: {
    options: [],
    run: (program) => [program],
  },
  schedules: {
    build: 'host',
    options: [],
    run: (program) => [program],
  },
  sanitize: {
    options: ['-DFLOW_SANITIZE=ON', '-DFLOW_EMULATOR_MODE=asan', '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
    run: (program) => [program],
    ops: NOT_TWICE,
  },
  race: {
    options: ['-DFLOW_EMULATOR_MODE=race'],
    run: (program) => [program],
    without: OF_ORDERS,
    ops: NOT_TWICE,
  },
  count: {
    options: ['-DFLOW_EMULATOR_MODE=count'],
    run: (program) => [program],
    programs: ['count_test'],
  },
  arm64: {
    options: [`-DCMAKE_TOOLCHAIN_FILE=${path.join(root, 'tools/cmake/aarch64.cmake')}`],
    run: (program) => ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu', program],
    without: OF_ORDERS,
    tools: ['aarch64-linux-gnu-g++', 'qemu-aarch64-static'],
    ops: ['~[cuda'], // filter of the tests of ops_test
  },
}

/** Runs a program; resolves to its exit code, or the signal that ended it, and its output. `onLine` is told each line as it comes. */
function call(command, args, { env = {}, onLine = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'inherit']
    const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
    createInterface({ input: child.stdout }).on('line', onLine)
    child.on('error', (error) => reject(new Error(`${command} could not be started: ${error.message}`)))
    child.on('close', (status, signal) => resolve({ status, signal, stdout }))
  })
}

/** The folder that a variant is built in. */
export function buildFolder(variant) {
  return path.join(root, 'build', `tests-${VARIANTS[variant].build ?? variant}`)
}

/**
 * Builds one variant and runs its programs.
 * @returns {Promise<import('./totals.mjs').Total>}
 */
export async function runNativeTests(variant) {
  if (!(variant in VARIANTS))
    throw new Error(
      `unknown option --${variant}; there are --schedules, --arm64, --sanitize, --race and --count`,
    )
  const { options, run, ops = [], tools = [], programs, without = [] } = VARIANTS[variant]
  const absent = tools.filter((tool) => spawnSync(tool, ['--version']).error !== undefined)
  if (absent.length > 0) return missing(`C++ tests (${variant})`, absent.join(' and '))

  console.log(`\n== C++ tests, ${variant}: build`)
  const build = buildFolder(variant)
  const buildBegin = performance.now()
  // The emulated driver contains its own kernels. Only a real driver needs those that nvcc compiles.
  const cuda = `-DFLOW_CUDA=${process.env.DINOV3_FLOW_CUDA_DRIVER ? 'AUTO' : 'OFF'}`
  const steps = [
    ['-S', root, '-B', build, '-DFLOW_TESTS=ON', '-DFLOW_ADDON=OFF', '-DFLOW_WERROR=ON', cuda, ...options],
    [
      '--build',
      build,
      '--parallel',
      String(availableParallelism()),
      ...(programs === undefined ? [] : ['--target', ...programs]),
    ],
  ]
  for (const step of steps) {
    // One line for each library and program that is ready: a build takes minutes.
    const onLine = (line) => line.includes('Linking') && console.log(line)
    const { status, stdout } = await call('cmake', step, { onLine })
    if (status !== 0) {
      console.error(stdout)
      throw new Error(`cmake failed for the C++ tests (${variant})`)
    }
  }
  console.log(`== C++ tests, ${variant}: run, after a build of ${secondsSince(buildBegin)} s`)
  const begin = performance.now()
  const totals = []
  const test = async (program, title, filter = [], env = {}) => {
    const [command, ...args] = run(path.join(build, program))
    const { status, signal, stdout } = await call(command, [...args, ...filter], { env })
    process.stdout.write(`${program} (${title}): ${stdout}`)
    const [, passed] = /(\d+) passed, \d+ failed\s*$/.exec(stdout) ?? []
    const failures = [...stdout.matchAll(/^FAILED (.*)$/gm)].map(([, name]) => name)
    if (passed === undefined) failures.push(`it ended with ${status ?? signal} before its count`)
    else if (status !== 0 && failures.length === 0) failures.push(`it ended with ${status}`)
    const skipped = [...stdout.matchAll(/^(\d+) skipped: (.*)$/gm)]
    totals.push({
      passed: Number(passed ?? 0),
      failures: failures.map((name) => `${program} (${title}): ${name}`),
      skipped: Object.fromEntries(skipped.map(([, count, reason]) => [reason, Number(count)])),
    })
  }
  // ops_test is most of the work, and much of it runs on one core, so several processes run a part of it each.
  const processes = Math.min(4, availableParallelism())
  const shared = (title, filter, env = {}) =>
    Array.from({ length: processes }, (_, i) => {
      const part = `${title}, part ${i + 1} of ${processes}`
      return () => test('ops_test', part, filter, { ...env, CHECK_SHARD: `${i}/${processes}` })
    })
  const tasks = []
  if (variant === 'schedules') {
    for (const [schedule, streams] of [
      ['reverse', 'late'],
      ['7', '7'],
    ]) {
      const env = { EMULATOR_SCHEDULE: schedule, EMULATOR_STREAMS: streams }
      const title = `schedule ${schedule}, streams ${streams}`
      tasks.push(...shared(title, ['[cuda'], env), () => test('cuda_runtime_test', title, [], env))
    }
    // Compute capability 7.5 takes other code paths: no cp.async, and products of half the depth. It has no bfloat16, and too
    // little shared memory for the attention of large heads in float32.
    tasks.push(
      ...shared('capability 7.5', ['[cuda', '~[cuda bf16', '~[cuda f32'], { EMULATOR_CAPABILITY: '7.5' }),
    )
  } else
    for (const program of (programs ?? PROGRAMS).filter((each) => !without.includes(each)))
      tasks.push(...(program === 'ops_test' ? shared(variant, ops) : [() => test(program, variant)]))
  await each(tasks, processes, (task) => task())
  const total = addTotals(totals)
  const { passed, failures } = total
  console.log(
    `C++ tests, ${variant}: ${passed} passed, ${failures.length} failed, in ${secondsSince(begin)} s`,
  )
  return total
}

function secondsSince(begin) {
  return Math.round((performance.now() - begin) / 1000)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const variant = process.argv[2]?.replace(/^--/, '') ?? 'host'
  end(await runNativeTests(variant))
}
