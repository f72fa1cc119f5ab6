/** Handlers of the configuration. */
import type { ConfigChange } from '../../contract/config-answers.ts';
import { type Handlers, reply } from '../../contract/route.ts';
import type { CONFIG_ROUTES } from '../../contract/routes/config.ts';
import type { CONFIG_SCHEMAS } from '../../contract/schemas/config.ts';
import type { AgentServices } from '../services.ts';

export const configHandlers: Handlers<typeof CONFIG_ROUTES, typeof CONFIG_SCHEMAS, AgentServices> = {
  async readConfig(_input, { config }) {
    const { value, etag } = await config.read();
    return reply(value, { etag });
  },

  async replaceConfig({ body, headers }, { config }, caller) {
    const change = await config.replace(body, headers['if-match'], `rest ${caller.remoteAddress()}`);
    return reply(toChanged(change), { etag: change.etag });
  },

  async patchConfig({ params: { section }, body, headers }, { config }, caller) {
    const by = `rest ${caller.remoteAddress()}`;
    const change = await config.patch(section, body, headers['if-match'], by);
    // A section of one of our names cannot hide what we say.
    return reply({ [section]: change.value, ...toChanged(change) }, { etag: change.etag });
  },

  async listConfigVersions(_input, { config }) {
    const versions = await config.versions();
    return {
      versions: versions.map(({ id, replacedMs, bytes }) => ({ id, replaced_at: replacedMs / 1000, bytes })),
    };
  },

  async readConfigVersion({ params: { id } }, { config }) {
    const { value, etag } = await config.version(id);
    return reply(value, { etag });
  },

  async restoreConfigVersion({ params: { id }, headers }, { config }, caller) {
    const change = await config.restore(id, headers['if-match'], `rest ${caller.remoteAddress()}`);
    return reply(toChanged(change), { etag: change.etag });
  },
};

function toChanged({ restartRequired, applied, warnings }: ConfigChange) {
  return { ok: true as const, restart_required: restartRequired, applied, warnings: [...warnings] };
}
