/** Handlers of scheduled tasks. */
import { type Handlers, reply } from '../../contract/route.ts';
import type { TASK_ROUTES } from '../../contract/routes/tasks.ts';
import type { TASK_SCHEMAS } from '../../contract/schemas/tasks.ts';
import type { AgentServices } from '../services.ts';

export const taskHandlers: Handlers<typeof TASK_ROUTES, typeof TASK_SCHEMAS, AgentServices> = {
  async listTasks({ query }, { tasks }) {
    return { tasks: await tasks.list(query.enabled_only) };
  },

  async createTask({ body }, { tasks }) {
    return reply(await tasks.create(body), { status: 201 });
  },

  getTask({ params }, { tasks }) {
    return tasks.get(params.id);
  },

  updateTask({ params, body }, { tasks }) {
    return tasks.update(params.id, body);
  },

  async deleteTask({ params }, { tasks }) {
    const { id, running } = await tasks.remove(params.id);
    return { ok: true, id, running };
  },

  async listTaskRuns({ params, query }, { tasks }) {
    return { runs: await tasks.runs(params.id, query.limit) };
  },

  async runTask({ params }, { tasks }) {
    return reply(await tasks.run(params.id), { status: 202 });
  },

  async describeCron({ query }, { tasks }) {
    const answer = await tasks.describe(query.expression, query.count, query.timezone);
    return reply(answer, { status: answer.valid ? 200 : 400 });
  },
};
