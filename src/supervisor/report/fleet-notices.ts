/** Lines for people about what comes and goes while the fleet runs, and what becomes of changed configurations. */
import type { ConfigOutcome } from '../fleet.ts';
import { plainText } from './plain-text.ts';
import type { Report } from './report.ts';

export interface FleetNoticesOptions {
  /** `word` stands where a state would. */
  readonly notice: (id: string, word: string, text: string) => void;
  readonly warn: (id: string, message: string) => void;
}

export function createFleetNotices(
  options: FleetNoticesOptions,
): Pick<Report, 'added' | 'removed' | 'config'> {
  const { notice, warn } = options;
  return {
    added: (id, dir) => notice(id, 'added', plainText(dir)),
    removed: (id, dir) => notice(id, 'removed', plainText(dir)),
    config: (outcome, id) => {
      if (outcome.type === 'config.applied') notice(id, 'reloaded', reloadText(outcome));
      else warn(id, `${outcome.problem.message}; it goes on with the configuration it has`);
    },
  };
}

function reloadText({ how, sections }: Extract<ConfigOutcome, { type: 'config.applied' }>): string {
  const changed = sections.map(plainText).join(', ');
  switch (how) {
    case 'live':
      return `${changed}: in use`;
    case 'restart':
      return `${changed}: starts again with it`;
    case 'next start':
      return `${changed}: in use from the next start`;
    case 'nothing':
      return 'openagent.yaml says again what is in use';
  }
}
