/** BUDGET.md of counts.json. */
export function renderBudget(counts: object): string
