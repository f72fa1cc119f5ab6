/** The MCP servers that give an agent its tools, as they stand in the configuration and as they are doing. */
import { defineRoutes } from '../route.ts';
import { FILE_WRITE_ERRORS } from './config.ts';

const WRITE_ERRORS = ['config.invalid', 'config.variable_missing', ...FILE_WRITE_ERRORS] as const;

export const MCP_ROUTES = defineRoutes({
  listMcps: {
    method: 'GET',
    path: '/api/mcps',
    summary: 'All MCP servers and built-in tools, with their state; secrets masked',
    auth: 'token',
    errors: ['config.invalid', 'config.unreadable', 'host.unavailable'],
  },
  getMcp: {
    method: 'GET',
    path: '/api/mcps/{name}',
    summary: 'One of them',
    auth: 'token',
    errors: ['mcp.not_found', 'config.invalid', 'config.unreadable', 'host.unavailable'],
  },
  addMcp: {
    method: 'POST',
    path: '/api/mcps',
    summary: 'Configure a further server; the supervisor restarts the agent with it in a moment',
    auth: 'token',
    success: 201,
    body: true,
    errors: ['mcp.exists', 'mcp.built_in', ...WRITE_ERRORS],
  },
  updateMcp: {
    method: 'PUT',
    path: '/api/mcps/{name}',
    summary: 'Change what is given of a server; null takes a setting away',
    auth: 'token',
    body: true,
    errors: ['mcp.not_found', 'mcp.built_in', ...WRITE_ERRORS],
  },
  removeMcp: {
    method: 'DELETE',
    path: '/api/mcps/{name}',
    summary: 'Take a server out of the configuration',
    auth: 'token',
    errors: ['mcp.not_found', 'mcp.built_in', ...WRITE_ERRORS],
  },
  enableMcp: {
    method: 'POST',
    path: '/api/mcps/{name}/enable',
    summary: 'Connect a server that is configured, or offer what is built in',
    auth: 'token',
    errors: ['mcp.not_found', ...WRITE_ERRORS],
  },
  disableMcp: {
    method: 'POST',
    path: '/api/mcps/{name}/disable',
    summary: 'Keep its configuration, and offer none of its tools',
    auth: 'token',
    errors: ['mcp.not_found', ...WRITE_ERRORS],
  },
  retryMcp: {
    method: 'POST',
    path: '/api/mcps/{name}/retry',
    summary: 'Connect a server that is lost or has failed, at once',
    auth: 'token',
    errors: ['mcp.not_found'],
  },
  approveMcp: {
    method: 'POST',
    path: '/api/mcps/{name}/approve',
    summary: 'What the tools of a server are now is what they shall be',
    auth: 'token',
    errors: ['mcp.not_found', 'mcp.unavailable'],
  },
  listMcpTools: {
    method: 'GET',
    path: '/api/mcp-tools',
    summary: 'The tools that connected servers offer now, by server',
    auth: 'token',
    errors: [],
  },
});
