/** Everything of uploads that an agent reaches: loaded with the first upload or file that somebody asks for. */
import type { TranscriptionSettings } from '../contract/worker-protocol.ts';
import { type CommandOptions, createCommandTranscriber } from './transcribe.ts';
import { Uploads, type UploadsOptions } from './uploads.ts';

export type OpenUploadsOptions = Omit<UploadsOptions, 'transcribe'> & {
  readonly transcription: TranscriptionSettings | undefined;
  readonly spawn: CommandOptions['spawn'];
};

export async function openUploads(options: OpenUploadsOptions): Promise<Uploads> {
  const { transcription, spawn, clock, dir: cwd } = options;
  const transcribe = transcription && createCommandTranscriber({ ...transcription, spawn, clock, cwd });
  const uploads = new Uploads({ ...options, transcribe });
  await uploads.sweep();
  return uploads;
}
