/** An agent as a program sees it: its REST routes, its conversation, uploads. */
import type { Routes } from '../../../src/contract/routes.ts';
import { Chat, type ChatOptions } from './chat.ts';
import {
  createRestClient,
  type RestClient,
  type RestMethods,
  type RouteData,
  type RouteName,
} from './rest.ts';
import { type UploadFile, type UploadOptions, upload } from './upload.ts';

export interface AgentClientOptions {
  /** `http://host:port` of the agent. */
  readonly url: string;
  readonly token?: string;
  readonly fetch?: typeof fetch;
  /** A class like the browser's, where there is none. */
  readonly WebSocket?: unknown;
}

export interface AgentClient {
  /** One method per route. */
  readonly rest: RestMethods;
  /** As the method of that name, with status, version and headers. */
  readonly request: RestClient['request'];
  /** Opens a WebSocket of its own. */
  chat(options?: Omit<ChatOptions, 'url' | 'token' | 'WebSocket'>): Chat;
  /** `name` is needed where the file has none of its own. */
  upload(
    files: readonly (UploadFile | { readonly file: UploadFile; readonly name: string })[],
    options?: UploadOptions,
  ): Promise<Uploaded>;
}

type UploadRoute = {
  [K in RouteName]: Routes[K]['path'] extends '/api/upload' ? K : never;
}[RouteName];
type Uploaded = RouteData<UploadRoute>;

export function createAgentClient(options: AgentClientOptions): AgentClient {
  const url = options.url.replace(/\/+$/, '');
  const { token } = options;
  const rest = createRestClient({ url, token, fetch: options.fetch });
  return {
    rest: rest.methods,
    request: rest.request,
    chat: (more = {}) =>
      new Chat({ ...more, url: `${url.replace(/^http/, 'ws')}/ws`, token, WebSocket: options.WebSocket }),
    upload: (files, more = {}) =>
      upload(
        { url: `${url}/api/upload`, token, fetch: options.fetch },
        files.map(toNamed),
        more,
      ) as Promise<Uploaded>,
  };
}

function toNamed(given: UploadFile | { readonly file: UploadFile; readonly name: string }) {
  return 'file' in given ? given : { file: given, name: given.name ?? 'file' };
}
