/** One thing that was found: a row of the table of checks, with what is particular to this one. */
import { quoted } from '../../commands/next-step.ts';
import { CHECKS, type Check, type CheckCode, type Severity } from './checks.ts';

export interface Finding {
  readonly severity: Severity;
  readonly code: CheckCode;
  /** Undefined: of the machine, or of all. */
  readonly agent: string | undefined;
  readonly text: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  readonly mend: string | undefined;
}

export interface Particulars {
  readonly agent?: string | undefined;
  readonly text: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** Fill the braces of the mend; each is one word of a shell, a list several. */
  readonly values?: Readonly<Record<string, string | number | readonly string[]>>;
}

export function finding(code: CheckCode, { values = {}, ...rest }: Particulars): Finding {
  const { severity, mend }: Check = CHECKS[code];
  const { agent, text, file, line, column } = rest;
  const place = file === undefined ? undefined : line === undefined ? file : `${file}:${line}`;
  const all = { ...(place === undefined ? {} : { place }), ...values };
  return { severity, code, agent, text, file, line, column, mend: mend && filled(mend, all) };
}

function filled(mend: string, values: NonNullable<Particulars['values']>): string {
  return mend.replace(/\{(\w+)\}/g, (braces, name: string) => {
    const value = values[name];
    if (value === undefined) return braces;
    return typeof value === 'object' ? value.map(quoted).join(' ') : quoted(String(value));
  });
}
