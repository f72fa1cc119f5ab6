/**
 * Where secrets are in a configuration, by the place of a value and by its text. Masking, merging of masks and error
 * messages all ask here: were one of them to think otherwise, it would show what the others hide.
 */
import { z } from 'zod';
import { configSchema, SECRET } from '../../contract/config.ts';
import { isSecretKey } from './secrets.ts';

/** Where a value stands. `all`: any value there is a secret; `text`: texts and numbers; `none`: only parts of a text. */
export interface Place {
  /** Keys of mappings, without positions in lists. */
  readonly keys: readonly string[];
  readonly secret: 'all' | 'text' | 'none';
}

export const ROOT: Place = { keys: [], secret: 'none' };

/** `max_tokens: 4096` is a number of tokens, not a token. */
const COUNT_KEY = /tokens$/i;

export function placeOfKey(parent: Place, key: string): Place {
  const keys = [...parent.keys, key];
  if (parent.secret === 'all' || isOfServer(keys)) return { keys, secret: 'all' };
  const isSecret = parent.secret === 'text' || isSecretKey(key) || isMarked(keys);
  return { keys, secret: isSecret ? 'text' : 'none' };
}

/** An item of a list; `--api-key` before it makes it a secret. */
export function placeOfItem(parent: Place, previous: unknown): Place {
  if (parent.secret !== 'none' || !isSecretFlag(previous)) return parent;
  return { ...parent, secret: 'text' };
}

/** The secret that a value is as a whole, as text. */
export function wholeSecret(value: unknown, { keys, secret }: Place): string | undefined {
  if (secret === 'none') return undefined;
  if (typeof value === 'boolean') return secret === 'all' ? String(value) : undefined;
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const text = String(value);
  const isCount = secret === 'text' && COUNT_KEY.test(keys.at(-1) ?? '') && /^\d+$/.test(text);
  return text === '' || isCount || isOnlyVariables(text) ? undefined : text;
}

/** Everything of an MCP server's environment and headers. */
function isOfServer(keys: readonly string[]): boolean {
  return keys[0] === 'mcp' && keys.length > 1 && isServerKey(keys.at(-1) ?? '');
}

function isServerKey(key: string): boolean {
  return /^(env|headers)$/i.test(key);
}

/** `${NAME}` says where a secret is, not what it is. `${NAME:-default}` does say it. */
function isOnlyVariables(text: string): boolean {
  if (!text.includes('${')) return false;
  return /^(?:(?:Bearer|Basic|Token)\s+)?$/i.test(text.replace(/\$\{[A-Za-z_][A-Za-z0-9_]*\}/g, ''));
}

function isSecretFlag(value: unknown): boolean {
  return typeof value === 'string' && /^--?[a-z0-9_-]+$/i.test(value) && isSecretKey(value);
}

/** Paths that the schema marks, `*` for any key; lists do not count. */
const MARKED: readonly (readonly string[])[] = markedPaths(configSchema, []);

function isMarked(keys: readonly string[]): boolean {
  return MARKED.some(
    (marked) =>
      marked.length === keys.length && marked.every((step, index) => step === '*' || step === keys[index]),
  );
}

function markedPaths(schema: unknown, path: readonly string[]): (readonly string[])[] {
  if (schema instanceof z.ZodType && schema.meta()?.[SECRET] === true) return [path];
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return markedPaths(schema.unwrap(), path);
  }
  if (schema instanceof z.ZodPipe) return markedPaths(schema.def.out, path);
  if (schema instanceof z.ZodArray) return markedPaths(schema.element, path);
  if (schema instanceof z.ZodRecord) return markedPaths(schema.valueType, [...path, '*']);
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, child]) => markedPaths(child, [...path, key]));
}

const MASK = '****';

/** Between `://` and `@`; a whole text of a scheme and a value; behind `token=` and the like. Each linear in the text. */
const USERINFO = /(:\/\/)([^/?#\s]+)(@)/g;
const SCHEME = /^((?:Bearer|Basic|Token)\s+)(\S+)$/i;
const ASSIGNED = /(?<![a-z0-9_-])([a-z0-9_-]+)(=)([^&\s#]+)/gi;
/** Prose: who writes `token=…` there means the words. */
const PROSE_KEY = /prompt$/i;

/** Secrets inside a text that is none as a whole, each replaced by what `replace` gives for it. */
export function replaceSecretParts(
  text: string,
  { keys }: Place,
  replace: (secret: string) => string,
): string {
  const part = (secret: string): string =>
    isOnlyVariables(secret.replaceAll(':', '')) ? secret : replace(secret);
  const bare = text
    .replace(USERINFO, (_, before: string, secret: string, after: string) => before + part(secret) + after)
    .replace(SCHEME, (_, scheme: string, secret: string) => scheme + part(secret));
  if (PROSE_KEY.test(keys.at(-1) ?? '')) return bare;
  return bare.replace(ASSIGNED, (whole, name: string, sign: string, secret: string) =>
    isSecretKey(name) ? name + sign + part(secret) : whole,
  );
}

/** `****` and the last four characters; of a short secret, that would be most of it. */
export function maskOf(secret: string): string {
  const chars = [...secret];
  return chars.length < 12 ? MASK : MASK + chars.slice(-4).join('');
}

/** A text as it may be shown, wherever it came from. */
export function maskText(value: string, place: Place): string {
  const secret = wholeSecret(value, place);
  if (secret !== undefined) return maskOf(secret);
  return place.secret === 'none' ? replaceSecretParts(value, place, () => MASK) : value;
}

/** Whether a text is a mask, or has one where a secret would be. */
export function hasMask(value: string, place: Place): boolean {
  if (/^\*{4}\S{0,8}$/.test(value)) return true;
  let found = false;
  replaceSecretParts(value, place, (secret) => {
    found ||= secret.startsWith(MASK);
    return secret;
  });
  return found;
}
