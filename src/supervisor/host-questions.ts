/**
 * The host's end of the link to one incarnation: takes its questions, has them answered, and sends the answers to that
 * incarnation only. User code in the agent can write to the same channel, so a question is checked for shape and size
 * before anybody sees it, and no more than a bounded number of them is worked on.
 */
import { AppError, type ErrorCode } from '../contract/errors.ts';
import {
  type AnswerMessage,
  HOST_LINK_LIMITS,
  type HostQuestion,
  QUESTIONS,
  type QuestionType,
} from '../contract/host-link.ts';
import { isPlainObject, jsonProblem } from '../contract/json-value.ts';

/** Who asks. */
export interface AskingAgent {
  readonly id: string;
  readonly dir: string;
}

export type AnswerQuestion = (agent: AskingAgent, question: HostQuestion) => Promise<unknown>;

export interface QuestionDeskOptions {
  readonly agent: AskingAgent;
  readonly answer: AnswerQuestion | undefined;
  /** May throw: the incarnation may just have ended. */
  send(message: AnswerMessage): void;
  onDefect(error: unknown, where: string): void;
}

export interface QuestionDesk {
  /**
   * `other`: not a question. `odd`: meant as one, but not one that our own code sends; answered with an error where
   * there is somebody to answer.
   */
  take(message: unknown): 'taken' | 'odd' | 'other';
  /** The incarnation has ended: what is still being worked on is answered to nobody. */
  close(): void;
}

export function createQuestionDesk({ agent, answer, send, onDefect }: QuestionDeskOptions): QuestionDesk {
  const open = new Set<number>();
  let isClosed = false;

  const reply = (message: AnswerMessage): void => {
    if (isClosed) return;
    try {
      send(message);
    } catch (cause) {
      onDefect(cause, `answer to ${agent.id}`);
    }
  };
  const refuse = (ask: number, code: ErrorCode, message: string): void =>
    reply({ type: 'host.answer', ask, ok: false, error: { code, message } });

  const work = async (ask: number, question: HostQuestion, by: AnswerQuestion): Promise<void> => {
    open.add(ask);
    try {
      const value = await by(agent, question);
      open.delete(ask);
      reply({ type: 'host.answer', ask, ok: true, value });
    } catch (error) {
      open.delete(ask);
      if (!AppError.is(error)) onDefect(error, `${question.type} of ${agent.id}`);
      reply({ type: 'host.answer', ask, ok: false, error: AppError.toWire(error) });
    }
  };

  return {
    take: (message) => {
      if (!isPlainObject(message) || message.type !== 'worker.ask') return 'other';
      const { ask } = message;
      if (!Number.isSafeInteger(ask) || (ask as number) < 1 || open.has(ask as number)) return 'odd';
      const question = toQuestion(message.question);
      if (question === undefined) {
        refuse(ask as number, 'request.invalid', 'The supervisor does not take such a question');
        return 'odd';
      }
      if (open.size >= HOST_LINK_LIMITS.openQuestions) {
        refuse(ask as number, 'host.unavailable', 'Too many requests wait for the supervisor');
      } else if (answer === undefined) {
        refuse(ask as number, 'host.unavailable', 'This supervisor answers no questions');
      } else void work(ask as number, question, answer);
      return 'taken';
    },
    close: () => {
      isClosed = true;
    },
  };
}

/** A question of the table with its fields and no other, made anew. */
export function toQuestion(value: unknown): HostQuestion | undefined {
  if (!isPlainObject(value) || typeof value.type !== 'string' || !Object.hasOwn(QUESTIONS, value.type))
    return;
  if (jsonProblem(value, HOST_LINK_LIMITS) !== undefined) return;
  const fields: Readonly<Record<string, string>> = QUESTIONS[value.type as QuestionType];
  const question: Record<string, unknown> = { type: value.type };
  for (const [name, kind] of Object.entries(fields)) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined && kind.endsWith('?')) continue;
    if (!isKind(given, kind)) return;
    question[name] = given;
  }
  return question as unknown as HostQuestion;
}

function isKind(value: unknown, kind: string): boolean {
  if (kind === 'json') return value !== undefined;
  return kind.startsWith('text') ? typeof value === 'string' : Number.isSafeInteger(value);
}
