/**
 * Gives the memory of an array back now. What node:http reads of a body lies outside of the heap in arrays of 64 KiB,
 * and stays until a collection: of a gigabyte that is tens of megabytes at any time, and many collections. Moving an
 * array into a channel that nobody listens to is the one way that Node 20 has to be rid of it at once.
 */
let nowhere: InstanceType<typeof MessagePort> | undefined;

export function freeMemory(bytes: Uint8Array): void {
  const { buffer } = bytes;
  // A part of something larger belongs to somebody else.
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== bytes.byteLength) return;
  nowhere ??= openNowhere();
  nowhere.postMessage(null, [buffer]);
}

function openNowhere(): InstanceType<typeof MessagePort> {
  const { port1 } = new MessageChannel();
  port1.close();
  return port1;
}
