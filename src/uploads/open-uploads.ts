/** Everything of uploads that an agent reaches: loaded with the first upload or file that somebody asks for. */
import type { OnlineTranscription, TranscriptionSettings } from '../contract/worker-protocol.ts';
import { type CommandOptions, createCommandTranscriber, inTurn, type Transcribe } from './transcribe.ts';
import { Uploads, type UploadsOptions } from './uploads.ts';

export type OpenUploadsOptions = Omit<UploadsOptions, 'transcribe'> & {
  readonly transcription: TranscriptionSettings | undefined;
  readonly spawn: CommandOptions['spawn'];
  /** What asks a provider; it brings the libraries of models with it. */
  readonly openOnline: (settings: OnlineTranscription) => Promise<Transcribe>;
};

export async function openUploads(options: OpenUploadsOptions): Promise<Uploads> {
  const uploads = new Uploads({ ...options, transcribe: await openTranscriber(options) });
  await uploads.sweep();
  return uploads;
}

async function openTranscriber(options: OpenUploadsOptions): Promise<Transcribe | undefined> {
  const { transcription, spawn, clock, dir: cwd, openOnline } = options;
  if (transcription === undefined) return undefined;
  if ('command' in transcription) return createCommandTranscriber({ ...transcription, spawn, clock, cwd });
  // Each file is held in memory as a whole.
  return inTurn(await openOnline(transcription));
}
