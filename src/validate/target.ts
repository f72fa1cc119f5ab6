/**
 * The gateway under examination, as every check sees it: requests and sockets with the credential in place, what kind
 * of gateway it is, and what has to be put back at the end.
 */
import { randomBytes } from 'node:crypto';
import { expectThat, Skipped, shown, Unexpected } from './check.ts';
import { type Ask, createHttpClient, type HttpAnswer, type HttpClient } from './http-client.ts';
import { type ConnectOptions, type Conversation, type Frame, openConversation } from './socket-client.ts';

/** `reference`: a gateway of the protocol this one is compatible with, and without what goes beyond it. */
export type Dialect = 'supervisor' | 'reference';

export interface TargetOptions {
  /** Origin of the gateway: `http://host:port`. */
  readonly base: URL;
  readonly token: string | undefined;
  /** For each answer but those of the model. */
  readonly timeoutMs: number;
  /** For each answer of the model. */
  readonly turnMs: number;
  /** Of this program: a gateway of the same version must have all that it knows of. */
  readonly ownVersion: string;
}

export interface TargetFacts {
  readonly dialect: Dialect;
  /** It asks for a token. */
  readonly isGuarded: boolean;
  readonly version: string;
  readonly model: string | undefined;
}

export class Target {
  readonly options: TargetOptions;
  readonly facts: TargetFacts;
  /** In the names of all that the checks make, so that two runs at once do not meet. */
  readonly mark = `validate-${randomBytes(4).toString('hex')}`;
  /** Undo what checks have made; run last, newest first. */
  readonly cleanups: { readonly what: string; readonly run: () => Promise<void> }[] = [];
  readonly #http: HttpClient;
  #conversations: Conversation[] = [];
  #names = 0;
  #isInterrupted = false;

  constructor(http: HttpClient, options: TargetOptions, facts: TargetFacts) {
    this.#http = http;
    this.options = options;
    this.facts = facts;
  }

  get isReference(): boolean {
    return this.facts.dialect === 'reference';
  }

