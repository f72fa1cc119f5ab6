/**
 * Whether a value is JSON of a bounded size. Checked before anybody walks it by recursion: its depth and its size are
 * the choice of whoever sent it.
 */
export interface JsonLimits {
  /** Characters of texts and keys together. */
  readonly chars: number;
  readonly values: number;
  readonly depth: number;
}

/** What is wrong with it, as the end of a sentence; undefined when nothing is. */
export function jsonProblem(root: unknown, limits: JsonLimits): string | undefined {
  let values = 0;
  let chars = 0;
  const left: { readonly value: unknown; readonly depth: number }[] = [{ value: root, depth: 0 }];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { value, depth } = next;
    values += 1;
    if (depth > limits.depth) return `it is more than ${limits.depth} levels deep`;
    if (typeof value === 'string') chars += value.length;
    else if (Array.isArray(value)) {
      if (values + left.length + value.length > limits.values) return tooMany(limits);
      for (const item of value) left.push({ value: item, depth: depth + 1 });
    } else if (isPlainObject(value)) {
      for (const [key, item] of Object.entries(value)) {
        chars += key.length;
        left.push({ value: item, depth: depth + 1 });
      }
    } else if (!isScalar(value)) return 'it has a value that is not JSON, or a number too large for it';
    if (values + left.length > limits.values) return tooMany(limits);
    if (chars > limits.chars) return `it has more than ${limits.chars} characters`;
  }
  return undefined;
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function tooMany({ values }: JsonLimits): string {
  return `it has more than ${values} values`;
}

/** `undefined` is a field that is absent. */
function isScalar(value: unknown): boolean {
  return value === null || value === undefined || typeof value === 'boolean' || Number.isFinite(value);
}
