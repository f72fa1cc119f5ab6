/**
 * The talk with JavaScript that is stuck, over any channel to its inspector: pause, read, let it go on, look whether it
 * lives after all, and only then end it. One that had merely been away in a long native call answers at the first
 * moment it is back, so an answer alone proves no hang. It is ended by an exit that is evaluated while it is paused:
 * `Runtime.terminateExecution` unwinds first into a thread that is not stopping yet, which ended the whole process with
 * "async hook stack has become corrupted" in two of three runs on `Atomics.wait`.
 */
import { AGENT_FACTS, type AgentFacts, toAgentFacts } from '../contract/vitals.ts';
import { type Profile, usersStack } from './profile.ts';

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
const PAUSE_MS = 10;
/** How often one that was paused elsewhere is let go on and paused again, in the hope of code of the user. */
const PAUSES_MAX = 4;
/** Long enough to be somewhere else by then. */
const BETWEEN_PAUSES_MS = 2;
/** How often one is sampled that is not in code of the user when it is paused, for as long as a second look takes. */
const SAMPLE_US = 200;
/** How soon a step ends in code of the user, if ever: V8 forgets steps, too. */
const STEP_MS = 100;
const STEPS_MAX = 3;

const READ_FACTS = `JSON.stringify(globalThis[Symbol.for('${AGENT_FACTS}')]?.() ?? null)`;

export async function examine(debuggee: Debuggee, surroundings: Surroundings): Promise<Examination> {
  await debuggee.post('Debugger.enable');
  const read = await readPaused(debuggee, surroundings);
  // One that was sampled has been left alone for as long already.
  if (!read.isSampled) {
    surroundings.hasMoved();
    await debuggee.post('Debugger.resume');
    await surroundings.wait(SECOND_LOOK_MS);
  }
  const { isSampled, ...seen } = read;
  if (surroundings.hasMoved()) {
    if (isSampled) await debuggee.post('Debugger.resume');
    return { ...seen, outcome: 'alive' };
  }
  if (!isSampled) await pause(debuggee, surroundings.wait);
  const ended: Examination = { ...seen, outcome: 'ended' };
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
): Promise<Omit<Examination, 'outcome'> & { readonly isSampled: boolean }> {
  const seen = await pauseInUser(debuggee, surroundings);
  const isSampled = !isOfUser(seen, surroundings);
  const frames = isSampled
    ? ((await sampleUser(debuggee, surroundings)) ?? (await stepToUser(debuggee, surroundings)))
    : seen;
  const [heap, facts] = await Promise.all([readHeap(debuggee), readFacts(debuggee)]);
  return { frames: frames ?? seen, heap, facts, isSampled };
}

/** Samples cost more the fuller the heap is, some pauses nearly nothing; so those come first. Leaves it paused. */
async function pauseInUser(debuggee: Debuggee, surroundings: Surroundings): Promise<readonly Frame[]> {
  for (let pauses = 1; ; pauses += 1) {
    const frames = toFrames(await pause(debuggee, surroundings.wait), debuggee);
    surroundings.onPaused?.();
    if (isOfUser(frames, surroundings) || pauses === PAUSES_MAX) return frames;
    await debuggee.post('Debugger.resume');
    await surroundings.wait(BETWEEN_PAUSES_MS);
  }
}

/**
 * An endless chain of promises, of `nextTick` or of stream events passes through Node's functions and ours nearly all
 * the time, and its own, once compiled well, may have no place where a pause could cut in. So it is sampled while it
 * runs, and the stack with code of the user that was seen most often is it. Leaves it paused, as the next one does;
 * undefined where nothing of the user was seen.
 */
async function sampleUser(
  debuggee: Debuggee,
  surroundings: Surroundings,
): Promise<readonly Frame[] | undefined> {
  await debuggee.post('Profiler.enable');
  await debuggee.post('Profiler.setSamplingInterval', { interval: SAMPLE_US });
  await debuggee.post('Profiler.start');
  surroundings.hasMoved();
  await debuggee.post('Debugger.resume');
  await surroundings.wait(SECOND_LOOK_MS);
  const { profile } = (await debuggee.post('Profiler.stop')) as { profile: Profile };
  await pause(debuggee, surroundings.wait);
  surroundings.onPaused?.();
  const frames = usersStack(profile, (url) => isUsersScript(url, surroundings.ownDir));
  await debuggee.post('Profiler.disable');
  return frames;
}

/**
 * What is compiled into a function of Node as a part of it is in no sample, but a step into whatever is called next,
 * with Node's functions and ours going by, ends there. It is the last resort: V8 of Node 20 was seen to end the
 * whole process (`Check failed: inlineability`) when steps fell into a function that it was just compiling.
 */
async function stepToUser(
  debuggee: Debuggee,
  surroundings: Surroundings,
): Promise<readonly Frame[] | undefined> {
  const patterns = notUsersPatterns(surroundings);
  for (let steps = 0; steps < STEPS_MAX; steps += 1) {
    await debuggee.post('Debugger.setBlackboxPatterns', { patterns });
    const frames = toFrames(
      await pauseBy('Debugger.stepInto', STEP_MS, debuggee, surroundings.wait),
      debuggee,
    );
    surroundings.onPaused?.();
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
 * Nothing goes by any more then: where nothing else runs, no pause would ever come.
 */
async function pauseBy(
  method: 'Debugger.pause' | 'Debugger.stepInto',
  patienceMs: number,
  debuggee: Debuggee,
  wait: Surroundings['wait'],
): Promise<PausedParams> {
  const paused = debuggee.paused();
  const isPaused = paused.then(() => true);
  await debuggee.post(method);
  let isDone = await Promise.race([isPaused, wait(patienceMs)]);
  if (method === 'Debugger.stepInto') await debuggee.post('Debugger.setBlackboxPatterns', { patterns: [] });
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

/** The same, as V8 takes it. */
function notUsersPatterns({ ownDir }: Surroundings): readonly string[] {
  return ['^node:', `^(file://)?${ownDir.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}/`];
}
