/**
 * Which models are shown the images of a request. One that is known to see nothing is told that there are some: sent as
 * parts they would be refused, or worse, the answer would be a guess.
 */
import type { ModelSettings } from '../contract/model-settings.ts';
import { parseRuntimeId } from '../contract/runtime-id.ts';
import { unaliased } from '../contract/vendors.ts';
import type { ModelMessage, ModelRequest } from './provider.ts';

/** Nobody said that it cannot. */
export function maySee(runtimeId: string, { providers }: Pick<ModelSettings, 'providers'>): boolean {
  const { provider, model } = parseRuntimeId(runtimeId);
  const name = unaliased(provider);
  const known = Object.hasOwn(providers, name) ? providers[name]?.models : undefined;
  return known?.find(({ id }) => id === model)?.vision !== false;
}

export function showsImages({ messages }: ModelRequest): boolean {
  return messages.some((message) => message.role === 'user' && message.images !== undefined);
}

/** The same request for a model that cannot see. */
export function withoutImages(request: ModelRequest): ModelRequest {
  return { ...request, messages: request.messages.map(sightless) };
}

function sightless(message: ModelMessage): ModelMessage {
  if (message.role !== 'user' || message.images === undefined) return message;
  return { role: 'user', text: unseenText(message.text) };
}

/** `text` names the files already. */
export function unseenText(text: string): string {
  return `${text}\n[This model cannot be shown images.]`;
}
