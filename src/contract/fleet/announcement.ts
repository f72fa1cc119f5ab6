/**
 * How a running fleet is found: `<run directory>/<pid>.json`, beside its socket `<pid>.sock`, both 0600 in a directory
 * 0700. Written when the gateway listens, removed at the end; one whose process is gone is left over from a kill.
 */
import { z } from 'zod';

export const Announcement = z.object({
  /** Of the host process. */
  pid: z.int().positive(),
  version: z.string(),
  /** Seconds since the Unix epoch. */
  started_at: z.number(),
  /** Absolute path of the unix socket; null where it could not be made. */
  socket: z.string().nullable(),
  /** Null where no TCP port was asked for. `token_file`: the file whose content is the token. */
  http: z.object({ host: z.string(), port: z.int(), token_file: z.string() }).nullable(),
  cwd: z.string(),
  /** Real paths of the agents' directories at the start. */
  dirs: z.array(z.string()),
});
export type Announcement = z.output<typeof Announcement>;

/** `OPENAGENT_RUN_DIR`, else the user's runtime directory, else one in the home directory. */
export function runDirectory(env: Readonly<Record<string, string | undefined>>, homeDir: string): string {
  if (env.OPENAGENT_RUN_DIR) return env.OPENAGENT_RUN_DIR;
  if (env.XDG_RUNTIME_DIR) return `${env.XDG_RUNTIME_DIR}/openagent-supervisor`;
  return `${homeDir}/.openagent-supervisor/run`;
}
