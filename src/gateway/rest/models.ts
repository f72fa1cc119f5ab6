/** Handlers of providers and models. */
import { type Handlers, reply } from '../../contract/route.ts';
import type { MODEL_ROUTES } from '../../contract/routes/models.ts';
import type { MODEL_SCHEMAS, TestResult } from '../../contract/schemas/models.ts';
import type { AgentServices } from '../services.ts';

export const modelHandlers: Handlers<typeof MODEL_ROUTES, typeof MODEL_SCHEMAS, AgentServices> = {
  listModels(_input, { models }) {
    return models.all();
  },

  async addProvider({ body: { name, ...fields } }, { models }, caller) {
    await models.add(name, fields, `rest ${caller.remoteAddress()}`);
    return { ok: true, name };
  },

  async readActiveModel(_input, { models }) {
    return { active: await models.active() };
  },

  async setActiveModel({ body }, { models }, caller) {
    await models.setActive(body, `rest ${caller.remoteAddress()}`);
    return { ok: true, restart_required: false };
  },

  async listModelCatalog({ query: { provider } }, { models }) {
    return { models: await models.catalog(provider) };
  },

  async listProviderNames(_input, { models }) {
    return { providers: await models.names() };
  },

  async updateProvider({ params: { name }, body }, { models }, caller) {
    await models.update(name, body, `rest ${caller.remoteAddress()}`);
    return { ok: true };
  },

  async removeProvider({ params: { name } }, { models }, caller) {
    await models.remove(name, `rest ${caller.remoteAddress()}`);
    return { ok: true };
  },

  async testModel({ params: { name }, body }, { models }) {
    return answered(await models.test(name, body.model_id || undefined));
  },

  async listProviders(_input, { models }) {
    return { providers: { ...(await models.providers()) } };
  },

  async testProvider({ body }, { models }) {
    return answered(await models.test(body.provider, body.model_id || undefined));
  },
};

/** 400 and the reason, as the reference: its clients look at both. */
function answered(result: TestResult) {
  return reply(result, { status: result.ok ? 200 : 400 });
}
