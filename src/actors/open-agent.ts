/**
 * Composition root of an agent: opens log, storage, turns, gateway and bridges in this order, closes them in reverse.
 * The only file of this side that knows every part.
 */
import { closeSync, constants, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BridgeRunner } from '../bridges/bridge-runner.ts';
import { type Clock, systemClock } from '../contract/clock.ts';
import { AppError, type WireError } from '../contract/errors.ts';
import { AGENT_FACTS, type AgentFacts, createVitals, VITALS_BYTES, type Vitals } from '../contract/vitals.ts';
import type { AgentSettings, ShutdownReason, WorkerInit } from '../contract/worker-protocol.ts';
import { createAccessRules } from '../gateway/access.ts';
import { type Authenticator, createAuthenticator } from '../gateway/authenticator.ts';
import { createGateway } from '../gateway/gateway.ts';
import { listenOnPlan } from '../gateway/listen.ts';
import { createAgentHttp } from '../gateway/rest/agent-http.ts';
import type { Transport } from '../gateway/transport.ts';
import { loadTransport } from '../gateway/transports/load.ts';
import { createSocketHub, type SocketHub } from '../gateway/ws/socket-hub.ts';
import { type EventLog, openEventLog } from '../logging/event-log.ts';
import { createModel, modelLabel, modelWarnings } from '../models/registry.ts';
import { type Database, openDatabase } from '../storage/database.ts';
import type { DirectoryLock } from '../storage/directory-lock.ts';
import { createJournal, type Journal } from '../storage/journal.ts';
import { createSessionRecords } from '../storage/session-records.ts';
import { candidatesIn, openUsageLedger, type UsageLedger } from '../usage/ledger.ts';
import { createPrices, type Prices } from '../usage/prices.ts';
import type { AgentResources } from './agent.machine.ts';
import { type AgentMcp, createAgentMcp } from './agent-mcp.ts';
import { type AgentMind, createAgentMind } from './agent-mind.ts';
import { type AgentSchedule, createAgentSchedule } from './agent-schedule.ts';
import { type Bound, createServices } from './agent-services.ts';
import type { AgentVault } from './agent-vault.ts';
import { holdForOwnSignals, openBreadcrumbs } from './breadcrumbs.ts';
import { type BudgetNews, createBudgetNews } from './budget-news.ts';
import { type ChildProcesses, createChildProcesses } from './child-processes.ts';
import { createFileServices, type FileServices } from './file-services.ts';
import { startHeartbeat } from './heartbeat.ts';
import { startMaintenance } from './maintenance.ts';
import { startMonitor } from './monitor.ts';
import type { AgentPort } from './run-worker.ts';
import { TurnEngine } from './turns/turn-engine.ts';

const WRITER_POLL_MS = 25;
const CLOSE_CODES = { restart: 1012, stop: 1001 } as const satisfies Record<ShutdownReason, number>;
/** Of the time for closing: what sockets get for their closing handshakes. */
const HANDSHAKE_SHARE = 0.25;
/** What programs get after TERM; beside the handshakes, once bridges have had their time to end them well. */
const CHILD_TERM_MS = 2_000;
const CHILD_TERM_SHARE = 0.5;
/** What is left for the journal, should another program hold the database or the disk be full just then. */
const WRITE_SHARE = 0.2;

export async function openAgent(agent: AgentPort): Promise<AgentResources> {
  const { init } = agent;
  const clock = systemClock;
  // The supervisor holds the lock of the directory. A process can outlive its supervisor, and its successor must not write beside it.
  const writer = init.isolation === 'process' ? await lockForWriting(init, clock) : undefined;
  const log = openLog(init, clock);
  agent.onNotice((notice) => {
    if (notice.type === 'log.level') log.setLevel(notice.level);
  });
  try {
    const resources = await openOn(agent, clock, log);
    return {
      ...resources,
      close: async (reason, closeMs) => {
        await resources.close(reason, closeMs);
        writer?.release();
      },
    };
  } catch (error) {
    log.error('server.error', { error });
    await log.close();
    writer?.release();
    throw error;
  }
}

