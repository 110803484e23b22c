// Formats the C++ sources, or with --check fails if one is not formatted.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const files = ['examples', 'include', 'native', 'kernels', 'test/dlpack', 'test/native'].flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true })
    .filter((file) => /\.(c|cpp|h|inl|cu|cuh)$/.test(file))
    .map((file) => path.join(root, folder, file)),
)
const mode = process.argv.includes('--check') ? ['--dry-run', '--Werror'] : ['-i']
const { status, error } = spawnSync('clang-format', [...mode, ...files], { stdio: 'inherit' })
if (error) console.error('clang-format is not installed: apt-get install clang-format')
process.exitCode = status ?? 1
