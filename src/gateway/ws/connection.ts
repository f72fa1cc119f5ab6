/**
 * One WebSocket, from its first frame to its close (reference §2). It knows who speaks, hands messages to the turns and
 * commands to their handlers, and enforces what a socket may do. It keeps nothing that must survive it.
 */

import { type ClientKey, namedClient } from '../../contract/client-key.ts';
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { ErrorCode } from '../../contract/errors.ts';
import type { CAPABILITIES, ClientFrame, FrameOf, FrameResult, ServerFrame } from '../../contract/frames.ts';
import { type Limits, limitKey } from '../../contract/limits.ts';
import type { Authenticator } from '../authenticator.ts';
import type { Peer, PeerListener } from '../transport.ts';
import type { ApprovalService } from './approval-service.ts';
import { type CommandContext, runCommand } from './commands.ts';
import { FrameRate } from './frame-rate.ts';
import { Identity, type Wire } from './identity.ts';
import type { LogFollows } from './log-follow.ts';
import type { TurnService } from './turn-service.ts';

/** What all connections of a gateway share. */
export interface ConnectionContext {
  readonly agent: { readonly name: string; readonly version: string };
  readonly authenticator: Authenticator;
  readonly turns: TurnService;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly commands: Pick<CommandContext, 'usage' | 'requestRestart'>;
  readonly logs: LogFollows;
  /** Absent: nobody asks, and clients do not get the capability. */
  readonly approvals?: ApprovalService;
  /** A new key for a client that did not name itself. */
  nextUnnamed(): ClientKey;
  /** Within `inOrder`: hands over what the frame says; at once, or when the parser that it needs has been loaded. */
  parse(text: string, take: (result: FrameResult) => void): void;
  /** Runs `work` behind what waits for the parser; at once when nothing does. */
  inOrder(work: () => void): void;
  /** A client id is in use on one more connection. */
  onIdentity(identity: Identity): void;
  onClosed(connection: Connection, identities: readonly Identity[]): void;
  /** Terminal frames of this connection are under way. */
  watch(connection: Connection): void;
  onDefect(error: unknown, where: string): void;
}

type Capability = (typeof CAPABILITIES)[number];

/** Beside the table in `frames.ts`, which brings zod. */
const KNOWN = ['delta', 'tools', 'resume', 'resources', 'approvals'] as const satisfies readonly Capability[];
/** Client ids one socket may use in turn. */
const IDENTITIES_MAX = 16;

export class Connection implements PeerListener, Wire {
  readonly #peer: Peer;
  readonly #context: ConnectionContext;
  readonly #rate: FrameRate;
  #isAuthenticated: boolean;
  #isOpen = true;
  #wantsResources = false;
  #wantsApprovals = false;
  #identities: Identity[] = [];
  readonly #attached = new Set<Identity>();
  #unfollowLog: (() => void) | undefined;
  #authTimer: TimerHandle | undefined;