async function lockForWriting(init: WorkerInit, clock: Clock): Promise<DirectoryLock> {
  const { acquireDirectoryLock } = await import('../storage/directory-lock.ts');
  const endMs = clock.monotonicMs() + (init.writerWaitMs ?? 0);
  for (;;) {
    try {
      return acquireDirectoryLock(init.dir, { version: init.version }, clock, '.writer');
    } catch (error) {
      // Its predecessor, whose host has died, may still be on its way out.
      const isLocked = AppError.is(error) && error.code === 'directory.locked';
      if (!isLocked || clock.monotonicMs() >= endMs) throw error;
    }
    await new Promise<void>((resolve) => clock.setTimeout(resolve, WRITER_POLL_MS));
  }
}

/** Read by the next host when this one dies with whatever is under way here. */
function leaveCrumbs(init: WorkerInit, vitals: Vitals, clock: Clock): void {
  const { dir, hostBoot: boot = '', incarnation } = init;
  const crumbs = openBreadcrumbs({ dir, boot, incarnation, clock });
  vitals.onChange = crumbs.write;
  process.on('exit', crumbs.close);
  if (init.isolation === 'thread') holdForOwnSignals(crumbs);
}

function openLog(init: WorkerInit, clock: Clock): EventLog {
  const { logging, secrets } = init.settings;
  const log = openEventLog({
    dir: join(init.dir, 'logs'),
    level: logging.level,
    rotateBytes: logging.rotateBytes,
    keepFiles: logging.keepFiles,
    secrets,
    clock,
    onProblem: (error) => process.stderr.write(`The log cannot be written: ${String(error)}\n`),
  });
  process.on('exit', () => log.flushSync());
  // A defect outside any turn: it ends the agent, and the supervisor starts a new one. Here it only leaves its trace.
  process.on('uncaughtExceptionMonitor', (error) => log.error('server.defect', { error }));
  return log;
}

function openChildProcesses(agent: AgentPort, boot: number, clock: Clock, log: EventLog): ChildProcesses {
  const { id, dir, settings } = agent.init;
  const max = settings.limits.childProcesses;
  const report = agent.report;
  const children = createChildProcesses({ agentId: id, dir, boot, max, clock, log, report });
  process.on('exit', () => children.killAll());
  return children;
}

interface Money {
  readonly prices: Prices;
  readonly ledger: UsageLedger;
  readonly budgetNews: BudgetNews;
}

function openUsage({ init, report }: AgentPort, db: Database, clock: Clock, log: EventLog): Money {
  const { model } = init.settings;
  const budgetNews = createBudgetNews(report);
  const { onEvent } = budgetNews;
  const prices = createPrices(model.providers);
  const budgets = { monthlyUsd: model.monthlyBudget, dailyUsd: model.dailyBudget };
  const candidates = candidatesIn(model);
  const ledger = openUsageLedger({ db, clock, prices, budgets, log, candidates, onEvent });
  return { prices, ledger, budgetNews };
}

/** The echo model is ours: it is never the one that hangs. */
function marksOf({ model }: AgentSettings, vitals: Vitals) {
  return model.provider === 'echo' ? {} : { enterModel: (detail: string) => vitals.enter('model', detail) };
}

interface Parts extends Money {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly db: Database;
  readonly journal: Journal;
  readonly turns: TurnEngine;
  readonly mind: AgentMind;
  readonly authenticator: Authenticator;
  readonly children: ChildProcesses;
  readonly files: FileServices;
  readonly mcp: AgentMcp;
  readonly schedule: AgentSchedule;
  readonly vitals: Vitals;
}

/** For whoever reads this agent while it is stuck. */
function tellFacts(turns: TurnEngine): void {
  const read = (): AgentFacts => ({
    turns: turns.running(),
    loopUtilization: performance.eventLoopUtilization().utilization,
  });
  Object.defineProperty(globalThis, Symbol.for(AGENT_FACTS), { value: read });
}

