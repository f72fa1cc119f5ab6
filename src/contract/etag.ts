/**
 * Entity tags as HTTP compares them. The gateway quotes versions and answers 304 by them; a handler that writes asks
 * here whether its client has seen what it is about to replace. A comparison that is too kind loses an edit.
 */

interface Tag {
  readonly isWeak: boolean;
  readonly version: string;
}

/** `"v"`, `W/"v"`, and what forgetful clients send: the version without its quotes. */
const TAG = /(W\/)?(?:"([^"]*)"|([^\s,"]+))/g;
const VERSION = /^[\x21\x23-\x7e]+$/;
/** A compressed answer is another representation, and its tag says so: `"v-gzip"`. To a writer it is the same version. */
const ENCODED = /-(?:gzip|br)$/;

export function toEtag(version: string, encoding = ''): string {
  if (!VERSION.test(version)) throw new Error(`${JSON.stringify(version)} cannot be an entity tag`);
  return encoding === '' ? `"${version}"` : `"${version}-${encoding}"`;
}

/**
 * Whether a write may go on. `version` is that of what is there now, undefined when nothing is. Without the header
 * (`''`) it may; weak tags never match.
 */
export function ifMatchHolds(ifMatch: string, version: string | undefined): boolean {
  if (ifMatch.trim() === '') return true;
  if (version === undefined) return false;
  if (ifMatch.trim() === '*') return true;
  return tagsOf(ifMatch).some((tag) => !tag.isWeak && names(tag, version));
}

/** Whether the client has something else, or a write that must not replace anything may go on (`*`). */
export function ifNoneMatchHolds(ifNoneMatch: string, version: string | undefined): boolean {
  if (version === undefined || ifNoneMatch.trim() === '') return true;
  if (ifNoneMatch.trim() === '*') return false;
  return !tagsOf(ifNoneMatch).some((tag) => names(tag, version));
}

/** The tag of this version that the client has, as it may keep it; undefined when it has something else. */
export function matchingTag(ifNoneMatch: string, version: string): string | undefined {
  if (ifNoneMatchHolds(ifNoneMatch, version)) return undefined;
  const tag = tagsOf(ifNoneMatch).find((each) => names(each, version));
  return toEtag(tag?.version ?? version);
}

function tagsOf(header: string): Tag[] {
  return [...header.matchAll(TAG)].map(([, weak, quoted, bare]) => ({
    isWeak: weak !== undefined,
    version: quoted ?? bare ?? '',
  }));
}

function names(tag: Tag, version: string): boolean {
  return tag.version === version || tag.version.replace(ENCODED, '') === version;
}
