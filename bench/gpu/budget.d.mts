/** BUDGET.md of counts.json and of the counts that it is compared with. */
export function renderBudget(counts: object, countsBefore: object): string
/** predictions.json of counts.json. */
export function predictions(counts: object): object
