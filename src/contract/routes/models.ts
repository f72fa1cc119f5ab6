/** Providers of models as they stand in `openagent.yaml`, and the model that answers. */
import { defineRoutes } from '../route.ts';
import { FILE_WRITE_ERRORS } from './config.ts';

const READ = ['config.invalid', 'config.unreadable', 'host.unavailable'] as const;
const WRITE = ['config.invalid', 'config.variable_missing', ...FILE_WRITE_ERRORS] as const;

/** Fixed names come before `{name}`: a provider cannot be called `active`, `catalog` or `providers`. */
export const MODEL_ROUTES = defineRoutes({
  listModels: {
    method: 'GET',
    path: '/api/models',
    summary: 'Configured providers and the active model, keys masked',
    auth: 'token',
    errors: READ,
  },
  addProvider: {
    method: 'POST',
    path: '/api/models',
    summary: 'Add a provider; one of this name is replaced',
    auth: 'token',
    body: true,
    errors: WRITE,
  },
  readActiveModel: {
    method: 'GET',
    path: '/api/models/active',
    summary: 'The section `model`, its key masked',
    auth: 'token',
    errors: READ,
  },
  setActiveModel: {
    method: 'PUT',
    path: '/api/models/active',
    summary: 'Replace the section `model`',
    auth: 'token',
    body: true,
    errors: WRITE,
  },
  listModelCatalog: {
    method: 'GET',
    path: '/api/models/catalog',
    summary: 'Models that are configured and not disabled, with their prices',
    auth: 'token',
    query: true,
    errors: READ,
  },
  listProviderNames: {
    method: 'GET',
    path: '/api/models/providers',
    summary: 'Names of providers, known and configured',
    auth: 'token',
    errors: READ,
  },
  updateProvider: {
    method: 'PUT',
    path: '/api/models/{name}',
    summary: 'Change a provider; a field that is empty is removed',
    auth: 'token',
    body: true,
    errors: ['provider.not_found', ...WRITE],
  },
  removeProvider: {
    method: 'DELETE',
    path: '/api/models/{name}',
    summary: 'Remove a provider',
    auth: 'token',
    errors: ['provider.not_found', ...WRITE],
  },
  testModel: {
    method: 'POST',
    path: '/api/models/{name}/test',
    summary: 'Make one small call of this provider; the body may be empty',
    auth: 'token',
    answersNo: true,
    body: true,
    emptyBody: true,
    errors: [],
  },
  listProviders: {
    method: 'GET',
    path: '/api/providers',
    summary: 'Configured providers, keys masked',
    auth: 'token',
    errors: READ,
  },
  testProvider: {
    method: 'POST',
    path: '/api/providers/test',
    summary: 'Make one small call of a provider',
    auth: 'token',
    answersNo: true,
    body: true,
    errors: [],
  },
});
