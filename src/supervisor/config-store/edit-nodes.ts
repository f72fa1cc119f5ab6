/** Changes the nodes of a YAML document to say something else; a node that says the same is not touched. */
import { isDeepStrictEqual } from 'node:util';
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  Scalar,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { isRecord, type Json } from './mask.ts';

/**
 * The library takes a comment right in front of a list's first item for one of the list, where it would stay while the
 * item moves or goes. From here on it is the item's; what a blank line parts from that, or stands behind the key, is not.
 */
export function handDownComments(document: Document, source: string): Document {
  visit(document, {
    Seq: (_, seq) => {
      const [first] = seq.items;
      if (seq.flow || !seq.commentBefore || !seq.range || !isNode(first)) return;
      const ofList = seq.commentBefore.split('\n');
      const ofFirst = ofList.splice(ofList.length - commentLinesAbove(source, seq.range[0], ofList.length));
      seq.commentBefore = ofList.join('\n') || null;
      first.commentBefore = joined(ofFirst.join('\n'), first.commentBefore) || null;
    },
  });
  return document;
}

function commentLinesAbove(source: string, at: number, max: number): number {
  let end = source.lastIndexOf('\n', at - 1);
  for (let count = 0; ; count += 1) {
    const start = source.lastIndexOf('\n', end - 1) + 1;
    if (count === max || end <= 0 || !/^[ \t]*#/.test(source.slice(start, end))) return count;
    end = start - 1;
  }
}

/** `before` is what `map` says now, keys that are merged into it included. */
export function editMap(document: Document, map: YAMLMap, before: Json, after: Json): void {
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) remove(map, key);
  for (const [key, value] of Object.entries(after)) {
    if (Object.hasOwn(before, key) && isDeepStrictEqual(before[key], value)) continue;
    const pair = Object.hasOwn(before, key) ? pairOf(map, key) : undefined;
    if (pair === undefined) map.items.push(freshPair(document, key, value));
    else pair.value = editNode(document, pair.value, before[key], value);
  }
  if (map.items.length > 0 && map.flow && map.comment) map.flow = false;
}

function editNode(document: Document, node: unknown, before: unknown, after: unknown): unknown {
  if (isMap(node) && isRecord(before) && isRecord(after)) {
    editMap(document, node, before, after);
    return node;
  }
  if (isSeq(node) && Array.isArray(before) && Array.isArray(after) && node.items.length === before.length) {
    editSeq(document, node, before, after);
    return node;
  }
  if (isScalar(node) && (typeof after !== 'object' || after === null)) return editScalar(node, after);
  return dressed(freshNode(document, after), node);
}

function freshNode(document: Document, value: unknown): Node {
  return quoteOdd(document.createNode(value));
}

function freshPair(document: Document, key: string, value: unknown): Pair {
  const pair = document.createPair(key, null);
  pair.value = freshNode(document, value);
  return pair;
}

/** What does not come through a block unchanged: blanks in front, lines of blanks, other line ends. */
const ODD_LINES = /^\s|\n[ \t]+(?:\n|$)|\r/;

