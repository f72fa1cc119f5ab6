/** What JSON can say and a configuration cannot hold unchanged; only in what a client changes. */
import { isDeepStrictEqual } from 'node:util';
import { AppError } from '../../contract/errors.ts';
import { type ConfigProblem, keyOf } from '../config/config-problem.ts';
import { CONFIG_NAME } from '../config/read-config.ts';
import { isRecord } from './mask.ts';

type Problem = Pick<ConfigProblem, 'key' | 'expected' | 'text'>;

const SHOWN_MAX = 5;
/** Half of a character outside the basic plane: UTF-8 cannot hold it. */
const LONE_SURROGATE = /\p{Surrogate}/u;

export function checkWritten(after: unknown, before: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  const add = (path: readonly PropertyKey[], expected: string, text: string): void => {
    problems.push({ key: keyOf(path), expected, text });
  };
  const walk = (value: unknown, was: unknown, path: readonly PropertyKey[]): void => {
    if (isDeepStrictEqual(value, was)) return;
    if (typeof value === 'string' && LONE_SURROGATE.test(value)) add(path, 'well-formed text', BROKEN_TEXT);
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
      add(path, 'a number of at most 9007199254740991, or text', BIG_NUMBER);
    }
    if (Array.isArray(value)) {
      value.forEach((item, index) => {
        walk(item, Array.isArray(was) ? was[index] : undefined, [...path, index]);
      });
    } else if (isRecord(value)) {
      for (const [key, item] of Object.entries(value)) {
        const hadIt = isRecord(was) && Object.hasOwn(was, key);
        if (!hadIt && isBadKey(key)) add([...path, key.slice(0, 80)], 'another key', BAD_KEY);
        else walk(item, hadIt ? was[key] : undefined, [...path, key]);
      }
    }
  };
  walk(after, before, []);
  return problems;
}

const BROKEN_TEXT = 'is no well-formed Unicode: half of a character is missing';
const BIG_NUMBER = 'is larger than JSON holds exactly; write it as text';
const BAD_KEY = 'cannot be a key here';
const KEY_CHARS = 256;

/** `<<` would merge instead of being a key. */
function isBadKey(key: string): boolean {
  return key === '__proto__' || key === '<<' || key.length > KEY_CHARS || LONE_SURROGATE.test(key);
}

/** For problems that stand in no line yet: the text was not written. */
export function refusal(problems: readonly Problem[]): AppError {
  const shown = problems.slice(0, SHOWN_MAX).map(({ key, text }) => `${key}: ${text}`);
  const more = problems.length - shown.length;
  const message = `${CONFIG_NAME}: ${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
  const details = problems.map(({ key, expected }) => ({ file: CONFIG_NAME, key, expected }));
  return new AppError('config.invalid', message, { details });
}
