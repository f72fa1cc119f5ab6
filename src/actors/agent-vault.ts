/**
 * The agent's vault, loaded when somebody first wants it, or in the background once the agent has been up for a while
 * and there are notes. Until then it costs a thread neither memory nor time.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { VaultWatching } from '../contract/host-link.ts';
import type { ResourceEvents } from '../gateway/services/resource-events.ts';
import type { VaultService } from '../gateway/services/vault-service.ts';
import type { Log } from '../logging/log.ts';
import type { Vault } from '../vault/vault.ts';
import type { AgentPort } from './run-worker.ts';

export interface AgentVault extends VaultService {
  close(): Promise<void>;
}

export interface AgentVaultOptions {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly log: Log;
  readonly resources: ResourceEvents;
}

/** After the start: agents that start together have other things to do first. */
const BACKGROUND_MS = 5_000;
const ASK_MS = 10_000;
const INDEX_FILE = 'vault-index.db';

export function createAgentVault(options: AgentVaultOptions): AgentVault {
  const { clock, log, agent } = options;
  let loading: Promise<Vault> | undefined;
  let isClosed = false;
  const load = (): Promise<Vault> => {
    if (isClosed) throw new AppError('agent.stopping', 'The agent is already stopping or restarting.');
    loading ??= openVault(options);
    return loading;
  };

  void makeFolder(agent.init);
  const timer = clock.setTimeout(() => {
    hasEntries(agent.init.settings.vaultPath)
      .then(async (isWorthIt) => {
        if (isWorthIt && !isClosed) (await load()).open();
      })
      // The first request that needs it fails with the same error and says so.
      .catch((error: unknown) => log.warn('vault.open_failed', { error }));
  }, BACKGROUND_MS);

  return {
    list: async (listing) => (await load()).list(listing),
    graph: async (listing) => (await load()).graph(listing),
    search: async (query, limit) => (await load()).search(query, limit),
    backlinks: async (path, limit) => (await load()).backlinks(path, limit),
    read: async (path) => (await load()).read(path),
    write: async (path, content, guard) => (await load()).write(path, content, guard),
    remove: async (path, guard) => (await load()).remove(path, guard),
    rename: async (from, to, updateLinks) => (await load()).rename(from, to, updateLinks),
    folders: async (limit) => (await load()).folders(limit),
    createFolder: async (path) => (await load()).createFolder(path),
    removeFolder: async (path) => (await load()).removeFolder(path),
    trash: async (limit) => (await load()).trash(limit),
    restore: async (id, path) => (await load()).restore(id, path),
    close: async () => {
      isClosed = true;
      clock.clearTimeout(timer);
      await (await loading)?.close();
    },
  };
}

async function openVault({ agent, clock, log, resources }: AgentVaultOptions): Promise<Vault> {
  const { createVault } = await import('../vault/vault.ts');
  const { vaultPath, dbPath, trashDays, limits } = agent.init.settings;
  return createVault({
    path: vaultPath,
    agentDir: agent.init.dir,
    indexFile: join(dirname(dbPath), INDEX_FILE),
    noteBytes: limits.noteBytes,
    trashDays,
    ...{ clock, log },
    watch: async () => (await agent.ask({ type: 'vault.watch' }, { timeoutMs: ASK_MS })) as VaultWatching,
    onNotice: agent.onNotice,
    onChange: (action, path) => resources.changed('vault', action, path),
    onUnwatched: (reason) => {
      const message = `Changes on disk in ${vaultPath} are not told: ${reason}. The vault is looked through every half minute`;
      log.warn('vault.unwatched', { reason });
      agent.report({ type: 'worker.warning', warning: { code: 'vault.unwatched', message } });
    },
  });
}

/**
 * `memories/` belongs to an agent's directory, for whoever opens it in Obsidian before there is a note. A vault elsewhere
 * is its owner's: where that disk is not mounted, a folder of ours would hide it.
 */
async function makeFolder({ dir, settings }: AgentPort['init']): Promise<void> {
  const path = join(dir, 'memories');
  if (settings.vaultPath !== path) return;
  try {
    await mkdir(path, { mode: 0o700 });
  } catch {
    // It is there as a rule. Where it cannot be made, whoever writes a note is told why.
  }
}

async function hasEntries(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length > 0;
  } catch {
    // No vault yet, or none that can be read: whoever asks for a note will be told.
    return false;
  }
}
