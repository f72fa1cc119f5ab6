/**
 * What an agent may ask the main thread, and what the main thread tells it unasked. One table: types, and the check of
 * what arrives, follow from it. Each area adds its rows; without them the host answers nobody. Free of zod: an agent
 * thread loads this at its start.
 */
import type { WireError } from './errors.ts';
import type { LogLevel } from './worker-protocol.ts';

/** `?`: may be absent. `json`: anything JSON can say. */
type Field = 'text' | 'text?' | 'whole' | 'whole?' | 'json';
type Fields = Readonly<Record<string, Field>>;

/** Questions by type, with their fields. Whoever adds a row answers it in the handler given to `startFleet`. */
export const QUESTIONS = {
  /** The agent's `openagent.yaml`, masked. */
  'config.read': {},
  'config.replace': { value: 'json', ifMatch: 'text?' },
  'config.patch': { section: 'text', value: 'json', ifMatch: 'text?' },
  'config.versions': {},
  'config.version': { id: 'text' },
  'config.restore': { id: 'text', ifMatch: 'text?' },
  /** `ModelSettings` as the file says them now, with the agent's own keys. */
  'config.model': {},
  /** From now on `vault.*` notices tell what changes on disk in this agent's vault; answered by `VaultWatching`. */
  'vault.watch': {},
} as const satisfies Readonly<Record<string, Fields>>;

export type QuestionType = keyof typeof QUESTIONS;

export type HostQuestion = {
  [T in QuestionType]: { readonly type: T } & FieldsOf<(typeof QUESTIONS)[T]>;
}[QuestionType];

type FieldsOf<F extends Fields> = {
  readonly [K in keyof F as F[K] extends `${string}?` ? never : K]: ValueOf<F[K]>;
} & { readonly [K in keyof F as F[K] extends `${string}?` ? K : never]?: ValueOf<F[K]> };
type ValueOf<F extends Field> = F extends 'json' ? unknown : F extends `whole${string}` ? number : string;

/** Told to an agent that runs; one that starts later reads its settings anyway. */
export type HostNotice =
  | { readonly type: 'log.level'; readonly level: LogLevel }
  /** Files and folders, relative to the vault, that are no longer what they were; or are gone. */
  | { readonly type: 'vault.changed'; readonly paths: readonly string[] }
  /** Too much changed to name it, or something was missed. */
  | { readonly type: 'vault.rescan' }
  /** Nothing is told any more until it is asked for again. */
  | { readonly type: 'vault.unwatched'; readonly reason: string };

export type VaultWatching =
  | { readonly watching: true; readonly folders: number }
  | { readonly watching: false; readonly reason: string };

/** Agent → host. `ask` is the agent's own number for it, one more each time. */
export interface AskMessage {
  readonly type: 'worker.ask';
  readonly ask: number;
  readonly question: HostQuestion;
}

/** Host → agent. A value survives structured clone. */
export type AnswerMessage =
  | { readonly type: 'host.answer'; readonly ask: number; readonly ok: true; readonly value: unknown }
  | { readonly type: 'host.answer'; readonly ask: number; readonly ok: false; readonly error: WireError };
export interface NoticeMessage {
  readonly type: 'host.notice';
  readonly notice: HostNotice;
}
export type HostMessage = AnswerMessage | NoticeMessage;

/** What either end refuses to go beyond. */
export const HOST_LINK_LIMITS = {
  /** Questions of one agent without answer. */
  openQuestions: 64,
  /** Of one question, its texts and keys together. */
  chars: 2 * 1024 * 1024,
  values: 200_000,
  depth: 100,
} as const;
