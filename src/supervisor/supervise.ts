/**
 * Composition root of the host process: puts report, discovery, configuration, locks and fleet together, turns signals
 * into wishes, and ends the process. It never calls `process.exit` while an agent's thread lives: one with open
 * uWebSockets handles would abort the process, and what other agents had not written yet would be lost.
 */
import { availableParallelism, homedir } from 'node:os';
import { systemClock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import { acquireDirectoryLock } from '../storage/directory-lock.ts';
import { sweepChildren } from './child-sweep.ts';
import type { RunOptions } from './command-line.ts';
import { loadAgent } from './config/load-agent.ts';
import { discover } from './discovery.ts';
import { EXIT_CODES, type ExitCode } from './exit-codes.ts';
import { createHumanReport } from './report/human-report.ts';
import { createJsonReport } from './report/json-report.ts';
import type { Report } from './report/report.ts';
import { type Run, type RunEnd, runAgents } from './run-agents.ts';
import { startFleet } from './start-fleet.ts';
import { createStopSignals } from './stop-signals.ts';
import { readTokenOption } from './token-option.ts';

const HEARTBEAT_MS = 1_000;
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** After a second signal everything is gone within this time, or the process ends with what is left in it. */
const FORCE_MS = 1_000;
/** After a defect of ours nothing can be relied on, an orderly end least: it gets this long. */
const ABANDON_MS = 20_000;
/** Nothing of ours keeps the process alive once all agents have ended; should anything, it is left behind. */
const LEFT_BEHIND_MS = 2_000;
/** For the launcher to be told an exit code. */
const TELL_MS = 200;

/** The clock that all processes of a machine share; the launcher stamps its signals with it. */
const sharedClockMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

export interface Invocation {
  readonly dirs: readonly string[];
  readonly options: RunOptions;
  readonly version: string;
  /** The file an agent's thread or process runs. */
  readonly agentEntry: string;
}

export async function supervise(invocation: Invocation): Promise<void> {
  const report = openReport(invocation.options);
  let token: string | undefined;
  try {
    token = await readTokenOption(invocation.options, (warning) => report.warning(warning, undefined));
  } catch (error) {
    if (!AppError.is(error)) throw error;
    process.stderr.write(`error: ${error.message}\n`);
    process.exitCode = EXIT_CODES.usage.code;
    return;
  }
  report.started(process.pid, invocation.version);
  const run = start(invocation, token, report);
  const end = createEnd(run, report);
  listen(run, report, end);
  end(await run.ended);
}

type End = (end: RunEnd) => void;

/** How the process ends, whichever comes first: the run's own end, or a deadline. */
function createEnd(run: Run, report: Report): End {
  // The fleet alone decides when this process ends, also at a moment when all its agents wait to be restarted.
  const keptAlive = setInterval(() => {}, 2 ** 30);
  let hasEnded = false;
  return ({ reason, wedged, isHeld }) => {
    if (hasEnded) return;
    hasEnded = true;
    const exitCode = EXIT_CODES[reason].code;
    report.stopped(exitCode, wedged);
    if (isHeld) {
      run.killProcesses();
      killSelf(exitCode);
      return;
    }
    clearInterval(keptAlive);
    process.exitCode = exitCode;
    // The launcher's channel would keep us: it is read for signals.
    if (process.connected) process.disconnect();
    setTimeout(() => process.exit(), LEFT_BEHIND_MS).unref();
  };
}

function openReport({ json }: RunOptions): Report {
  return (json ? createJsonReport : createHumanReport)({
    out: process.stdout,
    err: process.stderr,
    env: process.env,
    monotonicMs: systemClock.monotonicMs,
    wallMs: systemClock.wallMs,
  });
}

function start(
  { dirs, options, version, agentEntry }: Invocation,
  token: string | undefined,
  report: Report,
): Run {
  const { host, port, transport, isolation, logLevel } = options;
  const overrides = {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(token === undefined ? {} : { token }),
    ...(transport === undefined ? {} : { transport }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(logLevel === undefined ? {} : { logLevel }),
  };
  /** As given: the id is the base name of that, not of what a symbolic link leads to. */
  const dirById = new Map<string, string>();
  const load = async (dir: string) => {
    const loaded = await loadAgent(dir, { env: process.env, homeDir: homedir(), overrides });
    dirById.set(loaded.prepared.spec.id, dir);
    return loaded;
  };
  const fleet = startFleet({
    entry: agentEntry,
    clock: systemClock,
    random: Math.random,
    startConcurrency: 2 * availableParallelism(),
    heartbeatMs: HEARTBEAT_MS,
    version,
    prepareAgain: async ({ spec }) => (await load(dirById.get(spec.id) ?? spec.dir)).prepared,
    onOutput: report.output,
    onDefect: report.defect,
  });
  return runAgents({
    discover: () => discover(dirs, process.cwd()),
    loadAgent: load,
    lock: (dir) => acquireDirectoryLock(dir, { version }, systemClock),
    sweep: (dir) => sweepChildren(dir, [], report.defect),
    fleet,
    report,
  });
}

/** From here on signals are wishes, and a defect stops the agents instead of cutting them off. */
function listen(run: Run, report: Report, end: End): void {
  const signals = createStopSignals({
    nowMs: sharedClockMs,
    onDrain(signal) {
      report.stopping(signal, 'drain');
      run.drain();
    },
    onForce(signal) {
      report.stopping(signal, 'force');
      run.force();
      setTimeout(() => end({ reason: 'forced', wedged: [], isHeld: true }), FORCE_MS).unref();
    },
  });
  for (const signal of STOP_SIGNALS) process.on(signal, () => signals.receive(signal, sharedClockMs()));
  process.on('message', (message: unknown) => {
    if (isSignalMessage(message)) signals.receive(message.signal, message.sentMs);
  });
  // The launcher may be killed without us noticing: agents matter, it does not.
  process.channel?.unref();
  process.on('uncaughtException', (error) => {
    report.defect(error);
    run.abandon();
    setTimeout(() => end({ reason: 'defect', wedged: [], isHeld: true }), ABANDON_MS).unref();
  });
}

function isSignalMessage(
  message: unknown,
): message is { readonly signal: NodeJS.Signals; readonly sentMs: number } {
  if (typeof message !== 'object' || message === null) return false;
  const { type, signal, sentMs } = message as Record<string, unknown>;
  return type === 'signal' && typeof sentMs === 'number' && STOP_SIGNALS.some((known) => known === signal);
}

/** The end of a process some of whose threads do not end. The launcher is told the exit code a signal cannot carry. */
function killSelf(exitCode: ExitCode): void {
  const kill = (): void => {
    process.kill(process.pid, 'SIGKILL');
  };
  if (process.connected && process.send !== undefined) {
    process.send({ type: 'exiting', exitCode }, kill);
    setTimeout(kill, TELL_MS);
  } else kill();
}
