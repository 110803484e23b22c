// Runs the tests of training/ with pytest, in the first Python that has the modules that they import.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { missing } from './totals.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

const MODULES = ['cv2', 'pytest', 'torch', 'tqdm']

/** @returns {string | undefined} */
function findPython() {
  const candidates = [process.env.PYTHON, 'python3', '/usr/bin/python3'].filter((name) => name !== undefined)
  return candidates.find((name) => spawnSync(name, ['-c', `import ${MODULES.join(', ')}`]).status === 0)
}

/** @returns {import('./totals.mjs').Total} */
export function runTrainingTests() {
  const python = findPython()
  if (python === undefined)
    return missing(
      'tests of training',
      `a Python with ${MODULES.join(', ')} (apt-get install python3-torch libopenblas0-pthread python3-opencv ` +
        'python3-tqdm python3-pytest, or name one in PYTHON)',
    )
  console.log('\n== tests of training')
  const report = path.join(root, 'build', 'pytest.xml')
  const pytest = ['-m', 'pytest', '-q', '-rs', '-p', 'no:cacheprovider', `--junitxml=${report}`, 'tests']
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
  const { status } = spawnSync(python, pytest, {
    cwd: path.join(root, 'training'),
    env,
    stdio: 'inherit',
  })
  const xml = readFileSync(report, 'utf8')
  const [, counts = ''] = /<testsuite ([^>]*)>/.exec(xml) ?? []
  const count = (/** @type {string} */ name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(counts)?.[1])
  const failures = [
    ...xml.matchAll(/<testcase classname="([^"]*)" name="([^"]*)"[^>]*><(?:failure|error)/g),
  ].map(([, file, name]) => `training: ${file} > ${name}`)
  if (status !== 0 && failures.length === 0) failures.push(`training: pytest ended with ${status}`)
  const skipped = count('skipped')
  const passed = count('tests') - count('failures') - count('errors') - skipped
  if (!Number.isInteger(passed)) throw new Error(`training: ${report} counts no tests`)
  return {
    passed,
    failures,
    skipped: skipped > 0 ? { 'pytest said why above': skipped } : {},
  }
}
