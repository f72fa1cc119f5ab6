/**
 * How deep a JSON text nests, found without building what it describes: a megabyte of `[` parses, and then overflows the
 * stack of whoever walks it.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = [0x5b, 0x7b];
const CLOSE = [0x5d, 0x7d];

/** What is in strings does not count. Text that is not JSON gets some answer: the parser refuses it afterwards. */
export function isNestedDeeper(json: Uint8Array, depthMax: number): boolean {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (byte === QUOTE) isInString = !isInString;
    else if (isInString) {
      if (byte === BACKSLASH) i++;
    } else if (byte === OPEN[0] || byte === OPEN[1]) {
      if (++depth > depthMax) return true;
    } else if (byte === CLOSE[0] || byte === CLOSE[1]) depth--;
  }
  return false;
}
