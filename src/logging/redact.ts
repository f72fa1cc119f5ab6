/**
 * Removes secrets from finished log lines. It stands at the sink, so that no caller can forget it: an error message, a
 * URL in a stack, a nested field. One precompiled test decides for each line; only a line that may hold a secret is
 * taken apart, redacted value by value, and put together again, so that it stays one valid JSON object.
 */
export type Redact = (line: string) => string;

const MASK = '[redacted]';
/** Shorter secrets would shred ordinary words: they are removed only where they are a whole value. */
const ANYWHERE_CHARS = 4;

const KEY_END = '(?:token|api[_-]?key|password|passwd|secret|authorization)';
/** `token`, `bot_token`, `x-api-key`, `botToken`, `apiKey`; not `tokens` and not `secretary`. */
const SECRET_KEY = new RegExp(`^(?:[\\w-]*[_-])?${KEY_END}$`, 'i');
const SECRET_CAMEL_KEY = /(?:Token|ApiKey|Password|Secret|Authorization)$/;

/** Each keeps what tells a reader what stood there. None can backtrack over more than one scan of the line. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer)\s+[^\s"'\\,;]+/gi, `$1 ${MASK}`],
  [/\b(sk-)[A-Za-z0-9_-]{8,}/g, `$1${MASK}`],
  [/(:\/\/)[^\s/@"'\\?#]+@/g, `$1${MASK}@`],
  [/([?&](?:access_token|token|api_key|apikey|key|secret|password)=)[^&\s"'\\#]+/gi, `$1${MASK}`],
];

export function createRedactor(secrets: readonly string[]): Redact {
  const wholes = new Set(secrets.filter((secret) => secret !== '' && secret.length < ANYWHERE_CHARS));
  const variants = [...new Set(secrets.filter((s) => s.length >= ANYWHERE_CHARS).flatMap(toVariants))];
  // Longest first: of two secrets, one inside the other, the whole longer one goes.
  variants.sort((a, b) => b.length - a.length);
  const exact = variants.length === 0 ? undefined : new RegExp(variants.map(escapeRegExp).join('|'), 'g');
  const suspicion = new RegExp(
    [
      ...variants.flatMap((variant) => [variant, toJsonText(variant)]).map(escapeRegExp),
      ...[...wholes].map((whole) => `:\\s*"?${escapeRegExp(toJsonText(whole))}\\b`),
      'bearer\\s',
      '\\bsk-',
      '://[^\\s/@"]+@',
      `[?&][a-z_]+=`,
      `${KEY_END}":`,
    ].join('|'),
    'i',
  );

  const redactText = (text: string): string => {
    if (wholes.has(text)) return MASK;
    let clean = exact === undefined ? text : text.replace(exact, MASK);
    for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
    return clean;
  };
  const redactValue = (value: unknown): unknown => {
    if (typeof value === 'string') return redactText(value);
    if (typeof value === 'number') return redactText(String(value)) === String(value) ? value : MASK;
    if (Array.isArray(value)) return value.map(redactValue);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        redactText(key),
        isSecretKey(key) && inner !== null && inner !== '' ? MASK : redactValue(inner),
      ]),
    );
  };

  return (line) => {
    if (!suspicion.test(line)) return line;
    const { ts, event, ...fields } = JSON.parse(line) as Record<string, unknown>;
    return `${JSON.stringify({ ts, event: redactValue(event), ...(redactValue(fields) as object) })}\n`;
  };
}

function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key) || SECRET_CAMEL_KEY.test(key);
}

/** As it is, inside a JSON text that is itself a value (a request body in an error message), and in a URL. */
function toVariants(secret: string): string[] {
  return [secret, toJsonText(secret), toUriText(secret)];
}

function toJsonText(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

function toUriText(text: string): string {
  // encodeURIComponent throws on half a surrogate pair.
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'));
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
