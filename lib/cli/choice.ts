import type { CheckpointCandidate, CheckpointChoice } from '../checkpoint/candidates.js'
import { quoted } from '../support/quote.js'

/** Number of other models that are listed. */
const FEW = 4

/**
 * Describes which model of a file was taken.
 *
 * @param option - the option that takes another one
 */
export function describeChoice(choice: CheckpointChoice, option: string): string {
  const { others } = choice
  const taken = `names begin with ${describe(choice)}`
  if (others.length === 0) return taken
  const listed = others.slice(0, FEW).map((other) => {
    const fewer = choice.weights - other.weights
    return describe(other) + (fewer === 0 ? '' : `, ${fewer} tensors less`)
  })
  if (others.length > FEW) listed.push(`${others.length - FEW} more`)
  return `${taken}; also in the file: ${listed.join('; ')} (${option} takes another)`
}

const ROLES: Readonly<Record<CheckpointCandidate['role'], string>> = {
  average: ' (average of the weights)',
  teacher: ' (teacher)',
  student: ' (student)',
  model: '',
  other: ' (not for use)',
}

function describe({ prefix, role, buffers }: CheckpointCandidate): string {
  const from = buffers === undefined ? '' : `, buffers of ${quoted(buffers)}`
  return (prefix === '' ? 'nothing' : quoted(prefix)) + ROLES[role] + from
}
