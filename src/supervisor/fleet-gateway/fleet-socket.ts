/**
 * One client of `/ws`: what it follows, and the bounds it has to keep. Entries of logs that it is too slow for are left
 * out and counted; one that is too slow for events, or takes nothing for long, is cut. Nobody waits for it.
 */
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { FleetLimits } from '../../contract/fleet/fleet-limits.ts';
import type { FleetClientFrame, FleetServerFrame } from '../../contract/fleet/frames.ts';
import type { FleetEventEntry } from '../../contract/fleet/schemas.ts';
import type { Peer, PeerListener } from '../../gateway/transport.ts';
import { FrameRate } from '../../gateway/ws/frame-rate.ts';
import type { EventRing } from './event-ring.ts';
import type { LogLine } from './log-tail.ts';
import type { Following, LogTails } from './log-tails.ts';

export interface FleetSocketContext {
  readonly clock: Clock;
  readonly limits: FleetLimits;
  readonly events: EventRing;
  readonly tails: LogTails;
  readonly hasAgent: (id: string) => boolean;
  /** A frame that is none is what is wrong with it. Loaded with the first one. */
  readonly parse: (text: string) => Promise<FleetClientFrame | string>;
  readonly onClosed: (socket: FleetSocket) => void;
  readonly onDefect: (error: unknown, where: string) => void;
}

type Follow = Extract<FleetClientFrame, { type: 'follow' }>;

const POLICY = 1008;
const SLOW = 1013;

export class FleetSocket implements PeerListener {
  readonly #peer: Peer;
  readonly #context: FleetSocketContext;
  readonly #rate: FrameRate;
  /** Frames are answered in the order in which they came. */
  #work: Promise<void> = Promise.resolve();
  #stopEvents: () => void = () => {};
  #logs: Following | undefined;
  /** Entries left out since the last one that was sent, by agent. */
  readonly #skipped = new Map<string, number>();
  #slowTimer: TimerHandle;
  #isClosed = false;

  constructor(peer: Peer, context: FleetSocketContext) {
    this.#peer = peer;
    this.#context = context;
    this.#rate = new FrameRate(context.limits, context.clock);
  }

  onText(text: string): void {
    if (this.#isClosed) return;
    if (!this.#rate.allows(Buffer.byteLength(text))) return this.close(POLICY, 'too many frames');
    this.#work = this.#work
      .then(() => this.#receive(text))
      .catch((error: unknown) => this.#context.onDefect(error, 'fleet socket'));
  }

  onBinary(): void {
    if (!this.#rate.allows(0)) return this.close(POLICY, 'too many frames');
    this.#send({ type: 'error', code: 'frame.invalid', message: 'Binary frames are not understood' });
  }

  onClose(): void {
    this.#isClosed = true;
    this.#unfollow();
    this.#context.onClosed(this);
  }

  close(code: number, reason: string): void {
    this.#unfollow();
    this.#peer.close(code, reason);
  }

  async #receive(text: string): Promise<void> {
    const frame = await this.#context.parse(text);
    if (this.#isClosed) return;
    if (typeof frame === 'string') this.#send({ type: 'error', code: 'frame.invalid', message: frame });
    else if (frame.type === 'ping') this.#send({ type: 'pong' });
    else await this.#follow(frame);
  }

  async #follow({ events, logs }: Follow): Promise<void> {
    const { hasAgent, tails } = this.#context;
    const unknown = logs?.agents.find((id) => !hasAgent(id));
    if (unknown !== undefined) {
      const message = `There is no agent ${unknown}; what is followed stays as it was`;
      return this.#send({ type: 'error', code: 'agent.not_found', message });
    }
    this.#unfollow();
    if (logs) {
      const ids = new Set(logs.agents);
      let hasBegun = false;
      this.#logs = tails.follow(
        (agent) => ids.size === 0 || ids.has(agent),
        (agent, lines) => hasBegun && this.#sendLines(agent, lines, logs.event),
      );
      await this.#logs.isReady;
      hasBegun = true;
    }
    if (this.#isClosed) return;
    this.#send({ type: 'following', next_seq: this.#context.events.nextSeq() });
    if (events) this.#followEvents(events.since_seq);
  }

  #followEvents(sinceSeq: number | undefined): void {
    const { events } = this.#context;
    const tell = (event: FleetEventEntry): void => this.#send({ type: 'event', event });
    this.#peer.cork(() => {
      for (const event of sinceSeq === undefined ? [] : events.since(sinceSeq)) tell(event);
    });
    if (!this.#isClosed) this.#stopEvents = events.follow(tell);
  }

  #unfollow(): void {
    this.#stopEvents();
    this.#stopEvents = () => {};
    this.#logs?.stop();
    this.#logs = undefined;
    this.#skipped.clear();
    this.#context.clock.clearTimeout(this.#slowTimer);
    this.#slowTimer = undefined;
  }

  #sendLines(agent: string, lines: readonly LogLine[], event: string): void {
    this.#peer.cork(() => {
      for (const line of lines) if (line.event.startsWith(event)) this.#sendLine(agent, line.json);
    });
  }

  #sendLine(agent: string, json: string): void {
    if (this.#skipped.has(agent) || this.#isBehind()) {
      this.#skipped.set(agent, (this.#skipped.get(agent) ?? 0) + 1);
      this.#watch(this.#peer.bufferedBytes(), this.#context.clock.monotonicMs());
      return;
    }
    // The entry is JSON already.
    this.#sendText(`{"type":"log","agent":${JSON.stringify(agent)},"entry":${json}}`);
  }

  #isBehind(): boolean {
    return this.#peer.bufferedBytes() > this.#context.limits.followBytes;
  }

  /** Until it is no longer behind; `leastBytes`: what waited when it last took something, which was at `progressMs`. */
  #watch(leastBytes: number, progressMs: number): void {
    const { clock, limits } = this.#context;
    this.#slowTimer ??= clock.setTimeout(() => {
      this.#slowTimer = undefined;
      const bytes = this.#peer.bufferedBytes();
      if (!this.#isBehind()) this.#tellSkipped();
      else if (bytes < leastBytes) this.#watch(bytes, clock.monotonicMs());
      else if (clock.monotonicMs() - progressMs < limits.stallMs) this.#watch(leastBytes, progressMs);
      else this.close(SLOW, 'too slow');
    }, limits.tailMs);
  }

  #tellSkipped(): void {
    for (const [agent, entries] of this.#skipped) this.#send({ type: 'log_skipped', agent, entries });
    this.#skipped.clear();
  }

  #send(frame: FleetServerFrame): void {
    this.#sendText(JSON.stringify(frame));
  }

  /** What is dropped here is neither an entry that may be missing nor for a client that reads. */
  #sendText(text: string): void {
    if (this.#isClosed || this.#peer.send(text) !== 'dropped') return;
    this.#isClosed = true;
    this.close(SLOW, 'too slow');
  }
}
