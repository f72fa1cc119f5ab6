/**
 * What has come of a body and was not read yet. Where the library takes its bytes back or makes a new array for each
 * chunk, a gigabyte would cost the agent a hundred collections of its whole heap, with every turn waiting for them. So
 * a streamed body is copied into blocks that are used again.
 */

/**
 * `kept`: chunks are the reader's for ever, as they came. `copied`: the same, but the library takes its own back.
 * `reused`: copied, and valid until the reader asks for the next one.
 */
export type Ownership = 'kept' | 'copied' | 'reused';

const BLOCK_BYTES = 128 * 1024;
/** What comes in smaller chunks comes slowly, and is not worth a block. */
const BLOCK_FROM_BYTES = 16 * 1024;
/** Of the thread, for its next upload. */
const FREE_BLOCKS_MAX = 8;

const blocks = new WeakSet<ArrayBufferLike>();
const freeBlocks: ArrayBuffer[] = [];

export class BodyQueue {
  readonly #ownership: Ownership;
  #chunks: Uint8Array[] = [];
  #taken: Uint8Array | undefined;
  #bytes = 0;

  constructor(ownership: Ownership) {
    this.#ownership = ownership;
  }

  /** That wait to be taken. */
  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Uint8Array): void {
    this.#bytes += chunk.byteLength;
    if (this.#ownership === 'kept') this.#chunks.push(chunk);
    else if (this.#ownership === 'copied') this.#chunks.push(new Uint8Array(chunk));
    else this.#pack(chunk);
  }

  take(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    this.#taken = chunk;
    if (chunk !== undefined) this.#bytes -= chunk.byteLength;
    return chunk;
  }

  /** The reader is done with what it took last. */
  giveBack(): void {
    free(this.#taken);
    this.#taken = undefined;
  }

  clear(): void {
    this.#chunks.forEach(free);
    this.#chunks = [];
    this.#bytes = 0;
  }

  #pack(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength; ) {
      const last = this.#chunks.at(-1);
      const roomBytes = last !== undefined && blocks.has(last.buffer) ? BLOCK_BYTES - last.byteLength : 0;
      const piece = chunk.subarray(at, at + (roomBytes || BLOCK_BYTES));
      at += piece.byteLength;
      if (last !== undefined && roomBytes > 0) {
        this.#chunks[this.#chunks.length - 1] = filled(last.buffer, last.byteLength, piece);
      } else if (piece.byteLength < BLOCK_FROM_BYTES) this.#chunks.push(new Uint8Array(piece));
      else this.#chunks.push(filled(freeBlocks.pop() ?? newBlock(), 0, piece));
    }
  }
}

function newBlock(): ArrayBuffer {
  const block = new ArrayBuffer(BLOCK_BYTES);
  blocks.add(block);
  return block;
}

/** All of a block up to the end of the piece that is put behind its first bytes. */
function filled(block: ArrayBufferLike, atByte: number, piece: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(block, 0, atByte + piece.byteLength);
  bytes.set(piece, atByte);
  return bytes;
}

function free(chunk: Uint8Array | undefined): void {
  if (chunk === undefined || !blocks.has(chunk.buffer) || freeBlocks.length >= FREE_BLOCKS_MAX) return;
  freeBlocks.push(chunk.buffer as ArrayBuffer);
}
