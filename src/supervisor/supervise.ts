/**
 * Composition root of the host process: puts report, discovery, configuration, locks and fleet together, turns signals
 * into wishes, and ends the process. It never calls `process.exit` while an agent's thread lives: one with open
 * uWebSockets handles would abort the process, and what other agents had not written yet would be lost.
 */
import { availableParallelism, homedir } from 'node:os';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import { acquireDirectoryLock } from '../storage/directory-lock.ts';
import { answerBy, configAnswers } from './answer-questions.ts';
import { sweepChildren } from './child-sweep.ts';
import type { RunOptions } from './command-line/run-command.ts';
import type { Overrides } from './config/resolve-config.ts';
import { openConfig } from './config-store/open-config.ts';
import { discover, discoverAgain, discoverOne } from './discovery.ts';
import { EXIT_CODES } from './exit-codes.ts';
import type { AgentStatus, Fleet } from './fleet.ts';
import { heardBy, openHostGateway, superviseWith } from './fleet-gateway/host-gateway.ts';
import type { FleetGateway } from './fleet-gateway/open-fleet-gateway.ts';
import { readBreadcrumb } from './read-breadcrumb.ts';
import { createLateReload } from './reload/late-reload.ts';
import { createHumanReport } from './report/human-report.ts';
import { createJsonReport } from './report/json-report.ts';
import type { Report } from './report/report.ts';
import { type Run, type RunEnd, runAgents } from './run-agents.ts';
import { startFleet } from './start-fleet.ts';
import { createStopSignals } from './stop-signals.ts';
import { readTokenOption } from './token-option.ts';
import { createFleetVaults } from './vault-watch/fleet-vaults.ts';
import { type Aftermath, createAftermath } from './watchdog-aftermath.ts';
import { channelOf, connectWatchdog, type LauncherSignal, type Watchdog } from './watchdog-link.ts';

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
/** An agent under suspicion has to live for this long before the next one is started. */
const TRIAL_MS = 2_000;
/** A native call may still return: only then are all agents restarted because of one. */
const WEDGED_MS = 10_000;

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
  const watchdog = await connectWatchdog(invocation.options.watchdog ? channelOf(process) : undefined);
  const { launched } = watchdog;
  const deaths = launched.death?.total ?? 0;
  const gateway = await openHostGateway({ ...invocation, watchdog: watchdog.state, deaths, report });
  const { socket, url } = gateway;
  report.started(process.pid, invocation.version, { watchdog: watchdog.state(), deaths, socket, url });
  const aftermath = createAftermath({
    launched,
    clock: systemClock,
    remember: watchdog.remember,
    forgive: watchdog.forgive,
    readCrumb: readBreadcrumb,
  });
  const host: Host = { report: heardBy(gateway, report), watchdog, aftermath, gateway };
  const run = start(invocation, token, host);
  const end = createEnd(run, host);
  listen(run, host, end);
  end(await run.ended);
}

interface Host {
  readonly report: Report;
  readonly watchdog: Watchdog;
  readonly aftermath: Aftermath;
  readonly gateway: FleetGateway;
}

type End = (end: RunEnd) => void;

