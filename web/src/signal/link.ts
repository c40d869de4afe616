import {
  NO_REPLY,
  SignalError,
  type ClientMessage,
  type Replies,
  type RequestMessage,
  type ServerMessage,
} from './messages';
import { Socket } from './socket';

/** Close codes after which the server does not want us back. */
const FINAL_CODES = new Set([1000, 1008, 1009, 4001]);

export interface LinkEvents {
  /** A new socket is open and nothing has been sent over it: join, resume or watch. */
  open: () => void;
  message: (m: ServerMessage) => void;
  /** The socket is gone and will be replaced. */
  down: () => void;
  /** The server has closed for good. */
  closed: (code: number) => void;
}

/** Pause before the nth attempt (from 0) in milliseconds, with `random` in [0,1). */
export function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(8_000, 400 * 2 ** attempt);
  return Math.round(ceiling * (0.5 + random / 2));
}

/**
 * Keeps one Socket open to the server until `stop`, reconnecting with backoff.
 * It knows nothing of what is said over it; its owner resumes in `open`.
 */
export class Link {
  private socket: Socket | null = null;
  private attempt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = true;
  private readonly wake = () => this.hurry();

  constructor(
    private readonly url: string,
    private readonly events: LinkEvents,
  ) {}

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.attempt = 0;
    addEventListener('online', this.wake);
    document.addEventListener('visibilitychange', this.wake);
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    removeEventListener('online', this.wake);
    document.removeEventListener('visibilitychange', this.wake);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  /** To be called when the server has accepted us: later attempts start quickly again. */
  settled(): void {
    this.attempt = 0;
  }

  /** Drops the socket and connects anew, e.g. when the server did not answer. */
  renew(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.lost();
  }

  send(message: ClientMessage): void {
    this.socket?.send(message);
  }

  request<M extends RequestMessage>(message: M): Promise<Replies[M['type']]> {
    return this.socket?.request(message) ?? Promise.reject(new SignalError(NO_REPLY, false));
  }

  private connect(): void {
    const socket: Socket = new Socket(this.url, {
      open: () => this.current(socket) && this.events.open(),
      message: (m) => this.current(socket) && this.events.message(m),
      closed: (code) => {
        if (!this.current(socket)) return;
        this.socket = null;
        if (FINAL_CODES.has(code)) {
          this.stop();
          this.events.closed(code);
        } else {
          this.lost();
        }
      },
    });
    this.socket = socket;
  }

  /** Events of a socket that has been replaced are of no concern any more. */
  private current(socket: Socket): boolean {
    return this.socket === socket;
  }

  private lost(): void {
    if (this.stopped) return;
    this.events.down();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), backoff(this.attempt++, Math.random()));
  }

  /** The network or the person is back: try now instead of waiting out the pause. */
  private hurry(): void {
    if (this.stopped || document.visibilityState === 'hidden') return;
    if (this.socket) {
      this.socket.probe();
    } else {
      clearTimeout(this.timer);
      this.connect();
    }
  }
}

/** The signalling address of the server that served this page. */
export function signalURL(location: { protocol: string; host: string }): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/signal/v1`;
}
