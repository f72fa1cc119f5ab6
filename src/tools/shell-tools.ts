/** Programs as tools. There is no shell in between: a program and its arguments, exactly as they were shown and approved. */
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { ShellToolSettings } from '../contract/tool-settings.ts';
import { createConfinement } from './confined-paths.ts';
import { cutText } from './cut-text.ts';
import { defineTool } from './define-tool.ts';
import { type Job, type JobEnd, ProgramJobs, type SpawnProgram } from './program-jobs.ts';
import type { Tool, ToolContext, ToolResult, ToolSource } from './tool.ts';

export interface ShellToolsOptions {
  readonly settings: ShellToolSettings;
  /** Directories in which programs may be started. */
  readonly roots: readonly string[];
  readonly spawn: SpawnProgram;
  readonly clock: Clock;
}

const JOB_MS_DEFAULT = 30 * 60_000;
const JOB_MS_MAX = 24 * 3_600_000;
const WAIT_MS_MAX = 30_000;
/** For a program that is over its time to end. */
const END_MS = 10_000;

const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((given) => !given.includes('\0'), 'must have no NUL character');
const program = {
  command: text(4_096).min(1).describe('A program, without arguments. No shell reads it'),
  args: z.array(text(100_000)).max(1_000).default([]),
  cwd: text(4_096).min(1).default('.').describe('Within the allowed directories'),
};
const jobId = z.string().min(1).max(64).describe('As shell_start gives it');

export function createShellTools(options: ShellToolsOptions): ToolSource {
  const { spawn, clock, settings } = options;
  const jobs = new ProgramJobs({ spawn, clock, outputChars: settings.outputChars });
  const start = createStart(options, jobs);
  const tools = [
    runTool(settings, start),
    startTool(start),
    inputTool(jobs),
    outputTool(jobs, settings),
    killTool(jobs),
  ];
  return { name: 'shell', tools: () => tools };
}

interface Wanted {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
}

type Start = (wanted: Wanted, timeoutMs: number, context: ToolContext) => Promise<Job>;

function createStart({ settings, roots }: ShellToolsOptions, jobs: ProgramJobs): Start {
  const confinement = createConfinement({ roots, privateFiles: [] });
  const { commands } = settings;
  return async ({ command, args, cwd }, timeoutMs, { sessionId, signal }) => {
    if (commands !== undefined && !commands.includes(command)) {
      const message = `${command} may not be started, only: ${commands.join(', ')} (tools.shell.commands)`;
      throw new AppError('tool.denied', message);
    }
    const { real, exists } = await confinement.locate(cwd, 'read');
    if (!exists || !(await stat(real)).isDirectory())
      throw new AppError('tool.failed', 'cwd is no directory');
    signal.throwIfAborted();
    return jobs.start({ command, args, cwd: real, sessionId, timeoutMs });
  };
}

function runTool({ timeoutMs: maxMs, outputChars }: ShellToolSettings, start: Start): Tool {
  return defineTool({
    name: 'shell_run',
    description: 'Runs a program to its end and gives what it printed. For what takes long use shell_start.',
    effect: 'unsafe',
    defaultDecision: 'ask',
    timeoutMs: maxMs + END_MS,
    input: z.object({
      ...program,
      stdin: text(1_000_000).default(''),
      timeout_ms: z.int().min(1).max(maxMs).default(maxMs),
    }),
    run: async ({ stdin, timeout_ms: timeoutMs, ...wanted }, context) => {
      const job = await start(wanted, timeoutMs, context);
      const onAbort = (): void => job.kill();
      context.signal.addEventListener('abort', onAbort, { once: true });
      job.write(stdin, true);
      const end = await job.ended;
      context.signal.removeEventListener('abort', onAbort);
      context.signal.throwIfAborted();
      const { text, missed } = job.output.from(0);
      const lost = missed > 0 ? `(The first ${missed} characters are not kept.)\n` : '';
      const isError = end.reason !== 'exit' || end.code !== 0;
      return { text: `${endText(end)}\n${lost}${cutText(text, outputChars)}`, isError };
    },
  });
}

