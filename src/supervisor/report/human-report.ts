/**
 * The report for people: a line per change, a table once all have settled, and how to go on from there. State lines go
 * to stdout in one format, `<id>  <state>  <url or reason>  …`, columns two or more spaces apart; warnings, agents'
 * output and defects go to stderr.
 */
import { inspect } from 'node:util';
import picocolors from 'picocolors';
import type { AgentState } from '../../contract/fleet/agent-states.ts';
import type { Deadlines } from '../child-spec.ts';
import type { AgentStatus } from '../fleet.ts';
import { createOutputPrinter } from './agent-output.ts';
import { createFleetNotices } from './fleet-notices.ts';
import { plainText } from './plain-text.ts';
import {
  agentModel,
  agentUrl,
  createChangeFilter,
  type HostLife,
  type Report,
  type ReportOptions,
  type ReportStream,
} from './report.ts';

type Colors = ReturnType<typeof picocolors.createColors>;

const STATE_CHARS = 'quarantined'.length;
const ID_CHARS_MAX = 32;
/** Where the output is not a terminal, or does not say how wide it is. */
const COLUMNS_DEFAULT = 120;

const UNWATCHED =
  'the launcher has ended; the agents go on, and nobody starts them again if this process dies. Stop them with:';

export function createHumanReport(options: ReportOptions): Report {
  const { out, err, monotonicMs } = options;
  const { colors, errColors, line, notice, warn, widen, idChars } = openLines(options);
  const isNews = createChangeFilter();
  const output = createOutputPrinter({ err, monotonicMs });
  let gateway: Pick<HostLife, 'socket' | 'url'> = {};
  return {
    started(_pid, _version, life) {
      // That it started people see by its agents; where to ask for them stands below their table.
      gateway = life ?? {};
    },
    unwatched: (pid) => err.write(`${errColors.yellow('warning')}: ${UNWATCHED} kill ${pid}\n`),
    expect: widen,
    created: (dir) =>
      line(`created ${plainText(dir)}: edit openagent.yaml in it to give it a model and a name`),
    agent(status) {
      if (status.state !== 'waiting' && isNews(status)) line(stateLine(status, idChars(), colors));
    },
    ...createFleetNotices({ notice, warn }),
    warning: (warning, id) => warn(id, warning.message),
    incident({ text, file }, id) {
      const details = file === undefined ? '' : ` (${plainText(file)})`;
      err.write(`${errColors.red('incident')}: ${plainText(id)} ${indented(text)}${details}\n`);
    },
    async settled(agents, deadlines) {
      // Loaded when everything runs: the table is no reason to start later.
      const { agentTable } = await import('./agent-table.ts');
      const columns = out.columns ?? COLUMNS_DEFAULT;
      line(`\n${agentTable(agents, columns, (state) => paint(state as AgentState, state, colors))}`);
      const below = [...(deadlines ? [deadlinesLine(deadlines)] : []), ...hints(agents, gateway)];
      for (const hint of below.length > 0 ? ['', ...below] : []) line(colors.dim(hint));
    },
    stopping(signal, how) {
      line(
        how === 'drain'
          ? `${signal}: stopping; running turns may end (again after a second: all ends at once)`
          : `${signal}: ending everything at once`,
      );
    },
    stopped(exitCode, wedged) {
      output.flush();
      if (wedged.length > 0) {
        err.write(
          `${errColors.red('error')}: did not end: ${wedged.map(plainText).join(', ')}; killing all\n`,
        );
      }
      line(exitCode === 0 ? 'stopped' : `stopped (exit code ${exitCode})`);
    },
    output: output.print,
    defect(error, where) {
      const place = where === undefined ? '' : ` in ${plainText(where)}`;
      err.write(`${errColors.red('defect')}${place}: ${inspect(error)}\n`);
    },
  };
}

