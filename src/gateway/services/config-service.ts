/** What the configuration's routes ask of the agent. Every value is masked; `ifMatch` is the header, '' for none. */
import type { ConfigChange, ConfigDocument, ConfigVersionInfo } from '../../contract/config-answers.ts';

export interface ConfigService {
  read(): Promise<ConfigDocument>;
  /** `by` is for the log. */
  replace(value: unknown, ifMatch: string, by: string): Promise<ConfigChange>;
  patch(section: string, value: unknown, ifMatch: string, by: string): Promise<ConfigChange>;
  versions(): Promise<readonly ConfigVersionInfo[]>;
  version(id: string): Promise<ConfigDocument>;
  restore(id: string, ifMatch: string, by: string): Promise<ConfigChange>;
}
