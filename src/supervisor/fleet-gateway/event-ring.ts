/**
 * What happened to the fleet, the newest thousand of it: kept so that who asks later, or comes back, misses nothing of
 * that. What is only noise to a reader (a figure that moved) is no event.
 */
import type { FleetEventEntry } from '../../contract/fleet/schemas.ts';
import type { AgentStatus, ConfigOutcome } from '../fleet.ts';
import type { FleetNews } from './supervised-fleet.ts';

export interface EventRing {
  add(news: FleetNews): void;
  /** Those that are kept and have a higher number, oldest first. */
  since(seq: number): readonly FleetEventEntry[];
  nextSeq(): number;
  /** What it gives back ends it. */
  follow(listener: (entry: FleetEventEntry) => void): () => void;
}

type Facts = Pick<FleetEventEntry, 'event' | 'agent' | 'text' | 'details'>;

export function createEventRing(eventsMax: number, wallMs: () => number): EventRing {
  let entries: FleetEventEntry[] = [];
  let seq = 0;
  const seen = new Map<string, AgentStatus>();
  const listeners = new Set<(entry: FleetEventEntry) => void>();

  return {
    add(news) {
      const facts = toFacts(news, seen);
      if (facts === undefined) return;
      const entry = { seq: ++seq, ts: wallMs() / 1000, ...facts };
      entries.push(entry);
      // Now and then, and not with each event: a shift moves all of them.
      if (entries.length >= 2 * eventsMax) entries = entries.slice(-eventsMax);
      for (const listener of listeners) listener(entry);
    },
    since: (after) => entries.slice(-eventsMax).filter((entry) => entry.seq > after),
    nextSeq: () => seq + 1,
    follow(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** Undefined: nothing that a reader would call an event. `seen`: each agent as it was last told of. */
function toFacts(news: FleetNews, seen: Map<string, AgentStatus>): Facts | undefined {
  switch (news.type) {
    case 'agent.changed':
      return changed(news.agent, seen);
    case 'agent.added': {
      const { id, dir } = news.agent;
      return { event: news.type, agent: id, text: `supervised from now on, in ${dir}`, details: { dir } };
    }
    case 'agent.removed':
      seen.delete(news.id);
      return { event: news.type, agent: news.id, text: 'supervised no more', details: { dir: news.dir } };
    case 'agent.commanded': {
      const { id, command } = news;
      return { event: news.type, agent: id, text: `${command} was asked for`, details: { command } };
    }
    case 'agent.warning': {
      const { code, message, details } = news.warning;
      return {
        ...{ event: news.type, agent: news.id, text: oneLine(message) },
        details: { ...figuresIn(details), code },
      };
    }
    case 'agent.incident': {
      const { kind, text, file } = news.incident;
      const name = file === undefined ? null : incidentName(file);
      return { event: news.type, agent: news.id, text: oneLine(text), details: { kind, name } };
    }
    case 'config.applied':
    case 'config.invalid':
      return { event: news.type, agent: news.id, ...configFacts(news) };
    default:
      return { event: news.type, agent: null, text: FLEET_TEXTS[news.type], details: {} };
  }
}

const FLEET_TEXTS = {
  'fleet.started': 'the supervisor has started',
  'fleet.settled': 'the first start of every agent is decided',
  'fleet.stopping': 'the supervisor is stopping',
} as const;

function changed(status: AgentStatus, seen: Map<string, AgentStatus>): Facts | undefined {
  const before = seen.get(status.id);
  seen.set(status.id, status);
  const { id, state, reason, port, restarts } = status;
  const isSame =
    before?.state === state &&
    before.reason === reason &&
    before.port === port &&
    before.restarts === restarts;
  if (isSame) return undefined;
  const details = {
    state,
    previous: before?.state ?? null,
    port: port ?? null,
    restarts,
    restart_in_ms: status.restartInMs ?? null,
    reason: reason === undefined ? null : { code: reason.code, message: reason.message },
  };
  return { event: 'agent.changed', agent: id, text: stateText(status), details };
}

function stateText({ state, port, reason }: AgentStatus): string {
  if (state === 'running') return port === undefined ? state : `${state} on port ${port}`;
  return reason === undefined ? state : `${state}: ${oneLine(reason.message)}`;
}

function configFacts(outcome: ConfigOutcome): Pick<Facts, 'text' | 'details'> {
  if (outcome.type === 'config.invalid') {
    const { problem, line } = outcome;
    const { code, message } = problem;
    return {
      text: `openagent.yaml is not used: ${oneLine(message)}`,
      details: { code, message, line: line ?? null },
    };
  }
  const { how, sections } = outcome;
  return { text: `openagent.yaml: ${APPLIED[how]}`, details: { how, sections: [...sections] } };
}

const APPLIED = {
  live: 'applied while running',
  restart: 'applied by a restart of this agent',
  'next start': 'in use with the next start',
  nothing: 'what is in use is what it says',
} as const;

const FIGURES_MAX = 10;
const FIGURE_CHARS = 100;

/** The plain ones: what an agent tells may be anything, and the events are kept. */
function figuresIn(details: unknown): Record<string, number | string> {
  if (typeof details !== 'object' || details === null) return {};
  const plain = Object.entries(details).filter(
    (entry): entry is [string, number | string] =>
      typeof entry[1] === 'number' || (typeof entry[1] === 'string' && entry[1].length <= FIGURE_CHARS),
  );
  return Object.fromEntries(plain.slice(0, FIGURES_MAX));
}

/** `/…/2026-11-22T17-15-37.123Z.json` → what the incident's route calls it. */
function incidentName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1).replace(/\.json$/, '');
}

const TEXT_CHARS = 500;

function oneLine(text: string): string {
  const line = text.replaceAll(/\s*\n\s*/g, ' ').trim();
  return line.length > TEXT_CHARS ? `${line.slice(0, TEXT_CHARS - 1)}…` : line;
}
