/**
 * A completion is a turn like any other: journalled, limited, run again after a crash. Its client is the HTTP request, so
 * that a request that is given up stops its own turn and no other. What a client tells of an earlier conversation becomes
 * memory of the session, in the same commit as the turn that needs it. A session of one request alone is marked as such in
 * that commit too, so that whatever becomes of the request, nobody finds it among his conversations, and so that a start
 * does not pay for an answer that nobody can fetch.
 */
import { type ClientKey, namedClient } from '../contract/client-key.ts';
import type { Clock } from '../contract/clock.ts';
import { AppError, ERRORS, type ErrorCode, type WireError } from '../contract/errors.ts';
import type { AttachmentInfo, ServerFrame } from '../contract/frames.ts';
import type {
  CompletionEvent,
  CompletionRequest,
  CompletionService,
  Said,
} from '../gateway/services/completion-service.ts';
import type { Outlet, TurnService } from '../gateway/ws/turn-service.ts';
import type { ModelMessage } from '../models/provider.ts';
import { estimateMessages } from '../sessions/token-estimate.ts';
import { type Database, withStorageErrors } from '../storage/database.ts';
import type { Journal } from '../storage/journal.ts';
import { createSessionRecords, type SessionRecords } from '../storage/session-records.ts';
import { usageOfTurn } from '../storage/usage.ts';

export interface CompletionParts {
  readonly turns: Pick<TurnService, 'submit' | 'stop' | 'confirm' | 'hasTurns'>;
  readonly journal: Pick<Journal, 'nextTurnId' | 'write' | 'findByMessage' | 'outcomeOf'>;
  readonly db: Database;
  readonly clock: Clock;
  /** False: the model says things back and remembers nothing. */
  readonly remembers: boolean;
  /** As files of a turn. */
  readonly keepImages: (images: CompletionRequest['images']) => Promise<readonly AttachmentInfo[]>;
  readonly onDefect: (error: unknown, where: string) => void;
}

export interface Completions extends Pick<CompletionService, 'begin'> {
  stop(): void;
}

/** Credentials of sockets are hexadecimal, or nothing. */
const CREDENTIAL = 'openai';
const SESSION_PREFIX = 'openai:';
const TITLE_CHARS = 80;
const STOPPING: WireError = {
  code: 'agent.stopping',
  message:
    'The agent stops or restarts. What was asked is in its journal and goes on when it is back, but this request cannot wait for it.',
};
const LOST: WireError = {
  code: 'agent.stopping',
  message:
    'The agent stops or restarts. What was asked does not go on when it is back: ask again then, with an Idempotency-Key if the answer must outlive this request.',
};

interface Surroundings extends CompletionParts {
  readonly sessions: SessionRecords;
}

export function createCompletions(given: CompletionParts): Completions {
  const parts: Surroundings = { ...given, sessions: createSessionRecords(given.db, given.clock) };
  const live = new Set<Completion>();
  let isStopped = false;
  return {
    begin: async (request, onEvent, gone) => {
      const sessionId = sessionOf(request, parts);
      const completion = new Completion(request, sessionId, parts, (event) => {
        if (event.type !== 'delta') live.delete(completion);
        onEvent(event);
      });
      live.add(completion);
      try {
        if (isStopped) completion.leaveOnStop();
        else await completion.start(gone);
      } catch (error) {
        live.delete(completion);
        throw error;
      }
      return { sessionId };
    },
    stop: () => {
      isStopped = true;
      for (const completion of [...live]) completion.leaveOnStop();
    },
  };
}

function clientOf(id: string): ClientKey {
  return namedClient(id, CREDENTIAL);
}

function sessionOf(
  { id, previousId, sessionId }: CompletionRequest,
  { journal, db }: CompletionParts,
): string {
  if (previousId === undefined) return sessionId ?? SESSION_PREFIX + id;
  const found = withStorageErrors(db.name, () => {
    const row = journal.findByMessage(clientOf(previousId).key, previousId);
    return row && journal.outcomeOf(row.id);
  });
  const session = found && (JSON.parse(found.frame) as { session_id?: unknown }).session_id;
  if (typeof session === 'string') return session;
  throw new AppError(
    'completion.not_found',
    `There is no response resp_${previousId.slice(0, 100)}, or it has not ended: send the whole conversation instead`,
  );
}

/** One request from its turn's submission to the last thing it is told. */
class Completion {
  readonly #request: CompletionRequest;
  readonly #sessionId: string;
  readonly #client: ClientKey;
  readonly #parts: Surroundings;
  readonly #tell: (event: CompletionEvent) => void;
  readonly #sinceMs: number;
  #isOver = false;

  constructor(
    request: CompletionRequest,
    sessionId: string,
    parts: Surroundings,
    tell: (event: CompletionEvent) => void,
  ) {
    this.#request = request;
    this.#sessionId = sessionId;
    this.#client = clientOf(request.id);
    this.#parts = parts;
    this.#tell = tell;
    this.#sinceMs = parts.clock.wallMs();
  }

