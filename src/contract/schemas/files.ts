/** Schemas of the rows in `routes/files.ts`. */
import { z } from 'zod';
import { SessionId } from '../frames.ts';
import type { RouteSchemas } from '../route.ts';
import type { FILE_ROUTES } from '../routes/files.ts';

const ListQuery = z.object({
  origin: z.enum(['received', 'produced']).optional(),
  turn_id: z.string().max(64).optional(),
  /** `next` of the answer before. */
  before: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});

const FileInfo = z.object({
  id: z.string(),
  /** Sent by a client, or announced in an answer. */
  origin: z.enum(['received', 'produced']),
  type: z.enum(['image', 'file', 'voice', 'video']),
  filename: z.string(),
  /** Where it lies on the agent's machine. */
  path: z.string(),
  media_type: z.string(),
  /** Null: it cannot be read (any more). */
  bytes: z.int().nonnegative().nullable(),
  /** Of a file announced in an answer. */
  session_id: SessionId,
  turn_id: z.string().nullable(),
  created_at: z.number(),
});

/** The reference's answer, about the first file, with the id under which it is handed out. */
const Uploaded = z.object({
  id: z.string(),
  path: z.string(),
  filename: z.string(),
  transcription: z.string().optional(),
  /** Of several files: all of them, in their order. */
  files: z
    .array(
      z.object({
        id: z.string(),
        path: z.string(),
        filename: z.string(),
        bytes: z.int().nonnegative(),
        transcription: z.string().optional(),
      }),
    )
    .optional(),
});

export const FILE_SCHEMAS = {
  upload: { response: Uploaded },
  listFiles: {
    query: ListQuery,
    response: z.object({ files: z.array(FileInfo), next: z.string().nullable() }),
  },
  getFile: { response: z.string().meta({ contentMediaType: 'application/octet-stream' }) },
} as const satisfies RouteSchemas<typeof FILE_ROUTES>;

export type FileInfo = z.output<typeof FileInfo>;
export type FilesQuery = z.output<typeof ListQuery>;
