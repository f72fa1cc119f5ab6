/**
 * The talk with JavaScript that is stuck, over any channel to its inspector: pause, read, let it go on, look whether it
 * lives after all, and only then end it. One that had merely been away in a long native call answers at the first
 * moment it is back, so an answer alone proves no hang. It is ended by an exit that is evaluated while it is paused:
 * `Runtime.terminateExecution` unwinds first into a thread that is not stopping yet, which ended the whole process with
 * "async hook stack has become corrupted" in two of three runs on `Atomics.wait`.
 */
import { AGENT_FACTS, type AgentFacts, toAgentFacts } from '../contract/vitals.ts';

/** Exit code of what was ended this way. */
export const INTERRUPTED_EXIT_CODE = 71;
export const EXIT_EXPRESSION = `process.exit(${INTERRUPTED_EXIT_CODE})`;

/** One function on the stack, innermost first. Line and column begin at 1. */
export interface Frame {
  readonly name: string;
  readonly url: string;
  readonly line: number;
  readonly column: number;
}

export interface HeapUse {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

/**
 * `ended`: it hung and was told to exit. `alive`: its loop turned while it was looked at, nothing was done.
 * `native`: it did not answer. `unreachable`: there is nobody who could look.
 */
export interface Examination {
  readonly outcome: 'ended' | 'alive' | 'native' | 'unreachable';
  readonly frames: readonly Frame[];
  readonly heap: HeapUse | undefined;
  readonly facts: AgentFacts | undefined;
}

export const NO_ANSWER: Examination = {
  outcome: 'native',
  frames: [],
  heap: undefined,
  facts: undefined,
};

/** The inspector of one thread. Answers that never come are cut off by whoever closes the channel. */
export interface Debuggee {
  /** Rejects where the method fails. */
  post(method: string, params?: object): Promise<unknown>;
  /** The next pause. */
  paused(): Promise<PausedParams>;
  /** Where a script came from; frames themselves do not say. */
  urlOf(scriptId: string): string;
}

export interface PausedParams {
  readonly callFrames: readonly {
    readonly functionName: string;
    readonly location: {
      readonly scriptId: string;
      readonly lineNumber: number;
      readonly columnNumber?: number;
    };
  }[];
}

export interface Surroundings {
  wait(ms: number): Promise<void>;
  /** Whether the thread's loop turned, or its work went on, since this was last called. */
  hasMoved(): boolean;
  /** Where the product's own files lie: what an operator looks for on the stack is the user's. */
  readonly ownDir: string;
  /** It does answer: what follows is worth more time. */
  onPaused?(): void;
  /** Told just before it is ended: it may be gone before anything else is heard of it. */
  onEnding?(examination: Examination): void;
}

const FRAMES_MAX = 40;
/** How long it is left alone between reading and ending: a loop that turns shows it within that time. */
const SECOND_LOOK_MS = 100;
/** For what the agent tells of itself while it is paused. */
const FACTS_MS = 100;
/** How soon one that has taken a request for a pause is paused, or never will be. */
const PAUSE_MS = 50;
/** For a step to its end: it may have to run through a callback that takes long. */
const STEP_MS = 500;
/** For all steps to code of the user: they are few, and each goes over the whole heap. */
const STEPPING_MS = 1_500;
const STEPS_MAX = 64;

const READ_FACTS = `JSON.stringify(globalThis[Symbol.for('${AGENT_FACTS}')]?.() ?? null)`;

export async function examine(debuggee: Debuggee, surroundings: Surroundings): Promise<Examination> {
  await debuggee.post('Debugger.enable');
  const read = await readPaused(debuggee, surroundings);
  surroundings.hasMoved();
  await debuggee.post('Debugger.resume');
  await surroundings.wait(SECOND_LOOK_MS);
  if (surroundings.hasMoved()) return { ...read, outcome: 'alive' };
  await pause(debuggee, surroundings.wait);
  const ended: Examination = { ...read, outcome: 'ended' };
  surroundings.onEnding?.(ended);
  // Together: it must not run on before the exit. Whether it is answered does not matter: evaluating it fails, because
  // what evaluates has ended.
  await Promise.allSettled([
    debuggee.post('Runtime.evaluate', { expression: EXIT_EXPRESSION }),
    debuggee.post('Debugger.resume'),
  ]);
  return ended;
}

/** Leaves it paused, in code of the user where that is to be had. */
async function readPaused(
  debuggee: Debuggee,
  surroundings: Surroundings,
): Promise<Omit<Examination, 'outcome'>> {
  const paused = await pause(debuggee, surroundings.wait);
  surroundings.onPaused?.();
  const seen = toFrames(paused, debuggee);
  const frames = isOfUser(seen, surroundings) ? seen : await stepToUser(debuggee, surroundings);
  const [heap, facts] = await Promise.all([readHeap(debuggee), readFacts(debuggee)]);
  return { frames: frames ?? seen, heap, facts };
}

/**
 * An endless chain of promises passes through Node's hooks and ours nearly all the time, and its own functions, once
 * compiled well, may have no place where a pause could cut in. A step out of the outermost function ends in the next
 * one that is called, whoever calls it, so a few of them lead to the user's. Undefined where they do not.
 */
async function stepToUser(
  debuggee: Debuggee,
  surroundings: Surroundings,
): Promise<readonly Frame[] | undefined> {
  const untilMs = performance.now() + STEPPING_MS;
  for (let steps = 0; steps < STEPS_MAX && performance.now() < untilMs; steps += 1) {
    const stepped = await pauseBy('Debugger.stepOut', STEP_MS, debuggee, surroundings.wait);
    const frames = toFrames(stepped, debuggee);
    if (isOfUser(frames, surroundings)) return frames;
  }
  return undefined;
}

function isOfUser(frames: readonly Frame[], { ownDir }: Surroundings): boolean {
  return frames.some(({ url }) => isUsersScript(url, ownDir));
}

/** Resolves with the pause; never where it does not answer. */
export function pause(debuggee: Debuggee, wait: Surroundings['wait']): Promise<PausedParams> {
  return pauseBy('Debugger.pause', PAUSE_MS, debuggee, wait);
}

/**
 * V8 forgets a pause that it was asked for between two functions: one in a hundred in a chain of promises, one in three
 * where that chain fills the heap. So it is asked again, once it has answered; one that is paused takes no notice.
 */
async function pauseBy(
  method: 'Debugger.pause' | 'Debugger.stepOut',
  patienceMs: number,
  debuggee: Debuggee,
  wait: Surroundings['wait'],
): Promise<PausedParams> {
  const paused = debuggee.paused();
  const isPaused = paused.then(() => true);
  await debuggee.post(method);
  let isDone = await Promise.race([isPaused, wait(patienceMs)]);
  while (!isDone) {
    await debuggee.post('Debugger.pause');
    isDone = await Promise.race([isPaused, wait(PAUSE_MS)]);
  }
  return paused;
}

export function toFrames({ callFrames }: PausedParams, debuggee: Debuggee): readonly Frame[] {
  return callFrames.slice(0, FRAMES_MAX).map(({ functionName, location }) => ({
    name: functionName === '' ? '(anonymous)' : functionName,
    url: debuggee.urlOf(location.scriptId),
    line: location.lineNumber + 1,
    column: (location.columnNumber ?? 0) + 1,
  }));
}

export async function readHeap(debuggee: Debuggee): Promise<HeapUse | undefined> {
  const { usedSize, totalSize } = (await debuggee.post('Runtime.getHeapUsage')) as Record<string, unknown>;
  return typeof usedSize === 'number' && typeof totalSize === 'number'
    ? { usedBytes: usedSize, totalBytes: totalSize }
    : undefined;
}

/** The agent's own words: user code may have put anything in their place. */
async function readFacts(debuggee: Debuggee): Promise<AgentFacts | undefined> {
  const params = { expression: READ_FACTS, returnByValue: true, silent: true, timeout: FACTS_MS };
  const { result } = (await debuggee.post('Runtime.evaluate', params)) as { result?: { value?: unknown } };
  return typeof result?.value === 'string' ? toAgentFacts(result.value) : undefined;
}

/** Neither Node's nor ours, which lies in `ownDir`. */
export function isUsersScript(url: string, ownDir: string): boolean {
  const path = url.startsWith('file://') ? url.slice('file://'.length) : url;
  return path !== '' && path !== 'unknown' && !path.startsWith('node:') && !path.startsWith(`${ownDir}/`);
}
