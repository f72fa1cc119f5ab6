/**
 * The agent's side of its configuration: asks the main thread, which alone reads and writes the file, logs what was
 * changed by whom, and tells clients that show it.
 */
import type { ConfigChange, ConfigDocument, ConfigVersionInfo } from '../contract/config-answers.ts';
import { AppError } from '../contract/errors.ts';
import { HOST_LINK_LIMITS, type HostQuestion } from '../contract/host-link.ts';
import { jsonProblem } from '../contract/json-value.ts';
import type { ConfigService } from '../gateway/services/config-service.ts';
import type { ResourceEvents } from '../gateway/services/resource-events.ts';
import type { Log } from '../logging/log.ts';
import type { HostLink } from './host-link.ts';

const READ_MS = 10_000;
/** Writes of one agent wait for each other. */
const WRITE_MS = 30_000;

export interface ConfigServiceParts {
  readonly host: Pick<HostLink, 'ask'>;
  readonly log: Log;
  readonly resources: ResourceEvents;
}

export function createConfigService({ host, log, resources }: ConfigServiceParts): ConfigService {
  const read = <T>(question: HostQuestion) => host.ask(question, { timeoutMs: READ_MS }) as Promise<T>;

  const write = async (question: HostQuestion, section: string, by: string): Promise<ConfigChange> => {
    // What the link would refuse is somebody's request, and is told as one.
    const problem = jsonProblem(question, HOST_LINK_LIMITS);
    if (problem !== undefined) {
      throw new AppError('request.invalid', `The body is not valid: ${problem}`, {
        details: { issues: [{ field: 'body', message: problem }] },
      });
    }
    const change = (await host.ask(question, { timeoutMs: WRITE_MS })) as ConfigChange;
    if (change.changed) {
      log.info('config.update', { section, source: by, applied: change.applied });
      resources.changed('config', 'updated');
    }
    return change;
  };

  return {
    read: () => read<ConfigDocument>({ type: 'config.read' }),
    replace: (value, ifMatch, by) => write({ type: 'config.replace', value, ifMatch }, '*', by),
    patch: (section, value, ifMatch, by) =>
      write({ type: 'config.patch', section, value, ifMatch }, section, by),
    versions: () => read<readonly ConfigVersionInfo[]>({ type: 'config.versions' }),
    version: (id) => read<ConfigDocument>({ type: 'config.version', id }),
    restore: (id, ifMatch, by) => write({ type: 'config.restore', id, ifMatch }, '*', by),
  };
}
