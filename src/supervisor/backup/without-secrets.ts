/**
 * An `openagent.yaml` without its secrets: each is replaced where it stands by the name of a variable, so that the
 * restored agent refuses to start until somebody sets it, and says which. All else stays as it was written, comments
 * too, but for what looks like a secret in them.
 */
import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseDocument,
  type Scalar,
  visit,
} from 'yaml';
import { AppError } from '../../contract/errors.ts';
import {
  type Place,
  placeOfItem,
  placeOfKey,
  ROOT,
  replaceSecretParts,
  wholeSecret,
} from '../config/secret-places.ts';
import { isSecretKey } from '../config/secrets.ts';
import type { LeftOut } from './manifest.ts';

export interface EditedConfig {
  readonly text: string;
  readonly leftOut: readonly LeftOut[];
}

export interface ConfigEdit {
  /** Begins the names of variables: agents of one fleet share an environment. */
  readonly agentId: string;
  readonly withSecrets: boolean;
  /** New values of keys such as `memory.vault_path`. */
  readonly values: Readonly<Record<string, string>>;
}

interface Change {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

const DEPTH_MAX = 64;
/** Shorter ones would be found in every other word. */
const KNOWN_CHARS_MIN = 6;

export function editConfig(source: string, edit: ConfigEdit): EditedConfig {
  const document = parseDocument(source, {
    merge: true,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  if (document.errors.length > 0) {
    if (edit.withSecrets) return { text: source, leftOut: [] };
    throw new AppError(
      'backup.refused',
      `openagent.yaml is no valid YAML, so its secrets cannot be told from the rest (${document.errors[0]?.message ?? ''}). Mend it, or add --include-secrets`,
    );
  }
  const changes = new Map<number, Change>();
  setValues(document, edit.values, source, changes);
  if (edit.withSecrets) return { text: applied(source, [...changes.values()]), leftOut: [] };
  const names = createNames(edit.agentId);
  takeSecrets(document, source, names, changes);
  takeKnown(document, source, names, changes);
  const comments = commentsOf(document, source).map((change) => ({
    ...change,
    text: withoutSecrets(change.text, names.secrets()),
  }));
  const text = applied(source, [...changes.values(), ...comments]);
  return { text, leftOut: names.leftOut() };
}

function applied(source: string, changes: readonly Change[]): string {
  let text = source;
  for (const { from, to, text: now } of [...changes].sort((a, b) => b.from - a.from)) {
    text = text.slice(0, from) + now + text.slice(to);
  }
  return text;
}

interface Names {
  /** The variable that stands for this secret. */
  of(secret: string, path: readonly string[]): string;
  variableOf(secret: string): string | undefined;
  /** Longest first. */
  secrets(): readonly string[];
  leftOut(): readonly LeftOut[];
}

function createNames(agentId: string): Names {
  const variables = new Map<string, LeftOut>();
  return {
    of: (secret, path) => {
      const known = variables.get(secret);
      if (known) return known.variable;
      // `${NAME:-secret}` has a name already.
      const own = /^\$\{([A-Za-z_][A-Za-z0-9_]*):-[^}]*\}$/.exec(secret)?.[1];
      const base = own ?? toVariable([agentId, ...path]);
      const taken = new Set([...variables.values()].map(({ variable }) => variable));
      let variable = base;
      for (let count = 2; taken.has(variable); count += 1) variable = `${base}_${count}`;
      variables.set(secret, { variable, key: path.join('.') });
      return variable;
    },
    variableOf: (secret) => variables.get(secret)?.variable,
    secrets: () => [...variables.keys()].sort((a, b) => b.length - a.length),
    leftOut: () => [...variables.values()],
  };
}

function toVariable(path: readonly string[]): string {
  const name = path
    .join('_')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .toUpperCase();
  return /^[A-Z_]/.test(name) ? name : `_${name}`;
}

/** By its place, as masks are; an alias takes the secret where it is defined. */
function takeSecrets(document: Document, source: string, names: Names, changes: Map<number, Change>): void {
  const walk = (node: unknown, place: Place, path: readonly string[]): void => {
    if (path.length > DEPTH_MAX) return;
    if (isAlias(node)) return walk(node.resolve(document), place, [...path, '']);
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : '';
        if (name === '<<') walk(value, place, [...path, '']);
        else walk(value, placeOfKey(place, name), [...path, name]);
      }
    }
    if (isSeq(node)) {
      node.items.forEach((item, index) => {
        const previous: unknown = node.items[index - 1];
        const before = isScalar(previous) ? previous.value : undefined;
        walk(item, placeOfItem(place, before), [...path, nameOfItem(item) ?? String(index)]);
      });
    }
    if (isScalar(node)) takeScalar(node, place, path.filter(Boolean), source, names, changes);
  };
  walk(document.contents, ROOT, []);
}

