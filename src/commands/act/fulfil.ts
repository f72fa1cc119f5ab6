/** Asks for something of several agents at once and waits until each has it or has failed; then it says so. */
import { AppError } from '../../contract/errors.ts';
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import type { CommandContext } from '../command-context.ts';
import type { WaitOptions } from '../command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from '../exit-codes.ts';
import type { FleetClient } from '../fleet-client.ts';
import { nextStep, quoted } from '../next-step.ts';
import { createProgress, type Progress, type Result } from './progress.ts';
import { watchAgents } from './watch-agents.ts';
import type { Judge, Outcome } from './wishes.ts';

export interface Wish {
  readonly label: string;
  /** Undefined: it is added only now. */
  readonly before: FleetAgent | undefined;
  /** Given: nothing has to be done. */
  readonly already: Outcome | undefined;
  /** Gives back the agent as it is then. */
  ask(): Promise<FleetAgent>;
}

interface Waiting {
  readonly wish: Wish;
  readonly before: FleetAgent;
  now: FleetAgent;
}

export interface Fulfilment {
  readonly action: string;
  readonly wishes: readonly Wish[];
  readonly judge: Judge;
}

const { done, failed } = COMMAND_EXIT_CODES;

export async function fulfil(
  { action, wishes, judge }: Fulfilment,
  client: FleetClient,
  options: WaitOptions,
  context: CommandContext,
): Promise<CommandExitCode> {
  const labels = wishes.map(({ label }) => label);
  const progress = createProgress(action, labels, options.json, context);
  const run = new Run(judge, client, progress, options, context);
  try {
    return (await run.all(wishes)) ? done.code : failed.code;
  } finally {
    progress.close();
  }
}

class Run {
  readonly #judge: Judge;
  readonly #client: FleetClient;
  readonly #progress: Progress;
  readonly #options: WaitOptions;
  readonly #context: CommandContext;
  readonly #startMs = performance.now();
  /** By id. */
  readonly #waiting = new Map<string, Waiting>();
  /** Results on their way: some ask the fleet for more. */
  readonly #telling = new Set<Promise<void>>();
  #isOk = true;
  #settled: () => void = () => {};

  constructor(
    judge: Judge,
    client: FleetClient,
    progress: Progress,
    options: WaitOptions,
    context: CommandContext,
  ) {
    this.#judge = judge;
    this.#client = client;
    this.#progress = progress;
    this.#options = options;
    this.#context = context;
  }

  async all(wishes: readonly Wish[]): Promise<boolean> {
    const { wait } = this.#options;
    // Before anything is asked for: nothing that comes of it can be missed then.
    const watch = wait
      ? await watchAgents(this.#client, this.#context.signal, (agents) => this.#look(agents))
      : undefined;
    try {
      await Promise.all(wishes.map((wish) => this.#ask(wish)));
      if (watch !== undefined && this.#waiting.size > 0) {
        watch.look();
        await Promise.race([this.#whenSettled(), watch.lost, this.#whenLate()]);
      }
      await Promise.all(this.#telling);
    } finally {
      watch?.stop();
    }
    return this.#isOk;
  }

  async #ask(wish: Wish): Promise<void> {
    const { label, already } = wish;
    if (already !== undefined) return this.#tell({ label, ...already });
    try {
      const now = await wish.ask();
      if (!this.#options.wait)
        return this.#tell({ label, ok: true, agent: now, text: `asked for; it is ${now.state}` });
      this.#waiting.set(now.id, { wish, before: wish.before ?? now, now });
    } catch (error) {
      if (!AppError.is(error) || error.code === 'fleet.lost') throw error;
      const next = wish.before && nextStep(wish.before);
      this.#tell({ label, ok: false, text: error.message, code: error.code, ...(next && { next }) });
    }
  }

  #look(agents: readonly FleetAgent[]): void {
    for (const [id, waiting] of this.#waiting) {
      const now = agents.find((agent) => agent.id === id);
      waiting.now = now ?? waiting.now;
      const outcome =
        now === undefined
          ? { ok: false, agent: waiting.now, text: 'was removed meanwhile' }
          : this.#judge(now, waiting.before);
      if (outcome === undefined) continue;
      this.#waiting.delete(id);
      this.#settle(waiting, outcome);
    }
    this.#progress.waiting([...this.#waiting.values()].map(({ now }) => now));
    if (this.#waiting.size === 0) this.#settled();
  }

  #settle({ wish: { label } }: Waiting, { ok, agent, text }: Outcome): void {
    const result = { label, ok, agent, text, tookMs: performance.now() - this.#startMs };
    if (ok) return this.#tell(result);
    const telling = this.#explained(result).then((explained) => this.#tell(explained));
    this.#telling.add(telling);
  }

  async #explained(result: Result & { readonly agent: FleetAgent }): Promise<Result> {
    const { agent } = result;
    const next = nextStep(agent);
    const incident = await this.#incidentOf(agent.id);
    const code = (agent.reason ?? agent.last_error)?.code;
    return { ...result, ...(code && { code }), ...(next && { next }), ...(incident && { incident }) };
  }

  /** The newest of it, if any was written. */
  async #incidentOf(id: string): Promise<string | undefined> {
    try {
      const [newest] = await this.#client.request('listIncidents', { query: { agents: id, limit: 1 } });
      return newest?.name;
    } catch {
      return undefined; // the result is worth telling without it
    }
  }

  #tell(result: Result): void {
    if (!result.ok) this.#isOk = false;
    this.#progress.result(result);
  }

  #whenSettled(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled = resolve;
      if (this.#waiting.size === 0) resolve();
    });
  }

  /** Resolves when those that are not decided by then have been told as failed. */
  #whenLate(): Promise<void> {
    const { timeoutSeconds } = this.#options;
    return new Promise((resolve) => {
      const end = (tell: () => void) => (): void => {
        clearTimeout(timer);
        tell();
        resolve();
      };
      const timer = setTimeout(
        end(() => this.#tellLate(timeoutSeconds)),
        timeoutSeconds * 1000,
      );
      timer.unref();
      this.#context.signal.addEventListener(
        'abort',
        end(() => this.#tellLate(undefined)),
        { once: true },
      );
    });
  }

  #tellLate(timeoutSeconds: number | undefined): void {
    for (const { wish, now } of this.#waiting.values()) {
      const when = timeoutSeconds === undefined ? '' : ` after ${timeoutSeconds} s`;
      const why = now.reason === null ? '' : ` (${now.reason.message})`;
      const next = `what was asked for goes on; see: openagent-supervisor ps ${quoted(now.id)}`;
      this.#tell({ label: wish.label, ok: false, agent: now, text: `still ${now.state}${when}${why}`, next });
    }
    this.#waiting.clear();
  }
}
