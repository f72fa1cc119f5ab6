/**
 * A configuration as clients may see it, and back: what a client was shown as a mask and writes back unchanged is the
 * secret it stands for. Without the way back, every client that reads, edits and writes would destroy the keys.
 */
import { type ConfigProblem, keyOf } from '../config/config-problem.ts';
import {
  hasMask,
  maskOf,
  maskText,
  type Place,
  placeOfItem,
  placeOfKey,
  ROOT,
  wholeSecret,
} from '../config/secret-places.ts';

export type Json = Readonly<Record<string, unknown>>;

/** `section`: where in the configuration the value stands, when it is not the whole of it. */
export function masked(value: unknown, section?: string): unknown {
  return maskAt(value, section === undefined ? ROOT : placeOfKey(ROOT, section));
}

function maskAt(value: unknown, place: Place): unknown {
  if (typeof value === 'string') return maskText(value, place);
  if (Array.isArray(value)) {
    return value.map((item, index) => maskAt(item, placeOfItem(place, value[index - 1])));
  }
  if (isRecord(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, maskAt(item, placeOfKey(place, key))]),
    );
  }
  const secret = wholeSecret(value, place);
  return secret === undefined ? value : maskOf(secret);
}

export interface Unmasked {
  readonly value: unknown;
  /** Where a mask stands that no stored secret has; without line, because there is none yet. */
  readonly strays: readonly Pick<ConfigProblem, 'key' | 'expected' | 'text'>[];
}

/** `written` with each mask replaced by the secret that `stored` has in the same place. */
export function unmasked(written: unknown, stored: unknown, section?: string): Unmasked {
  const strays: PropertyKey[][] = [];
  const path = section === undefined ? [] : [section];
  const place = section === undefined ? ROOT : placeOfKey(ROOT, section);
  const value = unmaskAt(written, stored, place, path, strays);
  return { value, strays: strays.map((stray) => ({ key: keyOf(stray), ...STRAY })) };
}

const STRAY = {
  expected: 'the secret itself, or the mask of the one that is stored here',
  text: 'a mask, and no stored secret in this place has it; write the secret itself',
} as const;

type Path = readonly PropertyKey[];

function unmaskAt(
  written: unknown,
  stored: unknown,
  place: Place,
  path: Path,
  strays: PropertyKey[][],
): unknown {
  if (typeof written === 'string') {
    if (written === stored) return written;
    const isKept = isScalar(stored) && written === maskAt(stored, place);
    if (!isKept && hasMask(written, place)) strays.push([...path]);
    return isKept ? stored : written;
  }
  if (Array.isArray(written)) {
    const partners = partnersOf(written, Array.isArray(stored) ? stored : [], place);
    return written.map((item, index) => {
      const itemPlace = placeOfItem(place, written[index - 1]);
      return unmaskAt(item, partners[index], itemPlace, [...path, index], strays);
    });
  }
  if (!isRecord(written)) return written;
  const before: Json = isRecord(stored) ? stored : {};
  return Object.fromEntries(
    Object.entries(written).map(([key, item]) => {
      const was = Object.hasOwn(before, key) ? before[key] : undefined;
      return [key, unmaskAt(item, was, placeOfKey(place, key), [...path, key], strays)];
    }),
  );
}

/**
 * For each item the stored one whose secrets it may have: of the same name; without names one that looks the same. Where
 * that leaves a choice between different secrets there is none, rather than a wrong one.
 */
function partnersOf(written: readonly unknown[], stored: readonly unknown[], place: Place): unknown[] {
  const shown = stored.map((item, index) => maskAt(item, placeOfItem(place, stored[index - 1])));
  const asWritten = groupBy(written, identityOf);
  const asStored = groupBy(shown, identityOf);
  const partners: unknown[] = new Array(written.length).fill(undefined);
  for (const [identity, positions] of asWritten) {
    const candidates = asStored.get(identity) ?? [];
    const isClear =
      candidates.length === positions.length ||
      new Set(candidates.map((index) => JSON.stringify(stored[index]))).size === 1;
    if (!isClear) continue;
    positions.forEach((position, index) => {
      partners[position] = stored[candidates[Math.min(index, candidates.length - 1)] as number];
    });
  }
  return partners;
}

/** Names are shown as they are, so a written and a stored name can be compared. */
function identityOf(item: unknown): string {
  if (isRecord(item) && typeof item.name === 'string') return `name ${item.name}`;
  return JSON.stringify(item);
}

function groupBy(items: readonly unknown[], key: (item: unknown) => string): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  items.forEach((item, index) => {
    const found = groups.get(key(item));
    if (found) found.push(index);
    else groups.set(key(item), [index]);
  });
  return groups;
}

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): boolean {
  return value !== undefined && (typeof value !== 'object' || value === null);
}
