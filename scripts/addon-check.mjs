// What must be true of an addon that others load.  node scripts/addon-check.mjs FILE [GLIBC_VERSION]
import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'

/** What Node looks for; nothing else may be exported, and so mix with the libraries of the process. */
const EXPORTS = ['napi_register_module_v1', 'node_api_module_get_api_version_v1']
const GLIBC_LIBRARIES = /^(lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux-[\w-]+\.so\.\d)$/
const MUSL_LIBRARIES = /^libc(\.musl-\w+)?\.so(\.1)?$/

/**
 * Throws unless the addon runs where it should: on musl, or on a glibc of a version.
 * @param {string} file
 * @param {string} [glibc] the oldest version that the addon is for; undefined for musl
 */
export function checkAddon(file, glibc) {
  const { status, stdout, stderr } = spawnSync('readelf', ['-W', '-d', '--dyn-syms', '-V', file], {
    encoding: 'utf8',
    maxBuffer: 1e8,
  })
  if (status !== 0) throw new Error(`readelf ${file}: ${stderr}`)
  const faults = faultsOf(stdout, glibc)
  if (faults.length > 0) throw new Error(`${file}:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
}

/**
 * Throws if an object that is compiled for wide registers defines a symbol that other objects may define, too: the linker could
 * choose it for code that runs on every processor.
 * @param {string} file
 */
export function checkWideObject(file) {
  const { status, stdout, stderr } = spawnSync('readelf', ['-W', '-s', file], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`readelf ${file}: ${stderr}`)
  const shared = [...stdout.matchAll(/ (?:WEAK|UNIQUE) +\w+ +\d+ (\S+)/g)].map(([, name]) => name)
  if (shared.length > 0) throw new Error(`${file} shares ${shared.join(', ')} with the rest of the addon`)
}

/**
 * @param {string} text of readelf
 * @param {string} [glibc]
 * @returns {string[]}
 */
export function faultsOf(text, glibc) {
  const faults = []
  const libraries = [...text.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, library]) => library)
  const allowed = glibc === undefined ? MUSL_LIBRARIES : GLIBC_LIBRARIES
  if (!libraries.some((library) => library.startsWith('libc.'))) faults.push('links no C library')
  for (const library of libraries) if (!allowed.test(library)) faults.push(`links ${library}`)

  // The C++ library is inside, so the C library's are the only versions.
  const versions = new Set([...text.matchAll(/Name: (\w+_[\d.]+)/g)].map(([, version]) => version))
  for (const version of versions) {
    const [library, number] = version.split('_')
    if (library !== 'GLIBC' || glibc === undefined || isNewer(number, glibc)) faults.push(`needs ${version}`)
  }

  const symbols = [...text.matchAll(/^ *\d+: [0-9a-f]+ +\d+ \w+ +(?:GLOBAL|WEAK) +\w+ +(\w+) (\S+)/gm)]
  const exported = symbols.filter(([, section]) => section !== 'UND').map(([, , name]) => name.split('@')[0])
  if (exported.sort().join() !== EXPORTS.join())
    faults.push(`exports ${exported.length} symbols: ${exported.slice(0, 5).join(', ')} ...`)
  for (const [, section, name] of symbols)
    if (section === 'UND' && /^(cu|cuda|nv)[A-Z]/.test(name)) faults.push(`needs ${name} of CUDA`)
  return faults
}

/** Whether a version is newer than another: 2.4 is older than 2.28. */
function isNewer(version, other) {
  const [a, b] = [version, other].map((text) => text.split('.').map(Number))
  for (let i = 0; i < Math.max(a.length, b.length); i++)
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) > (b[i] ?? 0)
  return false
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) checkAddon(process.argv[2], process.argv[3])
