/**
 * The tools that need no server. They bring zod and the HTML parser, so an agent loads this when a turn first wants
 * tools.
 */
import { join } from 'node:path';
import type { Clock } from '../contract/clock.ts';
import type { ToolSettings } from '../contract/tool-settings.ts';
import { createEgressGuard, type EgressGuard } from './egress-guard.ts';
import { createFileTools } from './file-tools.ts';
import type { SpawnProgram } from './program-jobs.ts';
import { createScheduleTools, type ScheduleService } from './schedule-tools.ts';
import { createShellTools } from './shell-tools.ts';
import type { ToolSource } from './tool.ts';
import { createVaultTools, type NoteService } from './vault-tools.ts';
import { createWebTools } from './web-tools.ts';

export interface BuiltinToolsOptions {
  /** As the configuration calls them: `vault`, `filesystem`, `editor`, `web-search`, `shell`, `scheduler`. */
  readonly wanted: readonly string[];
  readonly settings: ToolSettings;
  /** The agent's directory. */
  readonly dir: string;
  readonly dbPath: string;
  readonly version: string;
  readonly vault: NoteService;
  /** Absent: no tools for tasks. */
  readonly schedule?: ScheduleService;
  readonly spawn: SpawnProgram;
  readonly clock: Clock;
  /** Absent: one made of the settings. */
  readonly guard?: EgressGuard;
}

export function createBuiltinTools(options: BuiltinToolsOptions): readonly ToolSource[] {
  const { settings, dir, dbPath, version, vault, schedule, spawn, clock } = options;
  const { files, shell, web } = settings;
  const isWanted = (...names: readonly string[]) => names.some((name) => options.wanted.includes(name));
  const privateFiles = [dbPath, join(dir, 'openagent.yaml')];
  const sources: ToolSource[] = [];
  if (isWanted('vault')) sources.push(createVaultTools(vault));
  if (isWanted('filesystem', 'editor')) sources.push(createFileTools({ settings: files, privateFiles }));
  if (isWanted('web-search')) {
    const guard = options.guard ?? createEgressGuard({ ...web });
    sources.push(createWebTools({ settings: web, guard, version, clock }));
  }
  if (isWanted('shell') && shell.enabled) {
    sources.push(createShellTools({ settings: shell, roots: files.roots, spawn, clock }));
  }
  if (isWanted('scheduler') && schedule !== undefined) {
    sources.push(createScheduleTools(schedule, clock.wallMs));
  }
  return sources;
}