async function openOn(agent: AgentPort, clock: Clock, log: EventLog): Promise<AgentResources> {
  const { init } = agent;
  const buffer = init.vitals ?? new SharedArrayBuffer(VITALS_BYTES);
  const vitals = createVitals(buffer, clock.wallMs);
  leaveCrumbs(init, vitals, clock);
  const leaveStart = vitals.enter('start', 'start of the agent');
  const { settings } = init;
  const onDefect = (error: unknown, where: string) => log.error('server.defect', { where, error });
  const db = await openDatabase(settings.dbPath, clock);
  try {
    const journal = createJournal({ db, path: settings.dbPath, version: init.version, clock, log, vitals });
    const money = openUsage(agent, db, clock, log);
    const { ledger } = money;
    const children = openChildProcesses(agent, journal.boot, clock, log);
    const files = createFileServices({ init, clock, log, db, children });
    const mcp = createAgentMcp({ agent, clock, log, children });
    const model = createModel(settings.model, clock, {
      note: (event, fields) => (event === 'model.route' ? log.info(event, fields) : log.warn(event, fields)),
      budgetRatio: ledger.budgetRatio,
    });
    const thinking = {
      journal,
      model,
      clock,
      log,
      onProgress: vitals.progress,
      ...marksOf(settings, vitals),
    };
    const mind = createAgentMind({ ...thinking, init, db, ledger, mcp, children });
    const turns = new TurnEngine({
      ...thinking,
      mind,
      steps: mind.steps,
      cutMemory: mind.cutMemory,
      interruptedMemory: mind.interruptedMemory,
      isLostWithRequest: mind.isLostWithRequest,
      systemPrompt: settings.systemPrompt,
      limits: settings.limits,
      onAttachments: files.announce,
      onDefect,
    });
    tellFacts(turns);
    const authenticator = createAuthenticator({
      token: settings.gateway.token,
      failuresPerMinute: settings.limits.authFailuresPerMinute,
      clock,
    });
    const schedule = createAgentSchedule({ settings, db, turns, clock, log });
    const own = { turns, mind, authenticator, children, files, mcp, schedule, vitals, ...money };
    const parts = { agent, clock, log, db, journal, ...own };
    const resources = await serve(parts, onDefect);
    leaveStart();
    // Only now: 10 MB and 40 ms that a start need not wait for.
    if (init.isolation === 'process') startMonitor(buffer, log);
    return resources;
  } catch (error) {
    db.close();
    throw error;
  }
}

async function serve(
  parts: Parts,
  onDefect: (error: unknown, where: string) => void,
): Promise<AgentResources> {
  const { agent, clock, log, db, journal, turns, authenticator, vitals } = parts;
  const { init } = agent;
  const { settings } = init;
  const { factory, note } = await loadTransport(init.transport);
  for (const warning of modelWarnings(settings.model, init.dir))
    agent.report({ type: 'worker.warning', warning });
  const bound: Bound = { port: 0, kind: 'node', note };
  const services = createServices(parts, bound, parts.files, () => hub);
  const hub: SocketHub = createSocketHub({
    agent: { name: settings.name, version: init.version },
    authenticator,
    turns,
    limits: settings.limits,
    clock,
    commands: {
      usage: () => parts.ledger.summary(),
      requestRestart: services.requestRestart,
    },
    boot: journal.boot,
    followLog: (follower) => log.follow(follower),
    approvals: parts.mind.approvals,
    onDefect,
  });
  const { forTools: schedule } = parts.schedule;
  parts.mind.surround({ vault: services.vault, schedule, sendApproval: hub.sendApproval });
  const http = createAgentHttp({
    services,
    access: createAccessRules(settings.gateway),
    authenticator,
    legacyRest: settings.gateway.legacyRest,
    hasAuthenticatedSocket: hub.hasAuthenticatedSocket,
    bodyBytesMax: settings.limits.bodyBytes,
    fileBodies: { bytesMax: settings.limits.completionBodyBytes, atOnceMax: settings.limits.uploadsAtOnce },
    uploadBytesMax: settings.limits.uploadBytes,
    jsonDepthMax: settings.limits.jsonDepth,
    onDefect,
  });
  const transport = factory(createGateway(http, hub), settings.limits);
  const { port } = await listenOnPlan(transport, settings.gateway.host, init.ports);
  Object.assign(bound, { port, kind: transport.kind });
  writePortFile(init.dir, port);
  log.info('server.start', { agent: settings.name, version: init.version, incarnation: init.incarnation });
  log.info('gateway.start', { host: settings.gateway.host, port, transport: transport.kind });
  turns.recover();
  const counted = { turns, hub, models: parts.ledger.totals, vitals };
  const heartbeat = startHeartbeat({ agent, clock, ...counted, intervalMs: init.heartbeatMs });
  const sessions = createSessionRecords(db, clock);
  const maintenance = startMaintenance({ journal, turns, sessions, clock, log, vitals });
  const timers = [heartbeat, maintenance, parts.files, parts.schedule, services.completions];
  parts.mcp.start();
  parts.schedule.start();
  const bridges = await startUserBridges(parts, port);
  return toResources(parts, { transport, port, note, bridges, timers, vault: services.vault });
}

