/** Files: sent by clients, and announced in answers. */
import { defineRoutes } from '../route.ts';

export const FILE_ROUTES = defineRoutes({
  upload: {
    method: 'POST',
    path: '/api/upload',
    summary: 'Send files, as multipart/form-data; the names of the fields do not matter',
    auth: 'token',
    stream: true,
    headers: ['content-type', 'content-length'],
    errors: [
      'upload.invalid',
      'upload.too_large',
      'upload.busy',
      'content_type.unsupported',
      'storage.full',
      'storage.unavailable',
    ],
  },
  listFiles: {
    method: 'GET',
    path: '/api/files',
    summary: 'What the agent received and what its answers announced, newest first',
    auth: 'token',
    query: true,
    errors: ['storage.unavailable'],
  },
  getFile: {
    method: 'GET',
    path: '/api/files/{id}',
    summary: 'One of these files, whole or the part that Range names',
    auth: 'token',
    bytes: true,
    headers: ['range', 'if-range'],
    errors: ['file.not_found', 'file.gone', 'file.refused', 'range.unsatisfiable', 'storage.unavailable'],
  },
});
