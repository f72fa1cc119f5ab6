/**
 * Speech to text by a provider that speaks OpenAI's `/audio/transcriptions`, through the AI SDK. Loaded with the first
 * upload of an agent that is configured for it.
 */
import { readFile, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { TranscriptionModelV3 } from '@ai-sdk/provider';
import type { OnlineTranscription } from '../contract/worker-protocol.ts';

/** What providers take at most. It is read as a whole. */
const AUDIO_BYTES = 25 * 1024 * 1024;
/** Sent where none is wanted: without one the package would look for one in the environment itself. */
const NO_KEY = 'none';
const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.webm': 'audio/webm',
  '.ogg': 'audio/ogg',
  '.mp3': 'audio/mpeg',
  '.wav': 'audio/wav',
  '.m4a': 'audio/mp4',
  '.opus': 'audio/ogg',
  '.flac': 'audio/flac',
};

export function createSpeechToText(settings: OnlineTranscription): (path: string) => Promise<string> {
  let opening: Promise<TranscriptionModelV3> | undefined;
  return async (path) => {
    const { size } = await stat(path);
    if (size > AUDIO_BYTES) throw new Error(`A provider takes no file of more than ${AUDIO_BYTES} bytes`);
    opening ??= openModel(settings);
    const model = await opening;
    const { text } = await model.doGenerate({
      audio: await readFile(path),
      mediaType: MEDIA_TYPES[extname(path).toLowerCase()] ?? 'audio/wav',
      abortSignal: AbortSignal.timeout(settings.timeoutMs),
    });
    const heard = text.trim();
    if (heard === '') throw new Error(`${settings.modelId} heard nothing`);
    return heard;
  };
}

async function openModel({ baseUrl, apiKey, modelId }: OnlineTranscription): Promise<TranscriptionModelV3> {
  const { createOpenAI } = await import('@ai-sdk/openai');
  return createOpenAI({ baseURL: baseUrl, apiKey: apiKey || NO_KEY }).transcription(modelId);
}
