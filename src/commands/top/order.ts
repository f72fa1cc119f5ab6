/** Which agents stand in the table, and in which order. */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { SORTINGS, type SortKey } from './columns.ts';

export interface Sort {
  readonly by: SortKey;
  readonly descending: boolean;
}

/** Numbers in ids by their value: `agent-2` before `agent-10`. */
const collator = new Intl.Collator('en', { numeric: true });

/** What has no value stands last, whichever way; equals stay in the order of their ids. */
export function sortAgents(agents: readonly FleetAgent[], { by, descending }: Sort): readonly FleetAgent[] {
  const { value } = SORTINGS[by];
  return [...agents].sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    if (one === null || other === null) {
      return Number(one === null) - Number(other === null) || collator.compare(a.id, b.id);
    }
    const order =
      typeof one === 'number' && typeof other === 'number'
        ? one - other
        : collator.compare(String(one), String(other));
    return (descending ? -order : order) || collator.compare(a.id, b.id);
  });
}

/** Those of which an id, name, state or model contains every word of it, in upper or lower case. */
export function filterAgents(agents: readonly FleetAgent[], filter: string): readonly FleetAgent[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return agents;
  return agents.filter(({ id, name, state, model }) => {
    const text = `${id}\n${name ?? ''}\n${state}\n${model ?? ''}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** The first press sorts as is most useful, the next ones turn it round. */
export function nextSort(sort: Sort, by: SortKey): Sort {
  return { by, descending: sort.by === by ? !sort.descending : SORTINGS[by].descending };
}
