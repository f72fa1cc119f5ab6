/** The agent's `openagent.yaml`, without its secrets. */
import { defineRoutes } from '../route.ts';

/** How writing the file can fail once what is to stand in it is known to be right. */
export const FILE_WRITE_ERRORS = [
  'config.conflict',
  'config.linked',
  'config.unreadable',
  'directory.unwritable',
  'storage.full',
  'host.unavailable',
] as const;

export const CONFIG_ROUTES = defineRoutes({
  readConfig: {
    method: 'GET',
    path: '/api/config',
    summary: 'The configuration as it stands in the file, secrets masked',
    auth: 'token',
    headers: ['if-none-match'],
    errors: ['config.invalid', 'config.unreadable', 'body.too_large', 'host.unavailable'],
  },
  replaceConfig: {
    method: 'PUT',
    path: '/api/config',
    summary: 'Replace the whole configuration; masks keep the secrets they stand for',
    auth: 'token',
    body: true,
    headers: ['if-match'],
    errors: ['config.invalid', 'config.variable_missing', 'bind.public_without_token', ...FILE_WRITE_ERRORS],
  },
  patchConfig: {
    method: 'PATCH',
    path: '/api/config/{section}',
    summary: 'Replace one section of the configuration by any JSON value',
    auth: 'token',
    body: true,
    headers: ['if-match'],
    errors: ['config.invalid', 'config.variable_missing', 'bind.public_without_token', ...FILE_WRITE_ERRORS],
  },
  listConfigVersions: {
    method: 'GET',
    path: '/api/config/versions',
    summary: 'Earlier contents of the configuration, newest first',
    auth: 'token',
    errors: ['host.unavailable'],
  },
  readConfigVersion: {
    method: 'GET',
    path: '/api/config/versions/{id}',
    summary: 'An earlier content of the configuration, secrets masked',
    auth: 'token',
    errors: ['config.version_unknown', 'config.invalid', 'host.unavailable'],
  },
  restoreConfigVersion: {
    method: 'POST',
    path: '/api/config/versions/{id}/restore',
    summary: 'Make an earlier content the configuration again, with its comments and secrets',
    auth: 'token',
    headers: ['if-match'],
    errors: [
      'config.version_unknown',
      'config.invalid',
      'config.variable_missing',
      'bind.public_without_token',
      'config.conflict',
      'config.linked',
      'directory.unwritable',
      'storage.full',
      'host.unavailable',
    ],
  },
});
