/** Colours of a command's output: for terminals, and not where somebody asked for none. */
import picocolors from 'picocolors';
import type { AgentState } from '../contract/fleet/agent-states.ts';
import type { CommandContext, OutputStream } from './command-context.ts';
import { styleOfState } from './top/state-look.ts';

export type Colors = ReturnType<typeof picocolors.createColors>;

export function colorsOf(stream: OutputStream, env: CommandContext['env']): Colors {
  return picocolors.createColors(hasColors(stream, env));
}

function hasColors(stream: OutputStream, env: CommandContext['env']): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && env.TERM !== 'dumb';
}

export function paintState(state: AgentState, text: string, colors: Colors): string {
  const { color, bold, dim } = styleOfState(state);
  const colored = color === undefined ? text : colors[color](text);
  const strong = bold === true ? colors.bold(colored) : colored;
  return dim === true ? colors.dim(strong) : strong;
}

const AGENT_COLORS = [
  'cyan',
  'magenta',
  'blue',
  'green',
  'yellow',
  'cyanBright',
  'magentaBright',
  'blueBright',
] as const;

/** The same agent has the same colour in every line of every run. */
export function paintAgent(id: string, text: string, colors: Colors): string {
  let sum = 0;
  for (const character of id) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521;
  return colors[AGENT_COLORS[sum % AGENT_COLORS.length] ?? 'cyan'](text);
}
