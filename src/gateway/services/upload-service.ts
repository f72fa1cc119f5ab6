/** What the routes of uploads and files ask of the agent. */
import type { ByteStream } from '../../contract/route.ts';
import type { FileInfo, FilesQuery } from '../../contract/schemas/files.ts';

export interface ReceivedFile {
  readonly id: string;
  /** Real and absolute. */
  readonly path: string;
  /** As it was sent; its last part. */
  readonly filename: string;
  readonly bytes: number;
  /** Of speech, where that is configured and worked. */
  readonly transcription?: string;
}

/** What a client may read of a file. */
export interface FileContent {
  readonly filename: string;
  readonly mediaType: string;
  readonly bytes: number;
  readonly version: string;
  /** Both ends included. Throws when it has become another file. */
  read(from: number, to: number): ByteStream;
}

export interface UploadService {
  /** All files of the request or none; at least one. `announcedBytes`: its length, 0 when it was not said. */
  receive(upload: {
    readonly contentType: string;
    readonly announcedBytes: number;
    readonly body: ByteStream;
  }): Promise<readonly ReceivedFile[]>;
  /** Newest first. */
  list(query: FilesQuery): Promise<{ files: FileInfo[]; next: string | null }>;
  /** Throws `file.not_found`, `file.gone`, `file.refused`. */
  open(id: string): Promise<FileContent>;
}
