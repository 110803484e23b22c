// Runs the tests of training/ with pytest, in the first Python that has the modules that they import.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** @returns {string} */
function findPython() {
  const candidates = [process.env.PYTHON, 'python3', '/usr/bin/python3'].filter((name) => name !== undefined)
  const found = candidates.find(
    (name) => spawnSync(name, ['-c', 'import cv2, pytest, torch, tqdm']).status === 0,
  )
  if (found !== undefined) return found
  throw new Error(
    'training: no Python with cv2, pytest, torch and tqdm; apt-get install python3-torch libopenblas0-pthread ' +
      'python3-opencv python3-tqdm python3-pytest, or name one in PYTHON',
  )
}

/** @returns {{ passed: number, failed: number }} */
export function runTrainingTests() {
  const report = path.join(root, 'build', 'pytest.xml')
  const pytest = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--junitxml=${report}`, 'tests']
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
  const { status } = spawnSync(findPython(), pytest, {
    cwd: path.join(root, 'training'),
    env,
    stdio: 'inherit',
  })
  const [, counts = ''] = /<testsuite ([^>]*)>/.exec(readFileSync(report, 'utf8')) ?? []
  const count = (/** @type {string} */ name) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(counts)?.[1])
  const failed = count('failures') + count('errors')
  const passed = count('tests') - failed - count('skipped')
  if (!Number.isInteger(passed)) throw new Error(`training: ${report} counts no tests`)
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed }
}
