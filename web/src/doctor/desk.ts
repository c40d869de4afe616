import { batch, computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { Chime } from '../media/chime';
import { Link } from '../signal/link';
import { NO_REPLY, PROTOCOL, SignalError, type QueueTicket, type ServerMessage } from '../signal/messages';
import type { PlainKey } from '../i18n';

export type DeskPhase = 'loading' | 'explain' | 'desk' | 'error';

/** The newcomers between two lists: those who are here, or have just come back in. */
export function arrivals(before: readonly QueueTicket[], after: readonly QueueTicket[]): QueueTicket[] {
  const present = new Set(before.filter((t) => t.status === 'ready').map((t) => t.ticket_id));
  return after.filter((t) => t.status === 'ready' && !present.has(t.ticket_id));
}

/** The doctor's waiting room: the list, pushed, and the way into a consultation. */
export class Desk {
  readonly tickets: Signal<QueueTicket[]> = signal([]);
  readonly doctorName = signal('');
  readonly failure: Signal<string | null> = signal(null);
  readonly loaded = signal(false);
  readonly down = signal(false);
  readonly sound = signal(false);
  readonly notice: Signal<PlainKey | null> = signal(null);
  readonly admitting: Signal<ReadonlySet<string>> = signal(new Set());
  /** The last who arrived, for the announcement. */
  readonly arrived: Signal<QueueTicket | null> = signal(null);
  readonly phase: ReadonlySignal<DeskPhase> = computed(() => {
    if (this.failure.value !== null) return 'error';
    return this.loaded.value ? 'desk' : 'loading';
  });

  private readonly chime = new Chime();
  private readonly link: Link;

  constructor(
    url: string,
    private readonly token: string,
    private readonly go: (url: string) => void,
  ) {
    this.link = new Link(url, {
      open: () => void this.watch(),
      message: (m) => this.receive(m),
      down: () => (this.down.value = true),
      closed: () => this.fail('internal'),
    });
  }

  start(): void {
    this.link.start();
    // Works only where the browser already trusts the page; else the switch asks.
    void this.enableSound();
  }

  async enableSound(): Promise<void> {
    this.sound.value = await this.chime.enable();
  }

  async toggleSound(): Promise<void> {
    if (this.sound.value) {
      this.chime.close();
      this.sound.value = false;
      return;
    }
    await this.enableSound();
    this.chime.play();
  }

  async admit(ticketId: string): Promise<void> {
    this.admitting.value = new Set([...this.admitting.value, ticketId]);
    this.notice.value = null;
    try {
      const reply = await this.link.request({ type: 'admit', ticket_id: ticketId });
      if (reply.doctor_join_url !== undefined) {
        this.go(reply.doctor_join_url);
        return;
      }
    } catch {
      this.notice.value = 'banner.actionFailed';
    }
    this.admitting.value = new Set([...this.admitting.value].filter((id) => id !== ticketId));
  }

  private async watch(): Promise<void> {
    try {
      this.receive(await this.link.request({ type: 'watch', protocol: PROTOCOL, token: this.token }));
      this.link.settled();
    } catch (error) {
      const reason = error instanceof SignalError ? error.reason : 'internal';
      if (reason === NO_REPLY || reason === 'draining' || reason === 'service_unavailable') this.link.renew();
      else this.fail(reason);
    }
  }

  private receive(message: ServerMessage): void {
    switch (message.type) {
      case 'watching':
        batch(() => {
          this.doctorName.value = message.doctor_name;
          this.down.value = false;
          this.loaded.value = true;
          this.show(message.tickets);
        });
        break;
      case 'queue':
        this.show(message.tickets);
        break;
      case 'error':
        if (message.fatal) this.fail(SignalError.from(message).reason);
        break;
    }
  }

  private show(tickets: QueueTicket[]): void {
    const came = arrivals(this.tickets.value, tickets);
    this.tickets.value = [...tickets].sort((a, b) => a.position - b.position);
    const newest = came.at(-1);
    if (!newest) return;
    this.arrived.value = newest;
    this.chime.play();
  }

  private fail(reason: string): void {
    this.link.stop();
    this.failure.value = reason;
  }
}
