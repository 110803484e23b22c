import { spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { node, npm, registry, root } from './tools.mjs'

/** What a machine needs to reach its registry. */
const NETWORK =
  /^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|https?_proxy|no_proxy|npm_config_(cafile|proxy|https_proxy|noproxy))$/i

const PICTURES = ['frame1_source.png', 'frame2_source.png']

/**
 * A new folder of a user's project, with two pictures in it. What runs in it sees nothing else of this machine: an empty home,
 * and a PATH with Node alone, so no compiler and no Python.
 */
export class Project {
  /** @param {{ line?: number, name?: string }} [options] Node's line, and the name of the folder */
  constructor({ line = 24, name = 'project' } = {}) {
    this.base = mkdtempSync(path.join(tmpdir(), 'dinov3-flow-'))
    chmodSync(this.base, 0o755) // another user reads it, too
    this.folder = path.join(this.base, name)
    this.node = node(line)
    for (const folder of [this.folder, path.join(this.base, 'home'), path.join(this.base, 'bin')])
      mkdirSync(folder, { recursive: true })
    symlinkSync(this.node, path.join(this.base, 'bin', 'node'))
    this.write('package.json', JSON.stringify({ private: true, type: 'module' }))
    for (const picture of PICTURES) cpSync(path.join(root, 'test/fixtures/seed', picture), this.path(picture))
  }

  path(...parts) {
    return path.join(this.folder, ...parts)
  }

  /** The script of the installed package's command. */
  get program() {
    return this.path('node_modules/dinov3-flow/dist/cli/index.js')
  }

  write(name, text) {
    writeFileSync(this.path(name), text)
  }

  /** Runs a program; resolves to its status and output. */
  run(program, args, { env = {}, uid } = {}) {
    const child = spawn(program, args, {
      cwd: this.folder,
      uid,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: path.join(this.base, 'bin'),
        HOME: path.join(this.base, 'home'),
        npm_config_registry: registry,
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => NETWORK.test(name))),
        ...env,
      },
    })
    const texts = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'])
      child[name].setEncoding('utf8').on('data', (text) => (texts[name] += text))
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (status, signal) => resolve({ status, signal, ...texts }))
    })
  }

  /** As {@link run}, and fails if the program does. Resolves to its output. */
  async must(program, args, options) {
    const { status, signal, stdout, stderr } = await this.run(program, args, options)
    if (status !== 0) throw new Error(`${args.join(' ')}: ${signal ?? status}\n${stdout}${stderr}`)
    return stdout
  }

  /** Installs packages as a user of npm 12 does. */
  async install(...packages) {
    const args = [npm, 'install', ...packages, '--no-fund', '--no-audit', '--fetch-retries=1']
    const { status, stdout, stderr } = await this.run(this.node, args)
    if (status !== 0 || /scripts? blocked/.test(stdout + stderr))
      throw new Error(`npm install: ${status}\n${stdout}${stderr}`)
  }

  /** Number of installed packages besides ours. */
  packages() {
    const lock = JSON.parse(readFileSync(this.path('node_modules/.package-lock.json'), 'utf8'))
    return Object.keys(lock.packages).filter((name) => name !== 'node_modules/dinov3-flow').length
  }

  /** The program's main job on the two pictures. Resolves to the flow; `begin` is what comes before the script. */
  async mainJob(begin = [this.node], options) {
    const [command, ...args] = begin
    await this.must(
      command,
      [...args, this.program, 'run', ...PICTURES, '-o', 'flow.flo', '--viz', 'flow.png'],
      options,
    )
    if (statSync(this.path('flow.png')).size < 1000) throw new Error('flow.png is no picture')
    return readFlo(this.path('flow.flo'))
  }

  remove() {
    rmSync(this.base, { recursive: true, force: true })
  }
}

function readFlo(file) {
  const bytes = readFileSync(file)
  if (bytes.toString('latin1', 0, 4) !== 'PIEH') throw new Error(`${file} is no flow`)
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + 12, bytes.byteOffset + bytes.length))
}

/** Bytes of a folder's files. */
export function sizeOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(path.join(entry.parentPath, entry.name)).size, 0)
}
