/**
 * What may be typed after `openagent-supervisor`, and the help that teaches it. Parsing touches neither files nor
 * the process: it says what to do or what to print before exiting, so every line can be tested.
 */
import { CommanderError } from 'commander';
import type {
  ActOptions,
  AddOptions,
  CompletionOptions,
  FleetOptions,
  IncidentOptions,
  IncidentsOptions,
  PsOptions,
  RemoveOptions,
  TailOptions,
} from '../../commands/command-options.ts';
import type { BackupOptions } from '../backup/run-backup.ts';
import type { RestoreOptions } from '../backup/run-restore.ts';
import type { DoctorOptions } from '../doctor/run-doctor.ts';
import { EXIT_CODES } from '../exit-codes.ts';
import { allCommands, createProgram } from './program.ts';
import type { RunOptions } from './run-command.ts';
import type { ValidateOptions } from './validate-command.ts';

/** Commands that are done by a function of their options, which says the exit code: see `run-command-line.ts`. */
export interface CommandOptions {
  readonly ps: PsOptions;
  readonly top: FleetOptions;
  readonly logs: TailOptions;
  readonly events: TailOptions;
  readonly incidents: IncidentsOptions;
  readonly incident: IncidentOptions;
  readonly act: ActOptions;
  readonly add: AddOptions;
  readonly remove: RemoveOptions;
  readonly doctor: DoctorOptions;
  readonly backup: BackupOptions;
  readonly restore: RestoreOptions;
  readonly completion: CompletionOptions;
  readonly complete: { readonly words: readonly string[] };
}

export type CommandCall = {
  readonly [K in keyof CommandOptions]: { readonly kind: K; readonly options: CommandOptions[K] };
}[keyof CommandOptions];

export type CommandLine =
  | { readonly kind: 'run'; readonly dirs: readonly string[]; readonly options: RunOptions }
  | { readonly kind: 'init'; readonly dirs: readonly string[] }
  | { readonly kind: 'validate'; readonly url: URL; readonly options: ValidateOptions }
  | CommandCall
  /** Nothing to do but print: help, version, or what is wrong. */
  | {
      readonly kind: 'print';
      readonly exitCode: 0 | 2;
      readonly stdout: string;
      readonly stderr: string;
    };

/** Told what was typed. */
export type Done = (result: CommandLine) => void;

export function parseCommandLine(args: readonly string[], version: string): CommandLine {
  // What a shell's completion script asks; the two dashes tell it from a directory.
  if (args[0] === 'complete' && args[1] === '--') {
    return { kind: 'complete', options: { words: args.slice(2) } };
  }
  const printed = { stdout: '', stderr: '' };
  let parsed: CommandLine | undefined;
  const isRun = args[0] === 'run' || args[0] === '--';
  const program = createProgram(
    version,
    (result) => {
      parsed = result;
    },
    { commands: !isRun },
  );
  for (const command of allCommands(program)) {
    command.configureOutput({
      writeOut: (text) => {
        printed.stdout += text;
      },
      writeErr: (text) => {
        printed.stderr += text;
      },
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
    command.exitOverride();
  }
  try {
    program.parse(args[0] === 'run' ? args.slice(1) : [...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: 'print', exitCode: error.exitCode === 0 ? 0 : EXIT_CODES.usage.code, ...printed };
  }
  if (parsed === undefined) throw new Error('The command line was parsed without a result');
  return parsed;
}
