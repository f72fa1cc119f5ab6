/**
 * The supervisor's end of the pipe to an agent process's monitor: asks it to look at the agent, and reads what it found.
 * The agent's own code could write to that pipe, so an answer counts only in its known shape and bounded length; no
 * answer in time means that nobody can look.
 */
import type { Readable, Writable } from 'node:stream';
import type { Examination, Frame } from '../autopsy/examine.ts';
import type { Clock } from '../contract/clock.ts';
import { ACTIVITIES_MAX, ACTIVITY_KINDS, type Activity, toAgentFacts } from '../contract/vitals.ts';

export interface ExaminedProcess extends Examination {
  readonly activities: readonly Activity[];
}

export interface MonitorLink {
  /** Never rejects. */
  examine(): Promise<ExaminedProcess>;
}

/** Above the two deadlines of the monitor itself. */
const ANSWER_MS = 3_700;
const ANSWER_CHARS_MAX = 200_000;
const FRAMES_MAX = 40;
const TEXT_CHARS_MAX = 2_000;

const UNREACHABLE: ExaminedProcess = {
  outcome: 'unreachable',
  frames: [],
  heap: undefined,
  facts: undefined,
  activities: [],
};

export function createMonitorLink(pipe: unknown, clock: Clock): MonitorLink {
  const stream = pipe as (Readable & Writable) | null | undefined;
  let onAnswer: (line: string) => void = () => {};
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(0, ANSWER_CHARS_MAX);
    for (const line of lines) onAnswer(line);
  });
  // It ends with the process, whose exit is reported on its own.
  stream?.on('error', () => {});

  return {
    examine: () =>
      new Promise((resolve) => {
        if (!stream?.writable) return resolve(UNREACHABLE);
        const timer = clock.setTimeout(() => resolve(UNREACHABLE), ANSWER_MS);
        onAnswer = (line) => {
          clock.clearTimeout(timer);
          resolve(toExamined(line) ?? UNREACHABLE);
        };
        stream.write('examine\n');
      }),
  };
}

function toExamined(line: string): ExaminedProcess | undefined {
  let answer: Record<string, unknown>;
  try {
    answer = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined; // not our monitor's
  }
  const outcome = (['ended', 'alive', 'native'] as const).find((known) => known === answer?.outcome);
  if (outcome === undefined || !Array.isArray(answer.frames) || !Array.isArray(answer.activities))
    return undefined;
  return {
    outcome,
    frames: answer.frames.slice(0, FRAMES_MAX).flatMap((frame) => toFrame(frame) ?? []),
    heap: toHeap(answer.heap),
    facts: toAgentFacts(JSON.stringify(answer.facts ?? null)),
    activities: answer.activities.slice(0, ACTIVITIES_MAX).flatMap((activity) => toActivity(activity) ?? []),
  };
}

function toFrame(value: unknown): Frame | undefined {
  const { name, url, line, column } = (value ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || typeof url !== 'string') return undefined;
  if (typeof line !== 'number' || typeof column !== 'number') return undefined;
  return { name: name.slice(0, TEXT_CHARS_MAX), url: url.slice(0, TEXT_CHARS_MAX), line, column };
}

function toHeap(value: unknown): Examination['heap'] {
  const { usedBytes, totalBytes } = (value ?? {}) as Record<string, unknown>;
  return typeof usedBytes === 'number' && typeof totalBytes === 'number'
    ? { usedBytes, totalBytes }
    : undefined;
}

function toActivity(value: unknown): Activity | undefined {
  const { kind, detail, sinceMs } = (value ?? {}) as Record<string, unknown>;
  const known = ACTIVITY_KINDS.find((one) => one === kind);
  if (known === undefined || typeof detail !== 'string' || typeof sinceMs !== 'number') return undefined;
  return { kind: known, detail: detail.slice(0, TEXT_CHARS_MAX), sinceMs };
}
