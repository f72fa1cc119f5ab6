/** The fleet gateway as the host process has it: what it is told of the process, and of the run from its start to its end. */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { systemClock } from '../../contract/clock.ts';
import { runDirectory } from '../../contract/fleet/announcement.ts';
import type { RunOptions } from '../command-line/run-command.ts';
import type { AgentStatus, Fleet } from '../fleet.ts';
import type { Report } from '../report/report.ts';
import type { Run } from '../run-agents.ts';
import type { FleetVaults } from '../vault-watch/fleet-vaults.ts';
import { type FleetGateway, openFleetGateway } from './open-fleet-gateway.ts';

export interface HostGatewayOptions {
  readonly version: string;
  readonly dirs: readonly string[];
  readonly options: Pick<RunOptions, 'fleetPort'>;
  readonly watchdog: () => string;
  readonly deaths: number;
  readonly report: Report;
}

export function openHostGateway(host: HostGatewayOptions): Promise<FleetGateway> {
  const { version, dirs, options, watchdog, deaths, report } = host;
  const cwd = process.cwd();
  return openFleetGateway({
    runDir: resolve(runDirectory(process.env, homedir())),
    port: options.fleetPort,
    facts: {
      pid: process.pid,
      version,
      startedAtMs: systemClock.wallMs() - process.uptime() * 1_000,
      args: withoutSecrets(process.argv.slice(2)),
      cwd,
      dirs: dirs.map((dir) => resolve(cwd, dir)),
      watchdog,
      deaths,
    },
    clock: systemClock,
    onWarning: (message) => report.warning({ code: 'fleet.gateway', message }, undefined),
    onDefect: (error, where) => report.defect(error, `fleet gateway: ${where}`),
  });
}

/** The same report, by which the gateway hears as well how far the run is. */
export function heardBy(gateway: Pick<FleetGateway, 'note'>, report: Report): Report {
  return {
    ...report,
    settled(agents, deadlines) {
      gateway.note({ type: 'fleet.settled' });
      return report.settled(agents, deadlines);
    },
  };
}

/** The run knows the order and who was refused, the fleet the newest of each. */
export function superviseWith(
  gateway: FleetGateway,
  run: Run,
  fleet: Fleet,
  vaults: Pick<FleetVaults, 'count'>,
): void {
  gateway.supervise({
    vaultFolders: vaults.count,
    agents: () => {
      const newest = new Map(fleet.agents().map((status) => [status.id, status]));
      const toNewest = (status: AgentStatus): AgentStatus =>
        status.state === 'refused' ? status : (newest.get(status.id) ?? status);
      return run.agents().map(toNewest);
    },
    command: (id, command) => fleet.command(id, command),
    add: (dir) => run.add(dir),
    remove: (id) => run.remove(id),
  });
}

/** `--token x` and `--token=x`: the rest of a command line may be shown. */
function withoutSecrets(args: readonly string[]): readonly string[] {
  return args.map((arg, at) => {
    if (args[at - 1] === '--token') return '***';
    return arg.startsWith('--token=') ? '--token=***' : arg;
  });
}
