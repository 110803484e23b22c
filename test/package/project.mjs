import { spawnSync } from 'node:child_process'
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
import { node, npm, registry, root, tarball } from './tools.mjs'

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

  write(name, text) {
    writeFileSync(this.path(name), text)
  }

  /** Runs a program; returns its status and output. */
  run(program, args, { env = {}, uid } = {}) {
    const done = spawnSync(program, args, {
      cwd: this.folder,
      encoding: 'utf8',
      uid,
      env: {
        PATH: path.join(this.base, 'bin'),
        HOME: path.join(this.base, 'home'),
        npm_config_registry: registry,
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => NETWORK.test(name))),
        ...env,
      },
    })
    if (done.error) throw done.error
    return done
  }

  /** As {@link run}, and throws if the program fails. Returns its output. */
  must(program, args, options) {
    const { status, signal, stdout, stderr } = this.run(program, args, options)
    if (status !== 0) throw new Error(`${args.join(' ')}: ${signal ?? status}\n${stdout}${stderr}`)
    return stdout
  }

  /** Installs the package as a user of npm 12 does; returns the seconds that it took. */
  install(...options) {
    const begin = performance.now()
    const args = [npm, 'install', tarball(), '--no-fund', '--no-audit', '--fetch-retries=1', ...options]
    const { status, stdout, stderr } = this.run(this.node, args)
    if (status !== 0 || /scripts? blocked/.test(stdout + stderr))
      throw new Error(`npm install: ${status}\n${stdout}${stderr}`)
    return (performance.now() - begin) / 1000
  }

  /** Number of installed packages besides ours. */
  packages() {
    const lock = JSON.parse(readFileSync(this.path('node_modules/.package-lock.json'), 'utf8'))
    return Object.keys(lock.packages).filter((name) => name !== 'node_modules/dinov3-flow').length
  }

  /** The program's main job on the two pictures. Returns the flow; `begin` is what comes before the script. */
  mainJob(begin = [this.node], options) {
    const program = this.path('node_modules/dinov3-flow/dist/cli/index.js')
    const [command, ...args] = begin
    this.must(command, [...args, program, 'run', ...PICTURES, '-o', 'flow.flo', '--viz', 'flow.png'], options)
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