/** How the process ends, whichever comes first: the run's own end, or a deadline. */
function createEnd(run: Run, { report, watchdog, gateway }: Host): End {
  // The fleet alone decides when this process ends, also at a moment when all its agents wait to be restarted.
  const keptAlive = setInterval(() => {}, 2 ** 30);
  let hasEnded = false;
  return ({ reason, wedged, isHeld }) => {
    if (hasEnded) return;
    hasEnded = true;
    const exitCode = EXIT_CODES[reason].code;
    // After a defect of ours agents are better off with a fresh host: unannounced, this end is taken for a death.
    const isDeath = reason === 'defect' && watchdog.willRestart();
    if (!isDeath) report.stopped(exitCode, wedged);
    if (isHeld) {
      run.killProcesses();
      gateway.closeNow();
    } else gateway.close().catch((error: unknown) => report.defect(error));
    const told = isDeath ? Promise.resolve() : watchdog.exiting(exitCode);
    void Promise.race([told, sleep(TELL_MS)]).then(() => {
      if (isHeld) process.kill(process.pid, 'SIGKILL');
      clearInterval(keptAlive);
      process.exitCode = exitCode;
      // The launcher's channel would keep us: it is read for signals.
      watchdog.disconnect();
      setTimeout(() => process.exit(), LEFT_BEHIND_MS).unref();
    });
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

/** The fleet, and what is known of its agents' files; nothing runs yet. */
function openFleet(
  { options, version, agentEntry }: Invocation,
  token: string | undefined,
  { report, aftermath }: Host,
) {
  const loadOptions = { env: process.env, homeDir: homedir(), overrides: toOverrides(options, token) };
  const config = openConfig(
    loadOptions,
    systemClock,
    () => fleet,
    (warning, id) => report.warning(warning, id),
  );
  const vaults = createFleetVaults({
    clock: systemClock,
    notify: (id, notice) => fleet.notify(id, notice),
    onDefect: report.defect,
  });
  const fleet: Fleet = startFleet({
    entry: agentEntry,
    clock: systemClock,
    random: Math.random,
    startConcurrency: 2 * availableParallelism(),
    heartbeatMs: HEARTBEAT_MS,
    version,
    hostBoot: aftermath.boot,
    onRecord: (id, past) => aftermath.keeper.record(id, past),
    onForget: (id) => {
      config.forget(id);
      const added = aftermath.keeper.memory.added.filter((dir) => basename(dir) !== id);
      aftermath.keeper.change({ added });
    },
    prepareAgain: async ({ spec }) => {
      const prepared = await config.loadAgain(spec.id);
      vaults.prepared(prepared);
      return prepared;
    },
    onOutput: report.output,
    onQuestion: answerBy({ ...configAnswers(config.store), ...vaults.answers }),
    onDefect: report.defect,
  });
  fleet.subscribe(vaults.note);
  const load = async (dir: string) => {
    const loaded = await config.load(dir);
    vaults.prepared(loaded.prepared);
    const past = aftermath.takePast(loaded.prepared.spec.id);
    return past === undefined ? loaded : { ...loaded, prepared: { ...loaded.prepared, past } };
  };
  return { config, vaults, fleet, load };
}

function start(invocation: Invocation, token: string | undefined, host: Host): Run {
  const { dirs, options, version } = invocation;
  const { report, watchdog, aftermath, gateway } = host;
  const { config, vaults, fleet, load } = openFleet(invocation, token, host);
  fleet.subscribe(gateway.note);
  const cwd = process.cwd();
  let patterns: readonly string[] = [];
  let hasSettled = false;
  const reload = createLateReload(options.reload);
  const run = runAgents({
    discover: async () => {
      const found = await discoverAgain(await discover(dirs, cwd), aftermath.keeper.memory.added, cwd);
      patterns = found.patterns;
      const verdict = await aftermath.judge(found.agents);
      if (verdict) report.warning({ code: 'host.died', message: verdict.says }, verdict.charged?.id);
      return { ...found, alone: verdict?.alone ?? [] };
    },
    onTrial: aftermath.tries,
    lived: () => sleep(TRIAL_MS, undefined, { ref: false }),
    onWedged: ({ id }) => askForAnother(id, () => fleet.agents(), watchdog, aftermath),
    find: (dir, present) => discoverOne(dir, cwd, present),
    loadAgent: async (dir) => {
      const loaded = await load(dir);
      // Whoever adds it now wants it to run, whatever it was under an earlier host.
      const { past: _past, ...prepared } = loaded.prepared;
      return hasSettled ? { ...loaded, prepared } : loaded;
    },
    lock: (dir) => acquireDirectoryLock(dir, { version }, systemClock),
    sweep: (dir) => sweepChildren(dir, [], report.defect),
    onAdded: (dir) => {
      const { added } = aftermath.keeper.memory;
      aftermath.keeper.change({ added: [...new Set([...added, dir])] });
    },
    onSettled: () => {
      hasSettled = true;
      reload.start({
        ...{ clock: systemClock, fleet, run, config, patterns, cwd },
        ...{ warn: report.warning, onDefect: report.defect },
      });
    },
    isOpen: () => gateway.isOpen() || (options.reload && patterns.length > 0),
    fleet,
    report,
  });
  void run.ended.then(reload.close);
  superviseWith(gateway, run, fleet, vaults);
  return run;
}

/** What the command line sets for every agent. */
function toOverrides(options: RunOptions, token: string | undefined): Overrides {
  const { host, port, transport, isolation, logLevel } = options;
  return { host, port, token, transport, isolation, logLevel };
}

/** From here on signals are wishes, and a defect stops the agents instead of cutting them off. */
function listen(run: Run, { report, watchdog, aftermath, gateway }: Host, end: End): void {
  const leave = (): void => {
    gateway.note({ type: 'fleet.stopping' });
    aftermath.keeper.close();
    watchdog.stopping();
  };
  const signals = createStopSignals({
    nowMs: sharedClockMs,
    onDrain(signal) {
      leave();
      report.stopping(signal, 'drain');
      run.drain();
    },
    onForce(signal) {
      leave();
      report.stopping(signal, 'force');
      run.force();
      setTimeout(() => end({ reason: 'forced', wedged: [], isHeld: true }), FORCE_MS).unref();
    },
  });
  for (const signal of STOP_SIGNALS) process.on(signal, () => signals.receive(signal, sharedClockMs()));
  watchdog.onSignal((message) => {
    if (isStopSignal(message)) signals.receive(message.signal, message.sentMs);
  });
  watchdog.onLost(() => report.unwatched(process.pid));
  watchdog.onReplaceRefused(() => aftermath.keeper.change({ culprit: undefined }));
  process.on('uncaughtException', (error) => {
    report.defect(error);
    gateway.note({ type: 'fleet.stopping' });
    aftermath.keeper.close();
    run.abandon();
    setTimeout(() => end({ reason: 'defect', wedged: [], isHeld: true }), ABANDON_MS).unref();
  });
}

function isStopSignal({ signal, sentMs }: LauncherSignal): boolean {
  return typeof sentMs === 'number' && STOP_SIGNALS.some((known) => known === signal);
}

/** An agent whose thread answers nobody can only be ended with the whole host. */
function askForAnother(
  id: string,
  agents: () => readonly AgentStatus[],
  watchdog: Watchdog,
  { keeper }: Aftermath,
): void {
  setTimeout(() => {
    if (!watchdog.willRestart() || agents().find((agent) => agent.id === id)?.state !== 'wedged') return;
    keeper.change({ culprit: id });
    keeper.flush();
    watchdog.replace(`${id} does not end, whatever is tried`);
  }, WEDGED_MS).unref();
}