function quoteOdd<T extends Node>(node: T): T {
  visit(node, {
    Scalar: (_, scalar) => {
      const { value } = scalar;
      if (typeof value === 'string' && value.includes('\n') && ODD_LINES.test(value)) {
        scalar.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  return node;
}

function editScalar(node: Scalar, after: unknown): Scalar {
  const isStillText = typeof node.value === 'string' && typeof after === 'string' && node.tag === undefined;
  const fresh = new Scalar(after);
  if (isStillText && node.type !== undefined && !/[\r\n]/.test(String(after))) fresh.type = node.type;
  if (isStillText && isBlock(node.type) && !String(after).includes('\n')) fresh.type = Scalar.PLAIN;
  return dressed(quoteOdd(fresh), node);
}

function isBlock(type: Scalar['type']): boolean {
  return type === Scalar.BLOCK_FOLDED || type === Scalar.BLOCK_LITERAL;
}

/** With the comments and the anchor of the node it takes the place of. */
function dressed<T extends Node>(fresh: T, old: unknown): T {
  if (!isNode(old)) return fresh;
  // A line comment in front of a mapping stands inside of it; a scalar has its own behind it.
  fresh.commentBefore = old.commentBefore ?? null;
  fresh.comment = (isCollection(old) ? trailing(old) : old.comment) || null;
  if (old.spaceBefore) fresh.spaceBefore = true;
  if (!isAlias(old) && old.anchor && (isScalar(fresh) || isCollection(fresh))) fresh.anchor = old.anchor;
  return fresh;
}

/** Comments behind the last line of a node: they belong to what follows at least as much. */
function trailing(node: unknown): string {
  // Of a value that is not there it cannot be told on which line its comment begins.
  if (isScalar(node)) {
    const lines = (node.comment ?? '').split('\n');
    return lines.slice(node.source === '' ? 0 : 1).join('\n');
  }
  if (!isCollection(node)) return '';
  const last: unknown = node.items.at(-1);
  return joined(trailing(isPair(last) ? last.value : last), node.comment);
}

/** All pairs of a key that is given more than once; their comments stay, for they may head a whole part of the file. */
function remove(map: YAMLMap, key: string): void {
  const kept: Pair[] = [];
  let comment = '';
  for (const pair of map.items) {
    if (textOfKey(pair.key) === key) {
      comment = joined(comment, isNode(pair.key) ? pair.key.commentBefore : null);
      comment = joined(comment, trailing(pair.value));
      continue;
    }
    if (isNode(pair.key)) pair.key.commentBefore = joined(comment, pair.key.commentBefore) || null;
    comment = '';
    kept.push(pair);
  }
  map.items = kept;
  if (comment !== '') map.comment = joined(comment, map.comment);
}

function editSeq(
  document: Document,
  seq: YAMLSeq,
  before: readonly unknown[],
  after: readonly unknown[],
): void {
  const partners = partnersOf(before, after);
  const used = new Set(partners);
  let orphaned = '';
  seq.items.forEach((item, index) => {
    if (!used.has(index) && isNode(item)) {
      orphaned = joined(joined(orphaned, item.commentBefore), trailing(item));
    }
  });
  const items = after.map((value, index) => {
    const partner = partners[index];
    if (partner === undefined) return freshNode(document, value);
    const node = seq.items[partner];
    return isDeepStrictEqual(before[partner], value)
      ? node
      : editNode(document, node, before[partner], value);
  });
  seq.items = items;
  if (orphaned !== '') seq.comment = joined(orphaned, seq.comment);
}

/** For each item the position of the one it was: the same, of the same name, or at least in the same place. */
function partnersOf(before: readonly unknown[], after: readonly unknown[]): (number | undefined)[] {
  const free = new Set(before.keys());
  const partners: (number | undefined)[] = new Array(after.length).fill(undefined);
  const pair = (index: number, partner: number | undefined): void => {
    if (partner === undefined || !free.delete(partner)) return;
    partners[index] = partner;
  };
  const each = (find: (value: unknown, index: number) => number | undefined): void =>
    after.forEach((value, index) => {
      if (partners[index] === undefined) pair(index, find(value, index));
    });
  each((value, index) => (isDeepStrictEqual(before[index], value) ? index : undefined));
  const same = positionsBy(before, (value) => JSON.stringify(value));
  each((value) => same.get(JSON.stringify(value))?.find((position) => free.has(position)));
  const named = positionsBy(before, nameOf);
  each((value) => named.get(nameOf(value))?.find((position) => free.has(position)));
  // In a list of the same length a new name is a renaming.
  const isRenaming = before.length === after.length;
  each((value, index) => (isRenaming || nameOf(value) === undefined ? index : undefined));
  return partners;
}

function positionsBy(
  items: readonly unknown[],
  key: (item: unknown) => string | undefined,
): Map<string | undefined, number[]> {
  const positions = new Map<string | undefined, number[]>();
  items.forEach((item, index) => {
    const name = key(item);
    if (name === undefined) return;
    const known = positions.get(name);
    if (known) known.push(index);
    else positions.set(name, [index]);
  });
  return positions;
}

function nameOf(item: unknown): string | undefined {
  return isRecord(item) && typeof item.name === 'string' ? item.name : undefined;
}

/** The last one counts, as for every reader. */
function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.findLast((pair) => textOfKey(pair.key) === key);
}

/** The name a key has once it is data. */
export function textOfKey(key: unknown): string {
  if (!isScalar(key)) return String(key);
  return key.value === null ? '' : String(key.value);
}

function joined(first: string | null | undefined, second: string | null | undefined): string {
  return [first, second].filter((text) => text).join('\n');
}

/** The same document without aliases, merges and anchors: none can then be torn from what it refers to. */
export function spelledOut(document: Document, data: unknown): Document {
  document.contents = spellOut(document, document.contents, data) as never;
  visit(document, {
    Node: (_, node) => {
      if (!isAlias(node) && 'anchor' in node) delete node.anchor;
    },
  });
  return document;
}

function spellOut(document: Document, node: unknown, data: unknown): unknown {
  if (isAlias(node)) return dressed(freshNode(document, data), node);
  if (isSeq(node) && Array.isArray(data)) {
    node.items = node.items.map((item, index) => spellOut(document, item, data[index]));
  }
  if (isMap(node) && isRecord(data)) {
    node.items = node.items.filter((pair) => !isMerge(pair));
    for (const pair of node.items) pair.value = spellOut(document, pair.value, data[textOfKey(pair.key)]);
    const own = new Set(node.items.map(({ key }) => textOfKey(key)));
    for (const [key, value] of Object.entries(data)) {
      if (!own.has(key)) node.items.push(freshPair(document, key, value));
    }
  }
  return node;
}

function isMerge(pair: unknown): boolean {
  return (
    isPair(pair) && isScalar(pair.key) && (pair.key.value === '<<' || typeof pair.key.value === 'symbol')
  );
}
