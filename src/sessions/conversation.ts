/**
 * What a session remembers, as a model is given it: the turns that fit, and a summary of those that do not. A turn never
 * waits for a summary: until there is one, what does not fit is left out.
 */
import type { SessionId } from '../contract/client-key.ts';
import type { Clock } from '../contract/clock.ts';
import type { ModelMessage, ToolAnswer } from '../models/provider.ts';
import type { SessionRecords, SessionState } from '../storage/session-records.ts';
import { estimateMessages } from './token-estimate.ts';

export interface ConversationOptions {
  readonly records: SessionRecords;
  readonly clock: Clock;
  /** What a session may bring into a call, in tokens. */
  readonly historyTokens: (model: string | undefined) => number;
}

export interface Memory {
  readonly history: readonly ModelMessage[];
  readonly summary: string | undefined;
  /** Runtime id that was chosen for the session. */
  readonly model: string | undefined;
}

export interface EndedConversationTurn {
  readonly sessionId: SessionId;
  readonly turnId: number;
  readonly clientKey: string;
  readonly messages: readonly ModelMessage[];
}

/** Of a tool's answer, once its turn is over. */
const RESULT_CHARS = 4_000;
const TITLE_CHARS = 80;

export class Conversations {
  readonly #options: ConversationOptions;

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  /** As it was before this turn. `model`: of its client, for a session that has none of its own. */
  before(turnId: number, sessionId: SessionId, model: string | undefined): Memory {
    const { records, historyTokens } = this.#options;
    const state = records.state(sessionId);
    const tokensMax = historyTokens(state.model ?? model);
    const range = { afterTurn: behind(state), beforeTurn: turnId, tokensMax };
    const turns = records.turns(sessionId, range).toReversed();
    return {
      history: turns.flatMap(({ messages }) => JSON.parse(messages) as ModelMessage[]),
      summary: state.cutAfter < turnId ? state.summary : undefined,
      model: state.model,
    };
  }

  /** To be called in a transaction of the journal, with the outcome. */
  remember(turn: EndedConversationTurn): void {
    rememberTurn(turn, this.#options.records);
  }
}

/** To be called in a transaction of the journal, with the outcome. */
export function rememberTurn(
  { sessionId, turnId, clientKey, messages }: EndedConversationTurn,
  records: Pick<SessionRecords, 'add'>,
): void {
  const kept = messages.map(toKept);
  const said = kept.find(({ role }) => role === 'user');
  const title = (said?.role === 'user' ? said.text : '').split('\n', 1)[0]?.slice(0, TITLE_CHARS) ?? '';
  const tokens = estimateMessages(kept);
  records.add({ sessionId, turnId, clientKey, title, tokens, messages: JSON.stringify(kept) });
}

/** The last turn that is no longer told turn by turn. */
export function behind({ cutAfter, summaryTo }: SessionState): number {
  return Math.max(cutAfter, summaryTo);
}

/** Images are shown once; long results have done what they were for. */
function toKept(message: ModelMessage): ModelMessage {
  if (message.role === 'user') return { role: 'user', text: message.text };
  if (message.role === 'tool') return { role: 'tool', results: message.results.map(cutResult) };
  return message;
}

function cutResult(result: ToolAnswer): ToolAnswer {
  if (result.text.length <= RESULT_CHARS) return result;
  const left = result.text.length - RESULT_CHARS;
  return { ...result, text: `${result.text.slice(0, RESULT_CHARS)}\n[${left} more characters]` };
}
