/** What an operator can do about an agent, as commands that can be copied. */
import type { FleetAgent } from '../contract/fleet/schemas.ts';

const PROGRAM = 'openagent-supervisor';

export function nextStep({ id, dir, state, config }: FleetAgent): string | undefined {
  const word = quoted(id);
  const look = `${PROGRAM} logs --agent ${word}`;
  switch (state) {
    case 'quarantined':
      return `find the cause (${look}; ${PROGRAM} incidents --agent ${word}), mend it, then: ${PROGRAM} release ${word}`;
    case 'backoff':
      return `it starts again by itself; find the cause: ${look}`;
    case 'hung':
    case 'stalled':
      return `wait: it is being read; what was found: ${PROGRAM} incidents --agent ${word}`;
    case 'wedged':
      return `it does not end; start the whole supervisor again to be rid of it`;
    case 'refused':
      return `mend what the reason names, then: ${PROGRAM} add ${quoted(dir)}`;
    case 'stopped':
      return `${PROGRAM} start ${word}`;
    default:
      return config.state === 'invalid'
        ? `mend openagent.yaml; it is read as soon as it is saved`
        : undefined;
  }
}

/** As a shell takes it for one word. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
