/** The report for programs: one JSON object a line on stdout, never anything else there. Keys are only ever added. */
import { inspect } from 'node:util';
import type { Deadlines } from '../child-spec.ts';
import type { AgentStatus } from '../fleet.ts';
import { createOutputPrinter } from './agent-output.ts';
import { agentUrl, createChangeFilter, type Report, type ReportOptions } from './report.ts';

export function createJsonReport(options: ReportOptions): Report {
  const { out, err, wallMs, monotonicMs } = options;
  const isNews = createChangeFilter();
  const output = createOutputPrinter({ err, monotonicMs });
  const write = (type: string, fields: object): void => {
    out.write(`${JSON.stringify({ ts: wallMs() / 1000, type, ...fields })}\n`);
  };
  return {
    started: (pid, version, life) => write('started', { pid, version, ...life }),
    unwatched: (pid) => write('unwatched', { pid }),
    expect: () => {},
    created: (dir) => write('created', { dir }),
    agent(status) {
      if (isNews(status)) write('agent', toRecord(status));
    },
    added: (id, dir) => write('added', { id, dir }),
    removed: (id, dir) => write('removed', { id, dir }),
    config: ({ type, ...outcome }, id) =>
      write('config', { id, state: type.replace('config.', ''), ...outcome }),
    warning: (warning, id) => write('warning', { id, ...warning }),
    incident: ({ kind, text, file }, id) => write('incident', { id, kind, text, file }),
    settled: async (agents, deadlines) =>
      write('settled', { agents: agents.map(toRecord), deadlines: deadlines && toMilliseconds(deadlines) }),
    stopping: (signal, how) => write('stopping', { signal, how }),
    stopped(exitCode, wedged) {
      output.flush();
      write('stopped', { exit_code: exitCode, wedged });
    },
    output: output.print,
    defect(error, where) {
      write('defect', { where, message: error instanceof Error ? error.message : String(error) });
      err.write(`defect: ${inspect(error)}\n`);
    },
  };
}

function toMilliseconds(deadlines: Deadlines): object {
  return {
    drain_ms: deadlines.drainMs,
    close_ms: deadlines.closeMs,
    grace_ms: deadlines.graceMs,
    interrupt_ms: deadlines.interruptMs,
    kill_ms: deadlines.killMs,
  };
}

function toRecord(status: AgentStatus): object {
  return {
    id: status.id,
    dir: status.dir,
    name: status.name,
    state: status.state,
    url: agentUrl(status),
    port: status.port,
    model: status.model,
    transport: status.transport,
    transport_note: status.transportNote,
    isolation: status.isolation,
    restarts: status.restarts,
    restart_in_ms: status.restartInMs,
    reason: status.reason,
  };
}