/** Of an MCP server or a task; its position says less and may change. */
function nameOfItem(item: unknown): string | undefined {
  const name: unknown = isMap(item) ? item.get('name') : undefined;
  return typeof name === 'string' && name !== '' ? name : undefined;
}

function takeScalar(
  node: Scalar,
  place: Place,
  path: readonly string[],
  source: string,
  names: Names,
  changes: Map<number, Change>,
): void {
  const text = textOf(node);
  if (text === undefined || !node.range) return;
  const variable = (secret: string): string => `\${${names.of(secret, path)}}`;
  const whole = wholeSecret(typeof node.value === 'boolean' ? node.value : text, place);
  const now =
    whole === undefined && place.secret === 'none'
      ? replaceSecretParts(text, place, variable)
      : whole && variable(whole);
  if (now !== undefined && now !== text) put(node, now, source, changes);
}

/** A secret that stands once more where nothing says that it is one. */
function takeKnown(document: Document, source: string, names: Names, changes: Map<number, Change>): void {
  const known = names.secrets().filter((secret) => secret.length >= KNOWN_CHARS_MIN);
  if (known.length === 0) return;
  visit(document, {
    Scalar: (key, node) => {
      const text = textOf(node);
      if (key === 'key' || text === undefined || !node.range || changes.has(node.range[0])) return;
      const now = known.reduce(
        (rest, secret) => rest.replaceAll(secret, () => `\${${names.variableOf(secret)}}`),
        text,
      );
      if (now !== text) put(node, now, source, changes);
    },
  });
}

/** As it is written, so that no digit of a number is lost. */
function textOf({ value, source }: Scalar): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? (source ?? String(value)) : undefined;
}

/** In double quotes: a variable may then stand in any place. */
function put({ range }: Scalar, text: string, source: string, changes: Map<number, Change>): void {
  if (!range) return;
  const [from, to] = range;
  // A block ends with its line.
  const end = source.slice(from, to).endsWith('\n') ? '\n' : '';
  if (!changes.has(from)) changes.set(from, { from, to, text: JSON.stringify(text) + end });
}

function setValues(
  document: Document,
  values: ConfigEdit['values'],
  source: string,
  changes: Map<number, Change>,
): void {
  for (const [key, value] of Object.entries(values)) {
    const node = document.getIn(key.split('.'), true);
    if (isScalar(node)) put(node, value, source, changes);
  }
}

/** What is neither a key nor a value, from a `#` to the end of its line. */
function commentsOf(document: Document, source: string): readonly Change[] {
  const taken: [number, number][] = [];
  visit(document, (_key, node) => {
    if ((isScalar(node) || isAlias(node)) && node.range) taken.push([node.range[0], node.range[1]]);
    else if (isPair(node) && isScalar(node.key) && node.key.range) {
      taken.push([node.key.range[0], node.key.range[1]]);
    }
  });
  const found: Change[] = [];
  for (const match of source.matchAll(/(?<![^\s])#[^\n]*/g)) {
    const [from, to] = [match.index, match.index + match[0].length];
    if (!taken.some(([start, end]) => start <= from && from < end)) found.push({ from, to, text: match[0] });
  }
  return found;
}

const MASK = '****';
const ASSIGNED = /([\w-]+)(["']?\s*[:=]\s*)("[^"\n]*"|'[^'\n]*'|\$\{[^}]*\}|[^\s,}\]]+)/g;
const SCHEME = /\b(Bearer|Basic|Token)(\s+)([^\s"',}\]]{4,})/gi;
const USERINFO = /(:\/\/)([^/?#\s@]+)(@)/g;
/** Long, of letters and digits both, and no address or path of something. */
const RANDOM = /(?<![\w./-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{20,}(?![\w./-])/g;
const ONLY_VARIABLE = /^["']?(?:(?:Bearer|Basic|Token)\s+)?\$\{\w+\}["']?$/i;

/** Rather a word too many than a key that somebody commented out. */
function withoutSecrets(comment: string, secrets: readonly string[]): string {
  let text = comment;
  for (const secret of secrets) if (secret.length >= KNOWN_CHARS_MIN) text = text.replaceAll(secret, MASK);
  return text
    .replace(USERINFO, `$1${MASK}$3`)
    .replace(ASSIGNED, (whole, name: string, sign: string, value: string) =>
      isSecretKey(name) && !ONLY_VARIABLE.test(value) ? name + sign + MASK : whole,
    )
    .replace(SCHEME, (whole, scheme: string, space: string, value: string) =>
      /\d/.test(value) ? scheme + space + MASK : whole,
    )
    .replace(RANDOM, MASK);
}