function startTool(start: Start): Tool {
  return defineTool({
    name: 'shell_start',
    description: 'Starts a program in the background. It ends with the agent, or after timeout_ms.',
    effect: 'unsafe',
    defaultDecision: 'ask',
    input: z.object({ ...program, timeout_ms: z.int().min(1).max(JOB_MS_MAX).default(JOB_MS_DEFAULT) }),
    run: async ({ timeout_ms: timeoutMs, ...wanted }, context) => {
      const { id, end } = await start(wanted, timeoutMs, context);
      return end === undefined ? `Started as ${id}` : { text: endText(end), isError: true };
    },
  });
}

function inputTool(jobs: ProgramJobs): Tool {
  return defineTool({
    name: 'shell_input',
    description: 'Writes to the input of a program in the background.',
    effect: 'unsafe',
    defaultDecision: 'ask',
    input: z.object({
      job: jobId,
      text: text(1_000_000).default(''),
      end: z.boolean().default(false).describe('Nothing more will come'),
    }),
    run: async ({ job, text, end }, { sessionId }) => {
      const isTaken = find(jobs, job, sessionId).write(text, end);
      return isTaken ? 'Written.' : { text: 'The program does not read any more', isError: true };
    },
  });
}

function outputTool(jobs: ProgramJobs, { outputChars }: ShellToolSettings): Tool {
  return defineTool({
    name: 'shell_output',
    description:
      'What a program in the background has printed behind a position, and whether it runs. Without job: which programs there are.',
    effect: 'none',
    input: z.object({
      job: jobId.optional(),
      from: z.int().min(0).default(0).describe('The position that the last call gave as next'),
      wait_ms: z.int().min(0).max(WAIT_MS_MAX).default(0).describe('Wait so long for something new'),
    }),
    run: async ({ job: id, from, wait_ms: waitMs }, { sessionId, signal }) => {
      if (id === undefined) return jobs.of(sessionId).map(line).join('\n') || 'There are no programs.';
      const job = find(jobs, id, sessionId);
      if (waitMs > 0) await job.changed(from, waitMs, signal);
      const { text, missed } = job.output.from(from);
      const state = job.end === undefined ? 'It runs.' : endText(job.end);
      const lost = missed > 0 ? ` ${missed} characters before that are not kept.` : '';
      return `${state} next: ${job.output.end}.${lost}\n${cutText(text, outputChars)}`;
    },
  });
}

function killTool(jobs: ProgramJobs): Tool {
  return defineTool({
    name: 'shell_kill',
    description: 'Ends a program in the background, and all that it has started.',
    effect: 'repeatable',
    input: z.object({ job: jobId }),
    run: async ({ job: id }, { sessionId }): Promise<ToolResult | string> => {
      const job = find(jobs, id, sessionId);
      job.kill();
      return endText(await job.ended);
    },
  });
}

function find(jobs: ProgramJobs, id: string, sessionId: string | number | null): Job {
  const job = jobs.of(sessionId).find((each) => each.id === id);
  if (job === undefined) throw new AppError('tool.failed', `There is no program ${id} in this session`);
  return job;
}

function line({ id, plan, end }: Job): string {
  const words = [plan.command, ...plan.args].join(' ').slice(0, 200);
  return `${id}: ${words} – ${end === undefined ? 'It runs.' : endText(end)}`;
}

function endText(end: JobEnd): string {
  switch (end.reason) {
    case 'exit':
      return end.signal === null ? `It ended with ${end.code}.` : `It was ended by ${end.signal}.`;
    case 'timeout':
      return 'It was ended: its time was over.';
    case 'killed':
      return 'It was ended.';
    case 'flood':
      return 'It was ended: it printed too much.';
    case 'failed':
      return `It could not be started: ${(end.error as NodeJS.ErrnoException).code ?? end.error.message}.`;
  }
}
