/** Findings for people, by agent, worst first; or one JSON object a line. */
import { basename } from 'node:path';
import { type Colors, colorsOf } from '../../commands/colors.ts';
import type { CommandContext } from '../../commands/command-context.ts';
import { lineText, wrapText } from '../../commands/terminal-text.ts';
import type { Severity } from './checks.ts';
import type { Finding } from './finding.ts';

const ORDER: readonly Severity[] = ['error', 'warning', 'info', 'ok'];
const SIGNS: Readonly<Record<Severity, string>> = { error: '✗', warning: '!', info: 'i', ok: '✓' };
const COLUMNS_DEFAULT = 120;
const INDENT = '      ';
const MACHINE = 'machine';

export function printFindings(
  findings: readonly Finding[],
  dirs: readonly string[],
  { json }: { readonly json: boolean },
  context: CommandContext,
): void {
  const count = (severity: Severity): number => findings.filter((one) => one.severity === severity).length;
  const [errors, warnings, infos] = [count('error'), count('warning'), count('info')];
  if (json) {
    for (const each of findings)
      context.out.write(`${JSON.stringify({ type: 'finding', ...toWire(each) })}\n`);
    const summary = {
      type: 'summary',
      agents: dirs.length,
      errors,
      warnings,
      infos,
      exit_code: errors > 0 ? 1 : 0,
    };
    context.out.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  const colors = colorsOf(context.out, context.env);
  const width = context.out.isTTY === true ? (context.out.columns ?? COLUMNS_DEFAULT) : COLUMNS_DEFAULT;
  const lines = [undefined, ...new Set(dirs.map((dir) => basename(dir)))].flatMap((agent) =>
    linesOf(agent, findings, colors, width),
  );
  const parts = [`${errors} errors`, `${warnings} warnings`, `${infos} remarks`];
  const sum = `${dirs.length} ${dirs.length === 1 ? 'agent' : 'agents'}: ${parts.join(', ')}`;
  const painted = errors > 0 ? colors.red(sum) : warnings > 0 ? colors.yellow(sum) : colors.green(sum);
  context.out.write(`${[...lines, painted].join('\n')}\n`);
}

function toWire({ agent, file, line, column, mend, ...rest }: Finding): object {
  const nulls = { file: file ?? null, line: line ?? null, column: column ?? null, mend: mend ?? null };
  return { agent: agent ?? null, ...rest, ...nulls };
}

function linesOf(
  agent: string | undefined,
  findings: readonly Finding[],
  colors: Colors,
  width: number,
): readonly string[] {
  const own = findings.filter((one) => one.agent === agent);
  if (own.length === 0) return [];
  const sorted = [...own].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
  const head = colors.bold(agent === undefined ? MACHINE : lineText(agent));
  return [head, ...sorted.flatMap((one) => findingLines(one, colors, width)), ''];
}

function findingLines(one: Finding, colors: Colors, width: number): readonly string[] {
  const paint = PAINTS[one.severity](colors);
  const place = one.line === undefined ? '' : `${basename(one.file ?? '')}:${one.line}:${one.column ?? 1} `;
  const [first = '', ...rest] = wrapText(lineText(place + one.text), Math.max(20, width - INDENT.length));
  const code = one.severity === 'ok' ? '' : colors.dim(`[${one.code}]`);
  // A command is copied as a whole, so it is never broken.
  const mend = one.mend === undefined ? [] : [`${INDENT}${colors.cyan('mend:')} ${lineText(one.mend)}`];
  return [
    `  ${paint(SIGNS[one.severity])}   ${first}`,
    ...rest.map((line) => `${INDENT}${line}`),
    ...(code === '' ? [] : [`${INDENT}${code}`]),
    ...mend,
  ];
}

const PAINTS: Readonly<Record<Severity, (colors: Colors) => (text: string) => string>> = {
  error: (colors) => colors.red,
  warning: (colors) => colors.yellow,
  info: (colors) => colors.blue,
  ok: (colors) => colors.green,
};
