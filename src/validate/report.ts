/**
 * What is told of a run: a table that grows by a line for each check, or one JSON object a line. Whatever a gateway
 * says is shown without control characters: it must not be able to draw on the terminal.
 */
import { stripVTControlCharacters } from 'node:util';
import picocolors from 'picocolors';
import type { Area, Check, Result, Verdict } from './check.ts';
import type { TargetFacts } from './target.ts';

export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Summary {
  readonly url: string;
  readonly facts: TargetFacts;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly ms: number;
  readonly exitCode: number;
}

export interface ValidationReport {
  opened(url: string, facts: TargetFacts, count: number): void;
  started(area: Area, check: Check): void;
  ended(result: Result): void;
  done(summary: Summary): void;
  /** Nothing was checked. */
  failed(message: string, exitCode: number): void;
}

const AREA_CHARS = 'documents'.length;
const NAME_CHARS = 58;
const COLUMNS_DEFAULT = 160;
const SIGNS: Readonly<Record<Verdict, string>> = { pass: '✓ pass', fail: '✗ fail', skip: '– skip' };
const CLEAR_LINE = '\r\u001b[2K';

export function createJsonReport(out: OutputStream): ValidationReport {
  const line = (value: object): unknown => out.write(`${JSON.stringify(value)}\n`);
  return {
    opened: (url, facts, count) => line({ type: 'target', url, ...wireFacts(facts), checks: count }),
    started: () => {},
    ended: (result) => line({ type: 'check', ...result }),
    done({ url, facts, exitCode, ...counts }) {
      line({ type: 'summary', url, ...wireFacts(facts), ...counts, exit_code: exitCode });
    },
    failed: (message, exitCode) => line({ type: 'summary', error: message, exit_code: exitCode }),
  };
}

function wireFacts({ dialect, isGuarded, version, model }: TargetFacts): object {
  return { dialect, version, asks_for_token: isGuarded, ...(model === undefined ? {} : { model }) };
}

type Colors = ReturnType<typeof picocolors.createColors>;

export function createTableReport(
  out: OutputStream,
  env: Readonly<Record<string, string | undefined>>,
): ValidationReport {
  const colors = picocolors.createColors(hasColors(out.isTTY === true, env));
  const table = new Table(out, colors);
  return {
    opened: (url, facts, checks) => table.open(url, facts, checks),
    started: (area, { name }) => table.progress(area, name),
    ended: (result) => table.add(result),
    done({ passed, failed, skipped, ms }) {
      const parts = [
        colors.green(`${passed} passed`),
        failed > 0 ? colors.red(`${failed} failed`) : '0 failed',
        colors.dim(`${skipped} skipped`),
      ];
      table.line(`${parts.join(', ')} in ${(ms / 1000).toFixed(1)} s`);
    },
    failed: (message) => table.line(`${colors.red('error')}: ${plain(message)}`),
  };
}

/** Grows by a line for each check; on a terminal a last line says what is going on. */
class Table {
  readonly #out: OutputStream;
  readonly #colors: Colors;
  #count = 0;
  #ended = 0;
  /** Checks of a part that were left out for one reason: a line each would bury the others. */
  #skipped: Result[] = [];

  constructor(out: OutputStream, colors: Colors) {
    this.#out = out;
    this.#colors = colors;
  }

  open(url: string, facts: TargetFacts, count: number): void {
    this.#count = count;
    const model = facts.model === undefined ? '' : `, model ${plain(facts.model)}`;
    const guard = facts.isGuarded ? ', asks for a token' : '';
    this.line(`${url}: ${facts.dialect} ${plain(facts.version)}${model}${guard}`);
  }

  progress(area: Area, name: string): void {
    if (this.#out.isTTY !== true) return;
    const text = cut(`[${this.#ended + 1}/${this.#count}] ${area}: ${name}`, this.#columns - 1);
    this.#out.write(`${CLEAR_LINE}${this.#colors.dim(text)}`);
  }

  add(result: Result): void {
    this.#ended += 1;
    const [first] = this.#skipped;
    const isOfThem = result.verdict === 'skip' && first?.area === result.area && first.seen === result.seen;
    if (!isOfThem) this.#flush();
    if (result.verdict === 'skip') this.#skipped.push(result);
    else this.#write(this.#row(result));
  }

  line(text: string): void {
    this.#flush();
    this.#write(text);
  }

  get #columns(): number {
    return this.#out.columns ?? COLUMNS_DEFAULT;
  }

  #flush(): void {
    const skipped = this.#skipped;
    this.#skipped = [];
    const [first] = skipped;
    if (first === undefined) return;
    this.#write(
      this.#row({ ...first, name: skipped.length === 1 ? first.name : `${skipped.length} checks` }),
    );
  }

  #write(line: string): void {
    this.#out.write(`${this.#out.isTTY === true ? CLEAR_LINE : ''}${line}\n`);
  }

  #row({ verdict, area, name, seen, expected }: Result): string {
    const { green, red, dim } = this.#colors;
    const sign = SIGNS[verdict];
    const place = `  ${area.padEnd(AREA_CHARS)}  ${name.padEnd(NAME_CHARS)}`;
    if (verdict === 'fail') {
      const told = [`expected  ${plain(expected)}`, `seen      ${plain(seen)}`];
      return `${red(`${sign}${place.trimEnd()}`)}${told.map((each) => `\n          ${each}`).join('')}`;
    }
    const rest = cut(plain(seen), this.#columns - sign.length - place.length - 2);
    return verdict === 'skip' ? dim(`${sign}${place}  ${rest}`) : `${green(sign)}${place}  ${dim(rest)}`;
  }
}

function hasColors(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== '0';
  return isTerminal && env.TERM !== 'dumb';
}

function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\p{Cc}+/gu, ' ');
}

function cut(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, Math.max(0, chars - 1))}…`;
}