  /** With the credential where there is one. Skips the check where one is missing. */
  async ask(path: string, ask: Ask = {}): Promise<HttpAnswer> {
    const answer = await this.askBare(path, { ...ask, headers: { ...this.#credential(), ...ask.headers } });
    if (answer.status === 401) this.requireCredential();
    return answer;
  }

  /** Without a credential. */
  async askBare(path: string, ask: Ask = {}): Promise<HttpAnswer> {
    this.#refuseInterrupted();
    return this.#http.ask(path, ask);
  }

  /** With the credential, and a JSON body. */
  askJson(method: string, path: string, body: unknown, headers: Ask['headers'] = {}): Promise<HttpAnswer> {
    const type = { 'content-type': 'application/json' };
    return this.ask(path, { method, body: JSON.stringify(body), headers: { ...type, ...headers } });
  }

  /** Skips the check where the gateway does not have the route. */
  async askIfThere(path: string, ask: Ask = {}): Promise<HttpAnswer> {
    const answer = await this.ask(path, ask);
    if (this.isAbsent(answer)) throw new Skipped(`this gateway has no ${path.split('?')[0]}`);
    return answer;
  }

  /** What a GET of it answers with 200; anything else fails the check. */
  async readIfThere(path: string): Promise<HttpAnswer> {
    const answer = await this.askIfThere(path);
    expectThat(answer.status === 200, answer.summary);
    return answer;
  }

  /** The answer to a path that no route has; the reference says 405. */
  isAbsent(answer: HttpAnswer): boolean {
    if (this.isReference) return answer.status === 405 && !/GET|PUT|POST/.test(answer.header('allow'));
    return answer.status === 404 && answer.text.includes('route.not_found');
  }

  /** A socket that has not said anything yet. */
  async connect(options: ConnectOptions = {}): Promise<Conversation> {
    this.#refuseInterrupted();
    const { base, timeoutMs } = this.options;
    const url = `${base.protocol === 'https:' ? 'wss' : 'ws'}://${base.host}${options.path ?? '/ws'}`;
    const conversation = await openConversation(url, { ...options, timeoutMs, isStrict: !this.isReference });
    this.#conversations.push(conversation);
    return conversation;
  }

  /** A socket that has authenticated; `frame`: more fields for its `auth`. */
  async join(frame: object = {}): Promise<Conversation & { readonly welcome: Frame }> {
    this.requireCredential();
    const conversation = await this.connect();
    conversation.send({ type: 'auth', ...this.auth(), client_id: this.newId(), ...frame });
    const welcome = await conversation.next(() => true, 'first frame');
    if (welcome.type !== 'auth_ok') throw new Unexpected(`the first frame is ${shown(welcome)}`);
    return Object.assign(conversation, { welcome });
  }

  /** The credential as `auth` has it. */
  auth(): { readonly token?: string } {
    return this.options.token === undefined ? {} : { token: this.options.token };
  }

  /** A name that nobody else has used. */
  newId(): string {
    this.#names += 1;
    return `${this.mark}-${this.#names}`;
  }

  /** Closes the sockets of the check that has ended; what was wrong with their frames, if anything. */
  settleSockets(): string | undefined {
    const conversations = this.#conversations;
    this.#conversations = [];
    for (const conversation of conversations) conversation.vanish();
    const strange = conversations.flatMap((each) => each.strange);
    return strange.length === 0
      ? undefined
      : `${strange.length} frames not as described, first: ${strange[0]}`;
  }

  /** The running check gets no further, and ends soon: its sockets are gone, its requests refused. */
  interrupt(): void {
    this.#isInterrupted = true;
    for (const conversation of this.#conversations) conversation.vanish();
  }

  /** Undoes what checks have made, also after an interruption. One that fails does not keep the others. */
  async putBack(): Promise<{ readonly count: number; readonly left: readonly string[] }> {
    this.#isInterrupted = false;
    const left: string[] = [];
    for (const { what, run } of [...this.cleanups].reverse()) {
      try {
        await run();
      } catch (error) {
        left.push(`${what} (${error instanceof Error ? error.message : String(error)})`);
      }
    }
    return { count: this.cleanups.length, left };
  }

  #refuseInterrupted(): void {
    if (this.#isInterrupted) throw new Skipped('interrupted');
  }

  /** Skips the check where the gateway asks for a token and none was given. */
  requireCredential(): void {
    if (this.facts.isGuarded && this.options.token === undefined) {
      throw new Skipped('it asks for a token: give one with --token-file');
    }
  }

  #credential(): Readonly<Record<string, string>> {
    const { token } = this.options;
    return token === undefined ? {} : { authorization: `Bearer ${token}` };
  }
}

/** Asks what kind of gateway this is. Throws `Unexpected` when nobody answers, or the token is refused. */
export async function openTarget(options: TargetOptions): Promise<{ target: Target; close: () => void }> {
  const http = createHttpClient(options.base, options.timeoutMs);
  try {
    const facts = await findFacts(http, options.token);
    return { target: new Target(http, options, facts), close: http.close };
  } catch (error) {
    http.close();
    throw error;
  }
}

const INFO_PATH = '/api/agent-info';

async function findFacts(http: HttpClient, token: string | undefined): Promise<TargetFacts> {
  const health = fieldsOf((await http.ask('/api/health')).text);
  const bare = await http.ask(INFO_PATH);
  const isGuarded = bare.status === 401 || bare.status === 429;
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = isGuarded ? await http.ask(INFO_PATH, { headers }) : bare;
  if (isGuarded && token !== undefined && answer.status !== 200) {
    throw new Unexpected(`the token is refused: ${answer.summary}`);
  }
  const info = fieldsOf(answer.text);
  const isOurs = isGuarded || ('id' in info && 'transport' in info);
  // REST of the reference never asks; its socket may.
  return {
    dialect: isOurs ? 'supervisor' : 'reference',
    isGuarded: isGuarded || (!isOurs && token !== undefined),
    version: typeof health.version === 'string' ? health.version : 'unknown',
    model: typeof info.model === 'string' ? info.model : undefined,
  };
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {}; // a check says so
  }
}
