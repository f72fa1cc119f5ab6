/** The word somebody probably meant. Known words are few, so a plain scan is enough. */
import { closest, distance } from 'fastest-levenshtein';

/** Undefined when nothing known is near: a wrong suggestion is worse than none. */
export function closestWord(word: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  const plain = known.map(toPlain);
  const nearest = closest(toPlain(word), plain);
  const isNear =
    distance(toPlain(word), nearest) <= Math.max(nearest.length < 4 ? 1 : 2, Math.floor(nearest.length / 3));
  return isNear ? known[plain.indexOf(nearest)] : undefined;
}

/** `allowedHosts`, `allowed-hosts` and `allowed_hosts` are the same word. */
function toPlain(word: string): string {
  return word.toLowerCase().replaceAll(/[_-]/g, '');
}
