/** Handlers of the documents. They are made when first asked for: most agents are never asked. */
import { type Handlers, reply, replyBytes } from '../../contract/route.ts';
import type { DOCS_ROUTES } from '../../contract/routes/docs.ts';
import type { DOCS_SCHEMAS } from '../../contract/schemas/docs.ts';
import type { AgentServices } from '../services.ts';
import type { makeDocuments } from './docs-documents.ts';

type Documents = ReturnType<typeof makeDocuments>;

export function createDocsHandlers(): Handlers<typeof DOCS_ROUTES, typeof DOCS_SCHEMAS, AgentServices> {
  let made: Promise<Documents> | undefined;
  const documents = (services: AgentServices): Promise<Documents> => {
    made ??= import('./docs-documents.ts').then((module) => module.makeDocuments(services.info()));
    return made;
  };
  return {
    async getOpenApi(_input, services) {
      const { openApi, etag } = await documents(services);
      return reply(openApi, { etag });
    },

    async getAsyncApi(_input, services) {
      const { asyncApi, etag } = await documents(services);
      return reply(asyncApi, { etag });
    },

    async getDocs(_input, services) {
      const { page, policy, etag } = await documents(services);
      const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy };
      return replyBytes(page, { etag, headers });
    },
  };
}
