/**
 * Single HTTP requests as a client of any manners makes them: Host, Origin and path go out as they are given, which
 * `fetch` would not do. Every answer is bounded in time and size: the server may be of any quality.
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { shown, Unexpected } from './check.ts';

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

export interface HttpAnswer {
  readonly status: number;
  /** Lower case; '' for one that is not there. */
  header(name: string): string;
  readonly body: Buffer;
  readonly text: string;
  /** Fails the check when it is not JSON. */
  json(): unknown;
  /** Status, and `code` or the beginning of the body, for reports. */
  readonly summary: string;
}

export interface HttpClient {
  ask(path: string, ask?: Ask): Promise<HttpAnswer>;
  close(): void;
}

const BODY_BYTES_MAX = 32 * 1024 * 1024;
const SUMMARY_CHARS = 100;

/** `base`: origin of the gateway; `timeoutMs` bounds each answer as a whole. */
export function createHttpClient(base: URL, timeoutMs: number): HttpClient {
  const isSecure = base.protocol === 'https:';
  // One connection at a time, kept: a gateway sees a client, not a flood.
  const agent = isSecure ? undefined : new Agent({ keepAlive: true, maxSockets: 4 });
  const start = isSecure ? httpsRequest : httpRequest;
  return {
    ask(path, { method = 'GET', headers = {}, body } = {}) {
      return new Promise((resolve, reject) => {
        const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
        const request = start(
          {
            ...{ hostname: base.hostname.replace(/^\[|\]$/g, ''), port: base.port, path, method },
            headers: { host: base.host, ...length, ...headers },
            ...(agent === undefined ? {} : { agent }),
          },
          (response) => {
            readBody(response).then((bytes) => settle(() => resolve(toAnswer(response, bytes))), fail);
          },
        );
        const timer = setTimeout(() => {
          fail(new Unexpected(`no answer to ${method} ${path} within ${timeoutMs / 1000} s`));
        }, timeoutMs);
        const settle = (end: () => void): void => {
          clearTimeout(timer);
          end();
        };
        const fail = (error: Error): void => {
          settle(() => reject(error));
          request.destroy();
        };
        request.on('error', (error) => {
          fail(error instanceof Unexpected ? error : new Unexpected(`${method} ${path}: ${error.message}`));
        });
        request.end(body);
      });
    },
    close: () => agent?.destroy(),
  };
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_BYTES_MAX) throw new Unexpected(`an answer of more than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function toAnswer(response: IncomingMessage, body: Buffer): HttpAnswer {
  const status = response.statusCode ?? 0;
  const text = body.toString('utf8');
  const header = (name: string): string => {
    const value = response.headers[name];
    return Array.isArray(value) ? value.join(', ') : (value ?? '');
  };
  return {
    ...{ status, header, body, text },
    json() {
      try {
        return JSON.parse(text);
      } catch {
        throw new Unexpected(`${status} with a body that is not JSON: ${shown(text)}`);
      }
    },
    summary: `${status} ${summaryOf(text, header('content-type'))}`.trim(),
  };
}

function summaryOf(text: string, contentType: string): string {
  if (contentType.includes('json')) {
    try {
      const { code, error } = JSON.parse(text) as { code?: unknown; error?: unknown };
      if (typeof code === 'string') return code;
      if (typeof error === 'string') return error.slice(0, SUMMARY_CHARS);
    } catch {
      // Said to be JSON and is not: shown as it came.
    }
  }
  return text.length > SUMMARY_CHARS ? `${text.slice(0, SUMMARY_CHARS)}…` : text;
}