interface Running {
  readonly transport: Transport;
  readonly port: number;
  readonly note: string | undefined;
  readonly bridges: BridgeRunner;
  readonly timers: readonly { stop(): void }[];
  readonly vault: AgentVault;
}

function toResources(parts: Parts, running: Running): AgentResources {
  const { agent, log, db, journal, turns, children } = parts;
  const { transport, bridges } = running;
  const { settings } = agent.init;
  return {
    port: running.port,
    transport: transport.kind,
    transportNote: running.note,
    survivesTerminate: transport.survivesTerminate,
    model: modelLabel(settings.model),
    beginDrain: (reason) => {
      log.info('server.drain', { reason, ...turns.counts() });
      parts.schedule.pause();
      turns.beginDrain(reason);
    },
    drained: (drainMs) => turns.drained(drainMs),
    close: async (reason, closeMs) => {
      for (const timer of running.timers) timer.stop();
      parts.mind.stop();
      const endMs = closeMs * HANDSHAKE_SHARE;
      await Promise.all([bridges.stop(endMs), parts.mcp.stop(endMs)]);
      await Promise.all([
        transport.close(CLOSE_CODES[reason], `agent ${reason}`, endMs),
        children.stop(Math.min(CHILD_TERM_MS, closeMs * CHILD_TERM_SHARE)),
      ]);
      agent.report({ type: 'worker.transportClosed' });
      await running.vault.close();
      const isDurable = await journal.close(closeMs * WRITE_SHARE);
      parts.ledger.close();
      db.close();
      log.info('server.stop', { agent: settings.name, reason, durable: isDurable });
      await log.close();
    },
  };
}

/** Bridges connect to the port really bound, not to the one that was preferred. */
async function startUserBridges(
  { agent, clock, log, children, vitals }: Parts,
  port: number,
): Promise<BridgeRunner> {
  const { init } = agent;
  const { host, token } = init.settings.gateway;
  if (init.settings.bridges.length === 0) return { states: () => [], stop: async () => {} };
  const { startBridges } = await import('../bridges/bridge-runner.ts');
  return startBridges({
    dir: join(init.dir, 'bridges'),
    bridges: init.settings.bridges,
    gatewayUrl: `ws://${urlHost(host)}:${port}/ws`,
    token,
    log,
    spawn: (command, args, options) => children.spawn(command, args, options),
    clock,
    vitals,
    random: Math.random,
    onWarning: (warning: WireError) => agent.report({ type: 'worker.warning', warning }),
  });
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === 'localhost') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/** Whole or not at all: other programs read it at any moment. An agent that is back as a rule finds what it would write. */
function writePortFile(dir: string, port: number): void {
  const path = join(dir, '.port');
  if (textOf(path) === String(port)) return;
  mkdirSync(dir, { recursive: true });
  writeFileSync(`${path}.tmp`, String(port), { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

function textOf(path: string): string | undefined {
  try {
    // A pipe of that name would block the agent.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined; // not there, or not to be read: it is written
  }
}
