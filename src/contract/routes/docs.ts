/** What this interface is, for programs and for people. */
import { defineRoutes } from '../route.ts';

export const DOCS_ROUTES = defineRoutes({
  getOpenApi: {
    method: 'GET',
    path: '/api/openapi.json',
    summary: 'The REST interface as an OpenAPI 3.1 document',
    auth: 'token',
    headers: ['if-none-match'],
    errors: [],
  },
  getAsyncApi: {
    method: 'GET',
    path: '/api/asyncapi.json',
    summary: 'The WebSocket as an AsyncAPI 3.0 document',
    auth: 'token',
    headers: ['if-none-match'],
    errors: [],
  },
  getDocs: {
    method: 'GET',
    path: '/api/docs',
    summary: 'Both documents as a page to read',
    auth: 'token',
    bytes: true,
    headers: ['if-none-match'],
    errors: [],
  },
});
