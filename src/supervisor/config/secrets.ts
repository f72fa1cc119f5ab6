/**
 * Finds the secret values of a configuration, so that the log can remove them wherever they appear. Rather one too many
 * than one too few, except words so common that removing them would spoil every log line.
 */
const SECRET_KEY =
  /token|secret|password|passwd|passphrase|credential|authorization|(^|[^a-z])keys?$|apikey/i;
/** `max_tokens: 4096` is a number of tokens, not a token. */
const COUNT_KEY = /tokens$/i;
const COMMON =
  /^(true|false|null|none|info|warn|debug|error|trace|production|development|test|auto|default|localhost|\d{1,5})$/i;
const CHARS_MIN = 4;

export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key) || /[a-z]Key$/.test(key);
}

/** Values of at least four characters, longest first, so that a secret inside another is removed with it. */
export function collectSecrets(data: unknown, extra: readonly (string | undefined)[]): readonly string[] {
  const found = new Set<string>();
  for (const value of extra) add(found, value);
  walk(data, [], false, found);
  return [...found].sort((a, b) => b.length - a.length);
}

function walk(value: unknown, path: readonly string[], isSecret: boolean, found: Set<string>): void {
  if (typeof value === 'string') {
    if (isSecret) add(found, value);
    addParts(found, value);
  } else if (typeof value === 'number') {
    if (isSecret && !COUNT_KEY.test(path.at(-1) ?? '')) add(found, String(value));
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => {
      const previous: unknown = index > 0 ? value[index - 1] : undefined;
      walk(item, path, isSecret || isSecretFlag(previous), found);
    });
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, child] of Object.entries(value)) {
      const isOfServer = path[0] === 'mcp' && (path.at(-1) === 'env' || path.at(-1) === 'headers');
      if (isOfServer && COMMON.test(String(child))) continue;
      walk(child, [...path, key], isSecret || isOfServer || isSecretKey(key), found);
    }
  }
}

/** `--api-key` before its value in a list of arguments. */
function isSecretFlag(value: unknown): boolean {
  return typeof value === 'string' && /^--?[a-z0-9_-]+$/i.test(value) && isSecretKey(value);
}

/** Secrets inside a longer text: after `Bearer`, before the `@` of a URL, in its query, in `--token=…`. */
function addParts(found: Set<string>, value: string): void {
  const scheme = /^(?:Bearer|Basic|Token)\s+(\S+)$/i.exec(value);
  add(found, scheme?.[1]);
  for (const [, userinfo = ''] of value.matchAll(/:\/\/([^/?#\s@]+)@/g)) {
    const password = userinfo.slice(userinfo.indexOf(':') + 1);
    add(found, userinfo);
    add(found, password);
    add(found, decoded(password));
  }
  for (const [, name = '', secret] of value.matchAll(/(?<![a-z0-9_-])([a-z0-9_-]+)=([^&\s#]+)/gi)) {
    if (isSecretKey(name)) add(found, secret);
  }
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined; // not percent-encoded: it was added as it is
  }
}

function add(found: Set<string>, value: string | undefined): void {
  if (value !== undefined && value.length >= CHARS_MIN) found.add(value);
}
