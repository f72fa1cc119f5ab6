/** What stands on the screen, line by line: always exactly as many lines as it has, none wider than it is. */
import { agentsPage } from './agents-page.ts';
import { helpPage } from './help-page.ts';
import type { Line } from './style.ts';
import type { TopState } from './top-state.ts';

export function screenLines(state: TopState): readonly Line[] {
  const lines = state.page === 'help' ? helpPage(state) : agentsPage(state);
  return lines.slice(0, state.size.rows);
}
