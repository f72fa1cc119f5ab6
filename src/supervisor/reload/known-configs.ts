/**
 * What is known of each agent's `openagent.yaml`: its newest valid content, which is what every start falls back to, and
 * which contents we wrote ourselves, so that they are not taken for somebody's edit.
 */
import type { ConfigApplied } from '../../contract/config-answers.ts';
import type { PreparedAgent } from '../fleet.ts';

/** A configuration that was read and is valid. */
export interface ReadConfig {
  readonly prepared: PreparedAgent;
  /** As messages call it: in the directory as it was given. */
  readonly file: string;
  readonly etag: string;
  readonly text: string;
}

export interface OwnWrite {
  readonly etag: string;
  /** What was done about it; undefined while that is not known yet. */
  readonly applied: ConfigApplied | undefined;
}

export interface KnownConfigs {
  /** The newest valid one. */
  get(id: string): ReadConfig | undefined;
  set(config: ReadConfig): void;
  /** About to be written by us. */
  writing(id: string, etag: string): void;
  /** What was done about that write. */
  applied(id: string, etag: string, applied: ConfigApplied): void;
  /** Undefined where somebody else wrote it. */
  ownWrite(id: string, etag: string): OwnWrite | undefined;
  /** This content was seen: should it come back after others, somebody else brought it. */
  seen(id: string, etag: string): void;
  forget(id: string): void;
}

/** Writes in a row that may not have been seen yet. */
const KEPT = 16;

export function createKnownConfigs(): KnownConfigs {
  const newest = new Map<string, ReadConfig>();
  const own = new Map<string, readonly OwnWrite[]>();
  const ownOf = (id: string): readonly OwnWrite[] => own.get(id) ?? [];
  return {
    get: (id) => newest.get(id),
    set: (config) => void newest.set(config.prepared.spec.id, config),
    writing: (id, etag) => void own.set(id, [...ownOf(id), { etag, applied: undefined }].slice(-KEPT)),
    applied: (id, etag, applied) => {
      const writes = ownOf(id).map((write) => (write.etag === etag ? { etag, applied } : write));
      own.set(id, writes);
    },
    ownWrite: (id, etag) => ownOf(id).findLast((write) => write.etag === etag),
    seen: (id, etag) => {
      const at = ownOf(id).findLastIndex((write) => write.etag === etag);
      // One that is being written has not been seen yet, whatever was.
      const later = ownOf(id).filter((write, index) => index > at && (at >= 0 || !write.applied));
      own.set(id, later);
    },
    forget: (id) => {
      newest.delete(id);
      own.delete(id);
    },
  };
}
