/** `top` as a command: takes the terminal, puts source, store and screen together, and gives the terminal back. */
import { systemClock } from '../../contract/clock.ts';
import type { CommandContext } from '../command-context.ts';
import type { FleetOptions } from '../command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from '../exit-codes.ts';
import { told } from '../with-fleet.ts';
import { openFleetSource } from './fleet-source.ts';
import { createPainter } from './painter.ts';
import { isTerminal, openTerminal, type TerminalStreams } from './terminal.ts';
import { createTopStore } from './top-store.ts';
import { type TopSource, watchFleet } from './watch-fleet.ts';

export async function runTop(options: FleetOptions, context: CommandContext): Promise<CommandExitCode> {
  if (options.json || !isTerminal(process, context.env.TERM)) {
    const instead = `openagent-supervisor ps${options.json ? ' --json' : ''}`;
    context.err.write(`error: top needs a terminal to paint on; the same agents, once: ${instead}\n`);
    return COMMAND_EXIT_CODES.usage.code;
  }
  return told(options, context, async () => {
    const source = await openFleetSource(options.fleet, context);
    await showFleet(source, process, context);
    return COMMAND_EXIT_CODES.done.code;
  });
}

/** Shows the fleet until the user has seen enough. */
export async function showFleet(
  source: TopSource,
  streams: TerminalStreams,
  { env, signal }: Pick<CommandContext, 'env' | 'signal'>,
): Promise<void> {
  prepareForReact(process.env);
  const [ink, { renderScreen }] = await Promise.all([import('ink'), import('./screen.ts')]);
  if (signal.aborted) return source.close();
  const terminal = openTerminal(streams);
  const painter = createPainter(terminal.write, terminal.size());
  let quit = (): void => {};
  const ending = new Promise<void>((resolve) => {
    quit = resolve;
  });
  signal.addEventListener('abort', quit);
  const store = createTopStore(terminal.size(), {
    act: (id, action) => watch.act(id, action),
    ...{ repaint: painter.repaint, suspend: terminal.suspend, quit },
  });
  const watch = watchFleet(source, systemClock, store.tell);
  terminal.onChange(() => {
    painter.resize(terminal.size());
    store.tell({ kind: 'resized', size: terminal.size() });
    painter.repaint();
  });
  const screen = renderScreen({
    ...{ ink, store, stdin: streams.stdin, stdout: painter.stream },
    hasColors: !env.NO_COLOR,
  });
  try {
    await Promise.race([ending, screen.ended]);
  } finally {
    watch.stop();
    terminal.close();
    screen.unmount();
  }
}

/** React decides by it which of its two builds is loaded: the other one checks so much that it takes twice the time. */
function prepareForReact(env: NodeJS.ProcessEnv): void {
  env.NODE_ENV = 'production';
  // ink would look for React's development tools.
  delete env.DEV;
}
