/** The WebSocket of a running fleet, over its unix socket: what is followed comes here. Frames are checked as answers are. */
import { createConnection } from 'node:net';
import { WebSocket } from 'ws';
import type { z } from 'zod';
import type { AppError } from '../contract/errors.ts';
import { type FleetClientFrame, FleetServerFrame } from '../contract/fleet/frames.ts';
import { lineText } from './terminal-text.ts';

export interface FleetSocket {
  send(frame: z.input<typeof FleetClientFrame>): void;
  close(): void;
  /** Reads no further until `resume`: what is not read in time the fleet leaves out, and says so. */
  pause(): void;
  resume(): void;
}

export interface FleetListener {
  readonly onFrame: (frame: FleetServerFrame) => void;
  /** Once, whoever ended it; `reason` for people. */
  readonly onClose: (reason: string) => void;
}

/** `lost`: the error that says why it cannot be had. */
export function connectFleetSocket(
  socketPath: string,
  listener: FleetListener,
  lost: (why: string) => AppError,
): Promise<FleetSocket> {
  const socket = new WebSocket(`ws://localhost/ws`, {
    // Not `ws+unix:`, which a path with a colon in it would end.
    createConnection: () => createConnection(socketPath),
    perMessageDeflate: false,
  });
  return new Promise((resolve, reject) => {
    let why: string | undefined;
    socket.once('open', () =>
      resolve({
        send: (frame) => socket.send(JSON.stringify(frame)),
        close: () => socket.close(1000),
        pause: () => socket.pause(),
        resume: () => socket.resume(),
      }),
    );
    socket.on('error', (error: NodeJS.ErrnoException) => {
      why ??= error.code ?? error.message;
      reject(lost(why)); // ignored once it is open
    });
    socket.on('message', (data) => {
      const frame = FleetServerFrame.safeParse(toJson(String(data)));
      // Frames of a newer fleet that nobody asked for are none of ours.
      if (frame.success) listener.onFrame(frame.data);
    });
    socket.once('close', (code, reason) => {
      reject(lost(why ?? `closed with ${code}`));
      listener.onClose(why ?? (lineText(String(reason)) || `closed with ${code}`));
    });
  });
}

function toJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
