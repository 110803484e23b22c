// Runs clang-tidy over native/, on as many files at once as there are cores. The files of cpu/isa are left to the compiler's
// warnings: they use GCC's vector extensions, about which clang-tidy complains a lot and finds little.
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { each } from './pool.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const build = path.join(root, 'build', 'tidy')
const configured = spawnSync('cmake', ['-S', root, '-B', build], { stdio: ['ignore', 'ignore', 'inherit'] })
if (configured.status !== 0) process.exit(1)

const files = readdirSync(path.join(root, 'native'), { recursive: true })
  .filter(
    (file) =>
      file.endsWith('.cpp') && !(file.startsWith(path.join('cpu', 'isa')) && !file.endsWith('select.cpp')),
  )
  .map((file) => path.join(root, 'native', file))

function check(file) {
  return new Promise((resolve) => {
    const child = spawn('clang-tidy', ['--quiet', '-p', build, file], { stdio: ['ignore', 'pipe', 'ignore'] })
    let output = ''
    child.stdout.on('data', (text) => (output += text))
    child.on('error', () => {
      console.error('clang-tidy is not installed: apt-get install clang-tidy')
      process.exit(1)
    })
    child.on('close', (status) => {
      if (status !== 0) console.error(output || `clang-tidy failed on ${file}`)
      resolve(status === 0)
    })
  })
}

let clean = true
await each(files, availableParallelism(), async (file) => {
  if (!(await check(file))) clean = false
})
process.exitCode = clean ? 0 : 1
