/** Agents by the names that somebody typed: one that is not there is told with what was probably meant. */
import { closest, distance } from 'fastest-levenshtein';
import { AppError } from '../contract/errors.ts';
import type { FleetAgent } from '../contract/fleet/schemas.ts';
import { lineText } from './terminal-text.ts';

const NAMES_MAX = 20;

/** In the order in which they were named, each once. */
export function findAgents(ids: readonly string[], agents: readonly FleetAgent[]): readonly FleetAgent[] {
  return [...new Set(ids)].map((id) => {
    const agent = agents.find((each) => each.id === id);
    if (agent === undefined) throw new AppError('agent.not_found', notFound(id, agents));
    return agent;
  });
}

function notFound(id: string, agents: readonly FleetAgent[]): string {
  const ids = agents.map((agent) => agent.id);
  const near = ids.length === 0 ? undefined : closest(id, ids);
  const meant =
    near !== undefined && distance(id, near) <= Math.max(1, id.length / 3)
      ? `; did you mean ${lineText(near)}?`
      : '';
  const more = ids.length > NAMES_MAX ? ', …' : '';
  const known = ids.slice(0, NAMES_MAX).map(lineText).join(', ');
  return `there is no agent ${lineText(id)}${meant || `; there are: ${known}${more}`}`;
}
