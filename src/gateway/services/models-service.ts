/** What the routes of providers and models ask of the agent. What they show is masked; `by` is for the log. */
import type { CatalogModel, MaskedEntry, ProviderFields, TestResult } from '../../contract/schemas/models.ts';

export interface ModelsService {
  /** Of the file: every provider with a name, one that holds nothing as an empty entry. */
  providers(): Promise<Readonly<Record<string, MaskedEntry>>>;
  all(): Promise<{ models: Record<string, MaskedEntry>; active: MaskedEntry }>;
  active(): Promise<MaskedEntry>;
  setActive(section: unknown, by: string): Promise<void>;
  /** Replaces one of this name. */
  add(name: string, fields: ProviderFields, by: string): Promise<void>;
  /** Throws `provider.not_found`. */
  update(name: string, fields: ProviderFields, by: string): Promise<void>;
  remove(name: string, by: string): Promise<void>;
  /** `provider`: only of this one; '' for all. */
  catalog(provider: string): Promise<CatalogModel[]>;
  names(): Promise<string[]>;
  /** One small call. Never throws for what a provider or a configuration can do wrong. */
  test(provider: string, modelId: string | undefined): Promise<TestResult>;
}
