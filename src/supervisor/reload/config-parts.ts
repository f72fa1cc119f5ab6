/**
 * In which parts two configurations of an agent differ, as their keys in `openagent.yaml`, and what can be done about each
 * while the agent runs. A part that is not in the table counts as one that needs a restart, so none can be forgotten.
 */
import { isDeepStrictEqual } from 'node:util';
import type { PreparedAgent } from '../fleet.ts';

/** `log`: the agent is told. `spec`: only its supervisor looks at it. `restart`: the agent was built with it. */
type Effect = 'log' | 'spec' | 'restart';

interface Part {
  readonly key: string;
  readonly effect: Effect;
  readonly of: (agent: PreparedAgent) => unknown;
}

export interface Difference {
  /** Dotted keys. */
  readonly sections: readonly string[];
  readonly needsRestart: boolean;
}

const PARTS: readonly Part[] = [
  part('name', ({ settings }) => settings.name),
  part('system_prompt', ({ settings }) => settings.systemPrompt),
  part('model', ({ settings: { model } }) => ({ ...model, providers: undefined })),
  part('providers', ({ settings }) => settings.model.providers),
  part('channels.websocket', ({ settings, preferredPort }) => [settings.gateway, preferredPort]),
  part('channels', ({ settings }) => settings.bridges),
  part('mcp', ({ settings }) => settings.mcp),
  part('memory', ({ settings: { dbPath, vaultPath, trashDays } }) => [dbPath, vaultPath, trashDays]),
  part('limits', ({ settings }) => settings.limits),
  part('logging.level', ({ settings }) => settings.logging.level, 'log'),
  part('logging', ({ settings: { logging } }) => ({ ...logging, level: undefined })),
  part('uploads', ({ settings }) => settings.uploads),
  part('tools', ({ settings }) => settings.tools),
  part('transcription', ({ settings }) => settings.transcription),
  part('scheduler', ({ settings }) => settings.schedule),
  part('supervisor', ({ spec }) => spec, 'spec'),
  part('supervisor.isolation', ({ isolation }) => isolation),
  part('supervisor.transport', ({ transport }) => transport),
];

export function difference(from: PreparedAgent, to: PreparedAgent): Difference {
  const parts = PARTS.filter(({ of }) => !isDeepStrictEqual(of(from), of(to)));
  if (parts.length === 0 && !isDeepStrictEqual(comparable(from), comparable(to))) {
    return { sections: ['openagent.yaml'], needsRestart: true };
  }
  return {
    sections: parts.map(({ key }) => key),
    needsRestart: parts.some(({ effect }) => effect === 'restart'),
  };
}

function part(key: string, of: Part['of'], effect: Effect = 'restart'): Part {
  return { key, effect, of };
}

/** Secrets come from parts that are compared; the ones of keys nobody reads change nothing but what the log hides. */
function comparable({ past: _past, settings, ...agent }: PreparedAgent): object {
  return { ...agent, settings: { ...settings, secrets: [] } };
}