  /** Files are whole and on disk before the turn that has them is accepted. */
  async start(gone: AbortSignal | undefined): Promise<void> {
    if (gone?.aborted) return this.leave(GONE);
    const { id, text, images } = this.#request;
    const attachments = images.length === 0 || this.#isRepeated() ? [] : await this.#parts.keepImages(images);
    // The agent stops, or the client went away meanwhile.
    if (this.#isOver) return;
    if (gone?.aborted) return this.leave(GONE);
    this.#prepareSession();
    this.#parts.turns.submit(
      { client: this.#client, sessionId: this.#sessionId, messageId: id, text, attachments },
      this.#outlet(),
    );
    gone?.addEventListener('abort', () => this.#stopTurn(), { once: true });
  }

  /** Nothing more is told after this. */
  leave(error: WireError): void {
    this.#end({ type: 'failed', error, isTurn: true });
  }

  leaveOnStop(): void {
    const isLost = this.#isOneOff && this.#parts.remembers && !this.#request.isKeyed;
    this.leave(isLost ? LOST : STOPPING);
  }

  /** Its turn has the images of the first time. */
  #isRepeated(): boolean {
    const { journal, db } = this.#parts;
    const { id, isKeyed } = this.#request;
    return (
      isKeyed && withStorageErrors(db.name, () => journal.findByMessage(this.#client.key, id)) !== undefined
    );
  }

  #stopTurn(): void {
    if (this.#isOver) return;
    this.leave(GONE);
    // No other request has this client.
    this.#parts.turns.stop(this.#client, undefined);
  }

  #end(event: CompletionEvent): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#tell(event);
  }

  #prepareSession(): void {
    const { sessions, journal, db, remembers, onDefect } = this.#parts;
    const { model, history, isKeyed } = this.#request;
    if (!remembers) return;
    withStorageErrors(db.name, () => {
      const { model: pinned } = sessions.state(this.#sessionId);
      const setsModel = model !== undefined && model !== pinned;
      // The session knows more of itself than its client can tell: tools that were called, and what they answered.
      const told = sessions.has(this.#sessionId) ? [] : toExchanges(history);
      const exchanges = told.map((messages) => ({ messages, turnId: journal.nextTurnId() }));
      if (!this.#isOneOff && !setsModel && exchanges.length === 0) return;
      journal.write(
        'memory',
        () => {
          if (this.#isOneOff) sessions.markOneOff(this.#sessionId, isKeyed);
          if (setsModel) sessions.setModel(this.#sessionId, model);
          for (const exchange of exchanges) this.#remember(exchange);
        },
        (error) => error && onDefect(error, 'memory of a completion'),
      );
    });
  }

  /** No other request can name its session. */
  get #isOneOff(): boolean {
    const { keepsSession, sessionId, previousId } = this.#request;
    return !keepsSession && sessionId === undefined && previousId === undefined;
  }

  #remember({ messages, turnId }: { messages: readonly ModelMessage[]; turnId: number }): void {
    const [first] = messages;
    const title = (first?.role === 'user' ? first.text : '').split('\n', 1)[0]?.slice(0, TITLE_CHARS) ?? '';
    this.#parts.sessions.add({
      ...{ sessionId: this.#sessionId, clientKey: this.#client.key, turnId, title },
      ...{ tokens: estimateMessages(messages), messages: JSON.stringify(messages) },
    });
  }

  #outlet(): Outlet {
    return {
      client: this.#client,
      wantsDeltas: this.#request.wantsDeltas,
      isOpen: () => true,
      send: (frame) => this.#hear(frame),
      sendTerminal: (rowId, frame) => {
        // The outcome is in the journal; there is nobody else to bring it to.
        this.#parts.turns.confirm([rowId]);
        this.#hear(frame);
      },
    };
  }

  #hear(text: string): void {
    const frame = JSON.parse(text) as ServerFrame;
    switch (frame.type) {
      case 'delta':
        if (!this.#isOver) this.#tell({ type: 'delta', text: frame.text });
        return;
      case 'response':
        this.#forgetSession();
        return this.#end(this.#done(frame));
      case 'error': {
        const { code, text: message, turn_id: turnId } = frame;
        this.#forgetSession();
        const known = Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'internal';
        return this.#end({ type: 'failed', error: { code: known, message }, isTurn: turnId !== undefined });
      }
    }
  }

  #done(frame: Extract<ServerFrame, { type: 'response' }>): CompletionEvent {
    const { text, attachments, model, turn_id: turnId, finish_reason: cutBy } = frame;
    const { db } = this.#parts;
    return {
      ...{ type: 'done', text, attachments, cutBy, model: model ?? '' },
      usage: withStorageErrors(db.name, () => usageOfTurn(db, turnId, this.#sinceMs)),
    };
  }

  /** Its turn stays in the journal. */
  #forgetSession(): void {
    const { journal, sessions, turns, remembers, onDefect } = this.#parts;
    if (!this.#isOneOff || !remembers) return;
    journal.write(
      'memory',
      () => {
        // Its own turn has ended durably; of a request that was refused, another one with its key may go on.
        if (!turns.hasTurns(this.#sessionId)) sessions.remove(this.#sessionId);
      },
      (error) => error && onDefect(error, 'memory of a completion'),
    );
  }
}

const GONE: WireError = { code: 'turn.cancelled', message: 'Stopped: its client went away.' };

/** As turns would have been remembered: each begins with what a person said. */
function toExchanges(history: readonly Said[]): readonly (readonly ModelMessage[])[] {
  const exchanges: ModelMessage[][] = [];
  let lastRole: Said['role'] | undefined;
  for (const { role, text } of history) {
    if (role === 'user' && lastRole !== 'user') exchanges.push([]);
    if (exchanges.length === 0)
      exchanges.push([{ role: 'user', text: '[What was said before is not known.]' }]);
    exchanges.at(-1)?.push({ role, text });
    lastRole = role;
  }
  return exchanges;
}
