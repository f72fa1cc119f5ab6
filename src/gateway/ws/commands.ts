/** The commands of a `command` frame (reference §2.8). Each answers with one text, at once, also while a turn runs. */
import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import { AppError, type ErrorCode } from '../../contract/errors.ts';
import type { UsageSummary } from '../../contract/schemas/usage.ts';
import type { TurnService } from './turn-service.ts';

export interface CommandContext {
  readonly turns: TurnService;
  readonly client: ClientKey;
  /** As given in the frame; undefined means all of the client's sessions. */
  readonly sessionId: SessionId | undefined;
  /** Throws `storage.unavailable`. */
  usage(): Pick<UsageSummary, 'monthly_spend' | 'monthly_budget' | 'by_model'>;
  /** Throws `agent.stopping`. */
  requestRestart(by: string): void;
}

export interface CommandResult {
  readonly text: string;
  readonly code?: ErrorCode;
}

interface Command {
  /** One line for `help`; absent: works, but is not listed. */
  readonly summary?: string;
  run(context: CommandContext): CommandResult;
}

export const COMMANDS: Readonly<Record<string, Command>> = {
  new: { summary: 'begin a new conversation', run: newSession },
  reset: { run: newSession },
  stop: { summary: 'stop the running answer and empty the queue', run: stop },
  status: { summary: 'is it busy, how much waits', run: status },
  queue: { summary: 'number of waiting messages', run: queue },
  clear: { summary: 'empty the queue', run: clear },
  usage: { summary: 'what this month has cost', run: usage },
  update: { summary: 'install the newest version', run: update },
  restart: { summary: 'start the agent again', run: restart },
  help: { summary: 'this list', run: help },
};

/** Never throws: a foreseen failure is answered with its code. */
export function runCommand(name: string, context: CommandContext): CommandResult {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) return { text: `Unknown command: ${name}` };
  try {
    return command.run(context);
  } catch (error) {
    if (!AppError.is(error)) throw error;
    return { text: error.message, code: error.code };
  }
}

/** The id is for show, as in the reference: clients name their sessions themselves. What was said is cut off all the same. */
function newSession({ turns, client, sessionId }: CommandContext): CommandResult {
  turns.beginAfresh(client, sessionId);
  return { text: `New session: ${crypto.randomUUID().slice(0, 8)}` };
}

function stop({ turns, client, sessionId }: CommandContext): CommandResult {
  const { running, waiting } = turns.stop(client, sessionId);
  const parts = [
    ...(running > 0 ? ['Stopped.'] : []),
    ...(waiting > 0 ? [`Removed ${messages(waiting)} from the queue.`] : []),
  ];
  return { text: parts.join(' ') || 'Nothing running.' };
}

function clear({ turns, client, sessionId }: CommandContext): CommandResult {
  const removed = turns.clear(client, sessionId);
  return { text: removed > 0 ? `Queue cleared (${messages(removed)} removed).` : 'Queue already empty.' };
}

function queue({ turns, client }: CommandContext): CommandResult {
  return { text: `Queue depth: ${turns.summary(client).waiting}` };
}

function status({ turns, client }: CommandContext): CommandResult {
  const { isBusy, waiting, sessions } = turns.summary(client);
  return { text: `${isBusy ? 'Busy' : 'Idle'} | Queue: ${waiting} | Sessions: ${sessions}` };
}

function usage(context: CommandContext): CommandResult {
  const { monthly_spend: spent, monthly_budget: budget, by_model } = context.usage();
  const models = Object.keys(by_model).length;
  const of = budget > 0 ? ` of $${budget.toFixed(4)}` : '';
  const text = `Spent this month: $${spent.toFixed(4)}${of} (${models} ${models === 1 ? 'model' : 'models'})`;
  return { text };
}

function update(): CommandResult {
  const text = 'Update failed: this version cannot update itself; install a newer one and restart.';
  return { text, code: 'update.unavailable' };
}

function restart({ requestRestart, client }: CommandContext): CommandResult {
  requestRestart(`command ${client.clientId}`);
  return { text: 'Restarting...' };
}

function help(): CommandResult {
  const lines = Object.entries(COMMANDS).flatMap(([name, { summary }]) =>
    summary === undefined ? [] : [`- /${name}: ${summary}`],
  );
  return { text: ['Commands:', ...lines].join('\n') };
}

const messages = (count: number): string => `${count} ${count === 1 ? 'message' : 'messages'}`;
