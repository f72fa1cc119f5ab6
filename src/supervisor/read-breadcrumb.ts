/** Reads `<agent>/.crumb`, which an agent's own code may have replaced by anything: a pipe, a link, a huge file. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Breadcrumb, CRUMB_BYTES, CRUMB_FILE, parseBreadcrumb } from '../contract/breadcrumb.ts';

export async function readBreadcrumb(dir: string): Promise<Breadcrumb | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    const file = await open(join(dir, CRUMB_FILE), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(CRUMB_BYTES), 0, CRUMB_BYTES, 0);
      return parseBreadcrumb(buffer.toString('latin1', 0, bytesRead));
    } finally {
      await file.close();
    }
  } catch {
    // None, or none that can be read: then it says nothing, which is what undefined means.
    return undefined;
  }
}
