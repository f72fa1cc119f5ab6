/** How each state of an agent looks, how it is explained, and which ones an operator has to see first. */
import type { AgentState } from '../../contract/fleet/agent-states.ts';
import type { Style } from './style.ts';

interface StateLook {
  readonly style: Style;
  /** On the page that explains everything. */
  readonly meaning: string;
}

/** The worst first: the order in which they are sorted and counted. */
const LOOKS: Readonly<Record<AgentState, StateLook>> = {
  wedged: { style: { color: 'red', bold: true }, meaning: 'does not end' },
  quarantined: { style: { color: 'red' }, meaning: 'given up on; R releases it' },
  refused: { style: { color: 'red' }, meaning: 'cannot be used as it is' },
  hung: { style: { color: 'magenta', bold: true }, meaning: 'no sign of life' },
  stalled: { style: { color: 'magenta' }, meaning: 'in a long native call' },
  backoff: { style: { color: 'yellow' }, meaning: 'crashed; starts again' },
  stopping: { style: { color: 'yellow' }, meaning: 'finishes its turns' },
  starting: { style: { color: 'cyan' }, meaning: 'not ready yet' },
  waiting: { style: { color: 'cyan' }, meaning: 'for its turn to start' },
  running: { style: { color: 'green' }, meaning: 'ready' },
  stopped: { style: { dim: true }, meaning: 'by wish; s starts it' },
};

export const STATES_WORST_FIRST = Object.keys(LOOKS) as readonly AgentState[];

export function styleOfState(state: AgentState): Style {
  return LOOKS[state].style;
}

export function meaningOfState(state: AgentState): string {
  return LOOKS[state].meaning;
}

export function severityOf(state: AgentState): number {
  return STATES_WORST_FIRST.indexOf(state);
}
