/**
 * One text for one value, in whatever order its keys were written: what a person approved is compared by it. For values
 * that `jsonProblem` has found to be JSON of a bounded depth.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    // Without a prototype, so that a key of the name `__proto__` is one like others.
    const sorted: Record<string, unknown> = Object.create(null);
    for (const key of Object.keys(inner).sort()) sorted[key] = (inner as Record<string, unknown>)[key];
    return sorted;
  });
}
