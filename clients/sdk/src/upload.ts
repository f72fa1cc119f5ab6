/** Uploads with progress. In a browser through XMLHttpRequest, which alone tells it there; elsewhere by counting. */
import { AgentError, connectionLost, errorOfResponse } from './errors.ts';

export interface UploadProgress {
  readonly sentBytes: number;
  /** Of all files together; what frames them is not counted. */
  readonly totalBytes: number;
}

export interface UploadOptions {
  readonly onProgress?: (progress: UploadProgress) => void;
  readonly signal?: AbortSignal;
}

export interface UploadTarget {
  readonly url: string;
  readonly token?: string | undefined;
  readonly fetch?: typeof fetch | undefined;
}

/** A browser's `File`, or what is like one (`fs.openAsBlob` in Node). */
export type UploadFile = Blob & { readonly name?: string };

/** The agent's JSON. Rejects with an `AgentError`; a partial upload leaves nothing behind. */
export async function upload(
  target: UploadTarget,
  files: readonly { readonly file: UploadFile; readonly name: string }[],
  options: UploadOptions,
): Promise<unknown> {
  const form = new FormData();
  for (const { file, name } of files) form.append('file', file, name);
  const totalBytes = files.reduce((sum, { file }) => sum + file.size, 0);
  const tell = (sentBytes: number) =>
    options.onProgress?.({ sentBytes: Math.min(sentBytes, totalBytes), totalBytes });
  const Xhr = (globalThis as { XMLHttpRequest?: new () => Xhr }).XMLHttpRequest;
  const response = Xhr
    ? await sendByXhr(new Xhr(), target, form, options, tell)
    : await sendByFetch(target, form, options, tell);
  if (!response.ok) throw await errorOfResponse(response);
  tell(totalBytes);
  return response.json();
}

async function sendByFetch(
  { url, token, fetch: given = fetch }: UploadTarget,
  form: FormData,
  { signal }: UploadOptions,
  tell: (sentBytes: number) => void,
): Promise<Response> {
  const encoded = new Response(form);
  let sentBytes = 0;
  const counted = (encoded.body as ReadableStream<Uint8Array>).pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        controller.enqueue(chunk);
        sentBytes += chunk.byteLength;
        tell(sentBytes);
      },
    }),
  );
  const init = {
    method: 'POST',
    body: counted,
    duplex: 'half',
    headers: {
      'content-type': encoded.headers.get('content-type') ?? 'multipart/form-data',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    ...(signal ? { signal } : {}),
  };
  try {
    return await given(url, init as RequestInit);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw connectionLost('upload', cause);
  }
}

/** Of the browser's XMLHttpRequest what is used here. */
interface Xhr {
  readonly upload: { onprogress: ((event: { readonly loaded: number }) => void) | null };
  readonly status: number;
  readonly responseText: string;
  onload: (() => void) | null;
  onerror: (() => void) | null;
  onabort: (() => void) | null;
  open(method: string, url: string): void;
  setRequestHeader(name: string, value: string): void;
  getResponseHeader(name: string): string | null;
  send(body: FormData): void;
  abort(): void;
}

function sendByXhr(
  xhr: Xhr,
  { url, token }: UploadTarget,
  form: FormData,
  { signal }: UploadOptions,
  tell: (sentBytes: number) => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    xhr.open('POST', url);
    if (token !== undefined) xhr.setRequestHeader('authorization', `Bearer ${token}`);
    xhr.upload.onprogress = ({ loaded }) => tell(loaded);
    xhr.onload = () => {
      const retryAfter = xhr.getResponseHeader('retry-after');
      const headers = retryAfter === null ? {} : { 'retry-after': retryAfter };
      resolve(new Response(xhr.responseText, { status: xhr.status, headers }));
    };
    xhr.onerror = () => reject(connectionLost('upload'));
    xhr.onabort = () =>
      reject(signal?.reason ?? new AgentError('upload: aborted', { code: 'client.closed' }));
    signal?.addEventListener('abort', () => xhr.abort(), { once: true });
    if (signal?.aborted) return reject(signal.reason);
    xhr.send(form);
  });
}
