/** Handlers of uploads and files. */
import { AppError } from '../../contract/errors.ts';
import type { Handlers } from '../../contract/route.ts';
import type { FILE_ROUTES } from '../../contract/routes/files.ts';
import type { FILE_SCHEMAS } from '../../contract/schemas/files.ts';
import type { AgentServices } from '../services.ts';

export const fileHandlers: Handlers<typeof FILE_ROUTES, typeof FILE_SCHEMAS, AgentServices> = {
  async upload({ headers, stream }, { uploads }) {
    const received = await uploads.receive({
      contentType: headers['content-type'],
      announcedBytes: Number(headers['content-length']) || 0,
      body: stream,
    });
    const [first] = received;
    if (first === undefined) throw new AppError('upload.invalid', 'No file');
    const { id, path, filename, transcription } = first;
    return {
      ...{ id, path, filename },
      ...(transcription === undefined ? {} : { transcription }),
      ...(received.length > 1 ? { files: [...received] } : {}),
    };
  },

  listFiles({ query }, { uploads }) {
    return uploads.list(query);
  },

  async getFile({ params, headers }, { uploads }) {
    const [file, { answerWith }] = await Promise.all([uploads.open(params.id), import('./file-answer.ts')]);
    return answerWith(file, headers);
  },
};
