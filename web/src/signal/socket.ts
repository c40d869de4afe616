import {
  NO_REPLY,
  SignalError,
  type ClientMessage,
  type Replies,
  type RequestMessage,
  type ServerMessage,
} from './messages';

/** Milliseconds. The server's own limits are in docs/signaling.md, section 7. */
export const PING_EVERY = 5_000;
const PONG_WITHIN = 8_000;
const REPLY_WITHIN = 15_000;

interface Pending {
  resolve: (m: ServerMessage) => void;
  reject: (e: SignalError) => void;
  timer: ReturnType<typeof setTimeout>;
}

export interface SocketEvents {
  open: () => void;
  /** Every message that is not the reply to a request. */
  message: (m: ServerMessage) => void;
  /** Called once. `code` is 1006 where the connection was lost or given up. */
  closed: (code: number) => void;
}

/**
 * One WebSocket: typed messages, replies matched by id, and a heartbeat that
 * gives up a silent connection long before the operating system does.
 */
export class Socket {
  private readonly ws: WebSocket;
  private readonly pending = new Map<string, Pending>();
  private nextId = 1;
  private heartbeat: ReturnType<typeof setInterval> | undefined;
  /** When the oldest ping without an answer was sent; 0 when there is none. */
  private pingedAt = 0;
  private done = false;

  constructor(
    url: string,
    private readonly events: SocketEvents,
  ) {
    this.ws = new WebSocket(url);
    this.ws.onopen = () => {
      this.heartbeat = setInterval(() => this.beat(), PING_EVERY);
      events.open();
    };
    this.ws.onmessage = (e: MessageEvent<unknown>) => this.receive(e.data);
    this.ws.onclose = (e) => this.finish(e.code);
  }

  send(message: ClientMessage): void {
    if (this.ws.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(message));
  }

  /** Sends a request and waits for the reply that carries its id. */
  request<M extends RequestMessage>(message: M): Promise<Replies[M['type']]> {
    const id = String(this.nextId++);
    return new Promise((resolve, reject) => {
      if (this.done || this.ws.readyState !== WebSocket.OPEN) {
        reject(new SignalError(NO_REPLY, false));
        return;
      }
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new SignalError(NO_REPLY, false));
      }, REPLY_WITHIN);
      this.pending.set(id, { resolve: resolve as (m: ServerMessage) => void, reject, timer });
      this.ws.send(JSON.stringify({ ...message, id }));
    });
  }

  /** Closes without waiting for the other side. */
  close(): void {
    this.ws.close(1000);
    this.finish(1000);
  }

  /** Asks at once whether the connection still lives, e.g. after the device slept. */
  probe(): void {
    if (this.ws.readyState === WebSocket.OPEN) this.beat();
  }

  /**
   * Counts from the ping, not from the last message: browsers slow the timers
   * of a hidden page to one a minute, and silence since then means nothing.
   */
  private beat(): void {
    if (this.pingedAt === 0) {
      this.pingedAt = Date.now();
      this.send({ type: 'ping' });
    } else if (Date.now() - this.pingedAt > PONG_WITHIN) {
      this.ws.close();
      this.finish(1006);
    }
  }

  private receive(data: unknown): void {
    this.pingedAt = 0;
    const message = decode(data);
    if (!message || message.type === 'pong') return;
    const id = 'id' in message ? message.id : undefined;
    const waiting = id === undefined ? undefined : this.pending.get(id);
    if (id !== undefined && waiting) {
      this.pending.delete(id);
      clearTimeout(waiting.timer);
      if (message.type === 'error') waiting.reject(SignalError.from(message));
      else waiting.resolve(message);
      return;
    }
    this.events.message(message);
  }

  private finish(code: number): void {
    if (this.done) return;
    this.done = true;
    clearInterval(this.heartbeat);
    this.ws.onopen = this.ws.onmessage = this.ws.onclose = null;
    for (const p of this.pending.values()) {
      clearTimeout(p.timer);
      p.reject(new SignalError(NO_REPLY, false));
    }
    this.pending.clear();
    this.events.closed(code);
  }
}

function decode(data: unknown): ServerMessage | null {
  if (typeof data !== 'string') return null;
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value !== 'object' || value === null || !('type' in value)) return null;
    return typeof value.type === 'string' ? (value as ServerMessage) : null;
  } catch {
    return null;
  }
}
