/**
 * The thinking part of an agent, put together when a turn first needs it: an agent that only echoes texts loads nothing of
 * it, and starts without it.
 */

import type { ClientKey, SessionId } from '../contract/client-key.ts';
import type { Clock } from '../contract/clock.ts';
import type { WorkerInit } from '../contract/worker-protocol.ts';
import type { SessionService } from '../gateway/services/session-service.ts';
import type { ApprovalService } from '../gateway/ws/approval-service.ts';
import type { Log } from '../logging/log.ts';
import type { ModelProvider } from '../models/provider.ts';
import { rememberTurn } from '../sessions/conversation.ts';
import { type Database, withStorageErrors } from '../storage/database.ts';
import type { Journal } from '../storage/journal.ts';
import { createSessionRecords, type SessionRecords } from '../storage/session-records.ts';
import { createTurnSteps, type TurnSteps } from '../storage/turn-steps.ts';
import type { Approvals } from '../tools/approvals.ts';
import type { ScheduleService } from '../tools/schedule-tools.ts';
import type { NoteService } from '../tools/vault-tools.ts';
import type { UsageLedger } from '../usage/ledger.ts';
import type { AgentMcp } from './agent-mcp.ts';
import type { ChildProcesses } from './child-processes.ts';
import type { Mind } from './turns/mind.ts';
import type { Turn } from './turns/turn.ts';
import { interruptedMessages } from './turns/turn-memory.ts';

export interface AgentMindOptions {
  readonly init: WorkerInit;
  readonly db: Database;
  readonly journal: Journal;
  readonly model: ModelProvider;
  readonly ledger: UsageLedger;
  readonly mcp: Pick<AgentMcp, 'sources' | 'settled'>;
  readonly children: Pick<ChildProcesses, 'spawn'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly enterModel?: (detail: string) => () => void;
  readonly onProgress: () => void;
}

/** What exists only after the turns that this is made for. */
export interface MindSurroundings {
  readonly vault: NoteService;
  readonly schedule: ScheduleService;
  /** To every client that can answer; how many there are. */
  readonly sendApproval: (frame: string) => number;
}

export interface AgentMind extends Mind {
  readonly steps: TurnSteps;
  /** For the routes. */
  readonly sessions: SessionService;
  readonly approvals: ApprovalService;
  cutMemory(clientKey: string, sessionId: SessionId | undefined, turnId: number): void;
  /** What is written with the outcome of a turn that nobody goes on with. */
  interruptedMemory(turn: Turn): (() => void) | undefined;
  /** A turn of this session is for one request alone, which is gone when the agent starts. */
  isLostWithRequest(sessionId: SessionId): boolean;
  /** Before the first turn. */
  surround(surroundings: MindSurroundings): void;
  stop(): void;
}

/** What the parts that are loaded give back to this one. */
export interface OpenedMind {
  readonly approvals: Approvals;
  begin: Awaited<ReturnType<Mind['open']>>['begin'];
  stop(): void;
}

export function createAgentMind(options: AgentMindOptions): AgentMind {
  const { init, db, journal, clock } = options;
  const { model: settings, dbPath } = init.settings;
  const steps = createTurnSteps(db, journal);
  const sessions = createSessionRecords(db, clock);
  const need = createNeed(settings, steps, sessions);
  let around: MindSurroundings | undefined;
  let opening: Promise<OpenedMind> | undefined;
  let opened: OpenedMind | undefined;

  const load = async (): Promise<OpenedMind> => {
    const { openMind } = await import('./open-mind.ts');
    if (!around) throw new Error('A turn was begun before the agent was put together');
    opened = openMind({ ...options, steps, sessions, surroundings: around });
    return opened;
  };

  return {
    steps,
    sessions: lateSessions(async () => {
      const { createSessionService } = await import('./session-service.ts');
      return createSessionService(sessions, dbPath, need.noteModel);
    }),
    takes: (turn) => {
      try {
        return need.isThere(turn);
      } catch {
        // The database is locked just now: whoever thinks says so.
        return true;
      }
    },
    open: async () => {
      opening ??= load().catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return opening;
    },
    approvals: {
      open: () => opened?.approvals.open() ?? [],
      decide: (...decision) => opened?.approvals.decide(...decision) ?? false,
    },
    cutMemory: (...cut) => withStorageErrors(dbPath, () => sessions.cut(...cut)),
    interruptedMemory: (turn) => interruptedMemory(turn, settings, steps, sessions),
    isLostWithRequest: sessions.isLostWithRequest,
    surround: (surroundings) => {
      around = surroundings;
    },
    stop: () => opened?.stop(),
  };
}

/** Whether a turn takes more than the short way of the echo model: only then the mind is loaded. */
function createNeed(
  settings: AgentMindOptions['init']['settings']['model'],
  steps: TurnSteps,
  sessions: ReturnType<typeof createSessionRecords>,
) {
  let hasModels: boolean | undefined;

  const hasOwnModel = ({ client, sessionId }: Turn): boolean => {
    if ((modelOfClient(settings.channels, client) ?? 'echo') !== 'echo') return true;
    hasModels ??= sessions.hasModels();
    return hasModels && sessions.state(sessionId).model !== undefined;
  };

  return {
    isThere: (turn: Turn): boolean => {
      if (settings.provider !== 'echo') return true;
      // A client that resumes gets its pieces from the journal, whoever speaks them.
      if (turn.outlet?.wantsResume === true || turn.text.includes('/tool ') || hasOwnModel(turn)) return true;
      if (!turn.isRecovered) return false;
      return steps.stepsOf(turn.rowId).length > 0 || steps.deltasOf(turn.rowId, 0).length > 0;
    },
    /** Some session has chosen a model of its own. */
    noteModel: () => {
      hasModels = true;
    },
  };
}

/** As a turn that has run is remembered; those of the echo model are not. */
function interruptedMemory(
  turn: Turn,
  settings: AgentMindOptions['init']['settings']['model'],
  steps: TurnSteps,
  records: SessionRecords,
): (() => void) | undefined {
  const { rowId: turnId, sessionId, client } = turn;
  const model = records.state(sessionId).model ?? modelOfClient(settings.channels, client);
  if ((model ?? settings.provider) === 'echo') return undefined;
  const messages = interruptedMessages(turn, steps);
  return () => rememberTurn({ sessionId, turnId, clientKey: client.key, messages }, records);
}

function lateSessions(load: () => Promise<SessionService>): SessionService {
  return {
    list: async (...asked) => (await load()).list(...asked),
    history: async (...asked) => (await load()).history(...asked),
    setModel: async (...asked) => (await load()).setModel(...asked),
    remove: async (...asked) => (await load()).remove(...asked),
  };
}

/** Runtime id that the configuration has for this client: `channels.<bridge>.model`, or `channels.websocket.model`. */
export function modelOfClient(
  channels: Readonly<Record<string, string>>,
  { clientId }: Pick<ClientKey, 'clientId'>,
): string | undefined {
  const [, bridge] = /^bridge:(.+)$/.exec(clientId) ?? [];
  const channel = bridge ?? 'websocket';
  return Object.hasOwn(channels, channel) ? channels[channel] : undefined;
}