  constructor(peer: Peer, isAuthenticated: boolean, context: ConnectionContext) {
    this.#peer = peer;
    this.#context = context;
    this.#isAuthenticated = isAuthenticated;
    this.#rate = new FrameRate(context.limits, context.clock);
    if (isAuthenticated) return;
    this.#authTimer = context.clock.setTimeout(
      () => this.#close(1008, 'authentication timeout'),
      context.limits.authTimeoutMs,
    );
  }

  get remoteAddress(): string {
    return this.#peer.remoteAddress;
  }

  get isAuthenticated(): boolean {
    return this.#isAuthenticated && this.#isOpen;
  }

  get wantsResources(): boolean {
    return this.#wantsResources && this.#isOpen;
  }

  get wantsApprovals(): boolean {
    return this.#wantsApprovals && this.#isOpen;
  }

  onText(text: string): void {
    const { inOrder, parse } = this.#context;
    inOrder(() => {
      if (!this.#admits(Buffer.byteLength(text))) return;
      parse(text, (result) => {
        if (this.#isOpen) this.#receive(result);
      });
    });
  }

  onBinary(byteCount: number): void {
    this.#context.inOrder(() => {
      if (!this.#admits(byteCount)) return;
      this.#sendError('frame.invalid', 'Binary frames are not understood; send JSON as text.');
    });
  }

  onClose(_code: number, clean: boolean): void {
    // Behind the frames that came before it: who says something and leaves has still said it.
    this.#context.inOrder(() => this.#end(clean));
  }

  isOpen(): boolean {
    return this.#isOpen;
  }

  send(frame: string): boolean {
    if (!this.#isOpen) return false;
    if (this.#peer.send(frame) !== 'dropped') return true;
    // Not taken although nothing is in the way: the peer is leaving. What it said before that still counts.
    const isSlow = this.#peer.bufferedBytes() > this.#context.limits.bufferedBytes;
    if (isSlow) this.#close(1013, 'reads too slowly');
    return false;
  }

  watch(): void {
    this.#context.watch(this);
  }

  /** Reports what has arrived; false when nothing is under way any more. */
  lookAtDeliveries(): boolean {
    if (!this.#isOpen) return false;
    if (this.#peer.bufferedBytes() === 0) {
      for (const identity of this.#identities) {
        const delivered = identity.takeDelivered();
        if (delivered.length > 0) this.#context.turns.confirm(delivered);
      }
    }
    return this.#identities.some((identity) => identity.hasUnderWay());
  }

  #end(clean: boolean): void {
    this.#isOpen = false;
    this.#unfollowLog?.();
    if (this.#authTimer !== undefined) this.#context.clock.clearTimeout(this.#authTimer);
    for (const identity of this.#identities) {
      const { delivered, undelivered } = identity.settle(clean);
      if (delivered.length > 0) this.#context.turns.confirm(delivered);
      this.#context.turns.detach(identity, undelivered);
    }
    this.#context.onClosed(this, this.#identities);
  }

  /** Whether one more frame of this size is within what the socket may send; if not, it ends. */
  #admits(bytes: number): boolean {
    const { limits } = this.#context;
    if (!this.#isOpen) return false;
    if (!this.#isAuthenticated && bytes > limits.frameBytesBeforeAuth) {
      const text = `A frame may have at most ${limits.frameBytesBeforeAuth} bytes before authentication.`;
      this.#sendError('frame.too_large', text);
      this.#close(1009, 'frame too large before authentication');
      return false;
    }
    if (this.#rate.allows(bytes)) return true;
    this.#sendError('frame.rate_limited', 'Too many frames in one second; the connection is closed.');
    this.#close(1008, 'too many frames');
    return false;
  }

  #receive(result: FrameResult): void {
    try {
      if ('frame' in result) this.#dispatch(result.frame);
      else if ('invalid' in result) this.#sendError('frame.invalid', result.invalid, result.details);
      else if (!this.#isAuthenticated) this.#refuseUnauthenticated();
    } catch (error) {
      this.#context.onDefect(error, 'frame');
      this.#sendError('internal', 'Internal error');
    }
  }

  #dispatch(frame: ClientFrame): void {
    if (frame.type === 'auth') return this.#authenticate(frame);
    if (!this.#isAuthenticated) return this.#refuseUnauthenticated();
    switch (frame.type) {
      case 'ping':
        return this.#sendFrame({ type: 'pong', ...(frame.id === undefined ? {} : { id: frame.id }) });
      case 'message':
        return this.#message(frame);
      case 'command':
        return this.#command(frame);
      case 'resume':
        return this.#resume(frame);
      case 'logs':
        return this.#followLog(frame);
      case 'approval':
        return this.#approve(frame);
    }
  }

  #authenticate(frame: FrameOf<'auth'>): void {
    const { authenticator, agent, limits } = this.#context;
    // '' is what a client without a token sends: no guess, so it is not counted as one. A socket that is in already,
    // by its upgrade or an earlier `auth`, may name itself without the token.
    const token = frame.token || undefined;
    const isKnown = this.#isAuthenticated && token === undefined;
    const verdict = isKnown ? 'ok' : authenticator.check(token, this.remoteAddress);
    if (verdict !== 'ok') {
      const isLocked = verdict === 'rate_limited';
      const reason = isLocked ? 'Too many wrong tokens; try again later' : 'Invalid token';
      const code = isLocked ? 'auth.rate_limited' : 'auth.invalid';
      this.#sendFrame({ type: 'auth_error', reason, code });
      return this.#close(1008, 'authentication failed');
    }
    this.#isAuthenticated = true;
    if (this.#authTimer !== undefined) this.#context.clock.clearTimeout(this.#authTimer);
    const identity = this.#identify(frame.client_id || undefined);
    if (!identity) return;
    const granted = frame.capabilities && this.#grant(frame.capabilities);
    identity.wantsDeltas = granted?.includes('delta') ?? false;
    identity.wantsTools = granted?.includes('tools') ?? false;
    identity.wantsResume = granted?.includes('resume') ?? false;
    this.#wantsResources = granted?.includes('resources') ?? false;
    this.#wantsApprovals = granted?.includes('approvals') ?? false;
    this.#sendFrame({
      type: 'auth_ok',
      agent_name: agent.name,
      version: agent.version,
      client_id: identity.client.clientId,
      ...(granted ? { capabilities: granted, limits: onWire(limits) } : {}),
    });
    this.#attach(identity);
    if (this.#wantsApprovals)
      for (const question of this.#context.approvals?.open() ?? []) this.send(question);
  }

  #grant(wanted: readonly string[]): Capability[] {
    return KNOWN.filter(
      (known) => wanted.includes(known) && (known !== 'approvals' || this.#context.approvals !== undefined),
    );
  }

  /** In the same tick as `auth_ok`, before any other frame of this socket: what its client missed. */
  #attach(identity: Identity): void {
    if (this.#attached.has(identity)) return;
    this.#attached.add(identity);
    this.#context.turns.attach(identity);
  }

  /** The identity this socket speaks as from now on; undefined when it has used too many. */
  #identify(clientId: string | undefined): Identity | undefined {
    const { authenticator } = this.#context;
    const current = this.#identities.at(-1);
    const client = clientId === undefined ? undefined : namedClient(clientId, authenticator.credential);
    if (current && (client === undefined || current.client.key === client.key)) return current;
    const known = client && this.#identities.find((identity) => identity.client.key === client.key);
    if (!known && this.#identities.length >= IDENTITIES_MAX) {
      this.#sendError('frame.invalid', `One connection may use at most ${IDENTITIES_MAX} client ids.`);
      this.#close(1008, 'too many client ids');
      return undefined;
    }
    const identity = known ?? new Identity(client ?? this.#context.nextUnnamed(), this);
    this.#identities = [...this.#identities.filter((other) => other !== known), identity];
    if (!known) this.#context.onIdentity(identity);
    return identity;
  }

  #message(frame: FrameOf<'message'>): void {
    const text = frame.text.trim();
    const identity = this.#identities.at(-1) ?? this.#identify(undefined);
    const attachments = frame.attachments ?? [];
    // A blank message is ignored, as by the reference: its clients send them.
    if (!identity || (text === '' && attachments.length === 0)) return;
    const message = {
      client: identity.client,
      sessionId: frame.session_id,
      messageId: frame.id,
      text,
      attachments,
    };
    this.#context.turns.submit(message, identity);
  }

  #command(frame: FrameOf<'command'>): void {
    const identity = this.#identities.at(-1) ?? this.#identify(undefined);
    if (!identity) return;
    const { turns, commands } = this.#context;
    const { name, session_id: sessionId, id } = frame;
    const context = { turns, client: identity.client, sessionId, ...commands };
    const result = runCommand(name, context);
    this.#sendFrame({
      type: 'command_result',
      name,
      ...result,
      ...(sessionId === undefined ? {} : { session_id: sessionId }),
      ...(id === undefined ? {} : { id }),
    });
  }

  #resume({ session_id: sessionId, after_seq: afterSeq, turn_id: turnId, id }: FrameOf<'resume'>): void {
    const identity = this.#identities.at(-1);
    if (identity?.wantsResume)
      return this.#context.turns.resume({ sessionId, afterSeq, turnId, id }, identity);
    this.#sendError('frame.invalid', 'Ask for the capability "resume" in the auth frame first.');
  }

  #followLog({ follow, event = '', level = 'debug', id }: FrameOf<'logs'>): void {
    const echoed = id === undefined ? {} : { id };
    this.#unfollowLog?.();
    this.#unfollowLog = undefined;
    if (follow) {
      const wire = {
        send: (frame: string) => this.send(frame),
        bufferedBytes: () => this.#peer.bufferedBytes(),
      };
      this.#unfollowLog = this.#context.logs.start(wire, { event, level });
      if (this.#unfollowLog === undefined) {
        const text = 'Too many clients follow the log already.';
        return this.#sendFrame({ type: 'error', text, code: 'logs.full', ...echoed });
      }
    }
    this.#sendFrame({ type: 'logs', follow, ...echoed });
  }

  #approve({ approval_id: approvalId, decision, id }: FrameOf<'approval'>): void {
    const by = this.#identities.at(-1)?.client.clientId ?? '';
    const { approvals } = this.#context;
    if (this.#wantsApprovals && approvals?.decide(approvalId, decision, by)) return;
    const text = this.#wantsApprovals
      ? 'This approval was decided, has expired, or was never asked for.'
      : 'Ask for the capability approvals in auth first.';
    const code = this.#wantsApprovals ? 'approval.not_found' : 'frame.invalid';
    this.#sendFrame({ type: 'error', text, code, ...(id === undefined ? {} : { id }) });
  }

  #refuseUnauthenticated(): void {
    this.#sendFrame({ type: 'auth_error', reason: 'Not authenticated', code: 'auth.required' });
  }

  #sendError(code: ErrorCode, text: string, details?: unknown): void {
    this.#sendFrame({ type: 'error', text, code, ...(details === undefined ? {} : { details }) });
  }

  #sendFrame(frame: ServerFrame): void {
    this.send(JSON.stringify(frame));
  }

  /** Nothing is read from it or sent to it any more. */
  #close(code: number, reason: string): void {
    this.#isOpen = false;
    this.#peer.close(code, reason);
  }
}

function onWire(limits: Limits): Record<string, number> {
  return Object.fromEntries(Object.entries(limits).map(([name, value]) => [limitKey(name), value]));
}
