/**
 * Speech to text. `Transcribe` is what an upload needs of it; here is the one that asks a program on this machine. It
 * may hang, print for ever or be missing, and an upload must not suffer from that: it then simply has no text.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { extname } from 'node:path';
import type { Clock } from '../contract/clock.ts';
import type { CommandTranscription } from '../contract/worker-protocol.ts';

/** Rejects when there is no text, with a reason for the log. */
export type Transcribe = (path: string) => Promise<string>;

export interface CommandOptions extends CommandTranscription {
  readonly clock: Clock;
  /** Starts it as the head of a process group of its own. */
  readonly spawn: (
    command: string,
    args: readonly string[],
    options: Pick<SpawnOptions, 'stdio' | 'cwd'>,
  ) => ChildProcess;
  readonly cwd: string;
}

/** What the reference takes for speech. */
const SPEECH = ['.webm', '.ogg', '.mp3', '.wav', '.m4a', '.opus', '.flac'];
const TEXT_BYTES = 1024 * 1024;

export function isSpeech(filename: string): boolean {
  return SPEECH.includes(extname(filename).toLowerCase());
}

/** Such a program takes every core it finds. */
export function createCommandTranscriber(options: CommandOptions): Transcribe {
  return inTurn((path) => runCommand(path, options));
}

/** One at a time. */
export function inTurn(transcribe: Transcribe): Transcribe {
  let last: Promise<unknown> = Promise.resolve();
  return (path) => {
    const text = last.then(() => transcribe(path));
    last = text.catch(() => undefined);
    return text;
  };
}

function runCommand(path: string, options: CommandOptions): Promise<string> {
  const { clock, spawn, cwd, timeoutMs } = options;
  const [program, ...words] = options.command;
  const args = words.map((word) => word.replaceAll('{file}', path));
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], cwd });
    const pieces: Buffer[] = [];
    let bytes = 0;
    const giveUp = (reason: string): void => {
      reject(new Error(`${program} ${reason}`));
      endGroup(child);
    };
    const timer = clock.setTimeout(() => giveUp(`did not end within ${timeoutMs} ms`), timeoutMs);
    child.stdout?.on('data', (piece: Buffer) => {
      bytes += piece.length;
      if (bytes > TEXT_BYTES) giveUp(`printed more than ${TEXT_BYTES} bytes`);
      else pieces.push(piece);
    });
    child.once('error', (error) => {
      clock.clearTimeout(timer);
      reject(error);
    });
    child.once('close', (code, signal) => {
      clock.clearTimeout(timer);
      if (code !== 0) return reject(new Error(`${program} ended with ${code ?? signal}`));
      const text = Buffer.concat(pieces).toString('utf8').trim();
      if (text === '') reject(new Error(`${program} printed nothing`));
      else resolve(text);
    });
  });
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}
