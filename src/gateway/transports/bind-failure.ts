/**
 * Finds out with node:net what uWS does not say: why a port could not be bound, and whether a host can be bound at
 * all. A wrong host would otherwise look like a hundred taken ports.
 */
import { type AddressInfo, createServer } from 'node:net';
import { AppError } from '../../contract/errors.ts';

/** Binds and lets go again. Resolves with what the system said, or undefined when it worked. */
export function tryBind(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', resolve);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(undefined)));
  });
}

/**
 * uWS leaves out SO_REUSEADDR when it is asked for port 0, and then nobody, itself included, can bind that port again
 * until the last of its connections has left TIME_WAIT, a minute later. So the port is chosen here.
 */
export function findFreePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (failure) => reject(toBindFailure(failure, host, 0)));
    probe.listen({ host, port: 0, exclusive: true }, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}

export async function whyNotBound(host: string, port: number): Promise<'taken' | AppError> {
  const failure = await tryBind(host, port);
  // Free by now: whoever had it is gone, and was there a moment ago.
  return failure ? toBindFailure(failure, host, port) : 'taken';
}

export function toBindFailure(
  failure: NodeJS.ErrnoException,
  host: string,
  port: number,
): 'taken' | AppError {
  if (failure.code === 'EADDRINUSE') return 'taken';
  const mend =
    failure.code === 'EACCES'
      ? 'this user may not bind it; choose one above 1023 in `channels.websocket.port`'
      : 'check `channels.websocket.host` and `channels.websocket.port`';
  const said = failure.message.split('\n', 1)[0];
  return new AppError('bind.failed', `Port ${port} on ${host} cannot be bound (${said}): ${mend}`, {
    cause: failure,
  });
}