/** Lines in columns of one width on stdout, warnings on stderr. */
function openLines({ out, err, env }: ReportOptions) {
  const colors = picocolors.createColors(hasColors(out, env));
  const errColors = picocolors.createColors(hasColors(err, env));
  let idChars = 0;
  const line = (text: string): unknown => out.write(`${text}\n`);
  return {
    ...{ colors, errColors, line },
    idChars: () => idChars,
    widen: (ids: readonly string[]): void => {
      idChars = Math.min(ID_CHARS_MAX, Math.max(idChars, ...ids.map((id) => id.length)));
    },
    /** In the columns of the states. */
    notice: (id: string, word: string, text: string): unknown =>
      line(`${plainText(id).padEnd(idChars)}  ${colors.dim(word.padEnd(STATE_CHARS))}  ${text}`),
    warn: (id: string | undefined, message: string): unknown => {
      const about = id === undefined ? '' : `${plainText(id)}: `;
      return err.write(`${errColors.yellow('warning')}: ${about}${indented(message)}\n`);
    },
  };
}

function stateLine(status: AgentStatus, idChars: number, colors: Colors): string {
  // A refused directory is named by its full path: its base name may be that of an agent that runs.
  const label = status.state === 'refused' ? status.dir : status.id;
  const start = `${plainText(label).padEnd(idChars)}  ${paint(status.state, status.state.padEnd(STATE_CHARS), colors)}`;
  return `${start}  ${facts(status).map(indented).join('  ')}`.trimEnd();
}

function facts(status: AgentStatus): readonly string[] {
  if (status.state === 'running') {
    const note = status.transportNote === undefined ? '' : ` (${status.transportNote})`;
    return [agentUrl(status) ?? '', agentModel(status), `${status.transport ?? ''}${note}`].filter(Boolean);
  }
  const reason = status.reason?.message ?? '';
  return [reason, nextStep(status)].filter(Boolean);
}

/** What happens now, or what the reader can do; messages of refusals say that themselves. */
function nextStep(status: AgentStatus): string {
  const log = `${status.dir}/logs/events.jsonl`;
  switch (status.state) {
    case 'backoff':
      return status.restartInMs === undefined
        ? 'starts again'
        : `starts again in ${(status.restartInMs / 1000).toFixed(1)} s`;
    case 'quarantined':
      return `given up; see ${log}, mend the cause, then release it: openagent-supervisor release ${status.id}`;
    case 'wedged':
      return 'does not end; start the supervisor again to be rid of it';
    default:
      return '';
  }
}

/** Messages of several lines stay under their own line's start. */
function indented(text: string): string {
  return text.split('\n').map(plainText).join('\n    ');
}

function paint(state: AgentState, text: string, colors: Colors): string {
  switch (state) {
    case 'running':
      return colors.green(text);
    case 'backoff':
    case 'stopping':
      return colors.yellow(text);
    case 'refused':
    case 'quarantined':
    case 'wedged':
      return colors.red(text);
    default:
      return colors.dim(text);
  }
}

/** What a stop takes at most, in the order in which it goes: an operator's own deadline has to be longer. */
function deadlinesLine({ drainMs, closeMs, interruptMs, killMs }: Deadlines): string {
  const [drain, close, interrupt, kill] = [drainMs, closeMs, interruptMs, killMs].map(
    (ms) => `${ms / 1000} s`,
  );
  return `deadlines:  drain ${drain}, close ${close}, then interrupt ${interrupt}, kill ${kill}`;
}

function hints(agents: readonly AgentStatus[], gateway: Pick<HostLife, 'socket' | 'url'>): readonly string[] {
  const fleet = [
    ...(gateway.socket === undefined ? [] : ['see all:    openagent-supervisor ps, top, logs -f']),
    ...(gateway.url === undefined ? [] : [`probe all:  curl ${gateway.url}/readyz`]),
  ];
  const running = agents.find((status) => status.state === 'running');
  if (running?.port === undefined) return fleet;
  const isAny = running.host === '0.0.0.0' || running.host === '::';
  const url = agentUrl(isAny ? { host: '127.0.0.1', port: running.port } : running);
  return [
    `ask one:    curl ${url}/api/health`,
    `talk to it: ${url?.replace('http', 'ws')}/ws`,
    ...fleet,
    'Ctrl-C stops all and lets running turns end; a second one ends all at once.',
  ];
}

function hasColors(stream: ReportStream, env: ReportOptions['env']): boolean {
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== '') return false;
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '' && env.FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && env.TERM !== 'dumb';
}
