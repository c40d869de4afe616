import { batch, computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import { Chime } from '../media/chime';
import { Link } from '../signal/link';
import {
  alarms,
  NO_REPLY,
  PROTOCOL,
  SignalError,
  type Ack,
  type AdmittedTicket,
  type DeskMessage,
  type Presence,
  type QueueTicket,
  type ServerMessage,
} from '../signal/messages';
import { t, type PlainKey } from '../i18n';

export type DeskPhase = 'loading' | 'explain' | 'desk' | 'error';

/** The newcomers between two lists: those who are here, or have just come back in. */
export function arrivals(before: readonly QueueTicket[], after: readonly QueueTicket[]): QueueTicket[] {
  const present = new Set(before.filter((t) => t.status === 'ready').map((t) => t.ticket_id));
  return after.filter((t) => t.status === 'ready' && !present.has(t.ticket_id));
}

/** What a refusal of an action means to the doctor. */
const refusals: Record<string, PlainKey> = {
  ticket_closed: 'desk.gone',
  not_found: 'desk.gone',
  open_consultation: 'desk.there',
  not_waiting: 'desk.begun',
  bad_message: 'desk.check',
  validation_error: 'desk.check',
};

function nameOf(ticket: { patient_name: string }): string {
  return ticket.patient_name || t('queue.unnamed');
}

/** The doctor's waiting room: the list, pushed, and the way into a consultation. */
export class Desk {
  readonly tickets: Signal<QueueTicket[]> = signal([]);
  /** Let in, and the call has not begun. */
  readonly admitted: Signal<AdmittedTicket[]> = signal([]);
  readonly presence: Signal<Presence> = signal('available');
  readonly doctorName = signal('');
  readonly failure: Signal<string | null> = signal(null);
  readonly loaded = signal(false);
  readonly down = signal(false);
  readonly sound = signal(false);
  readonly notice: Signal<PlainKey | null> = signal(null);
  readonly admitting: Signal<ReadonlySet<string>> = signal(new Set());
  /** Why the action in the dialog did not work. */
  readonly taskFailed: Signal<PlainKey | null> = signal(null);
  /** What the last action has done, for the announcement. */
  readonly done = signal('');
  /** The last who arrived, for the announcement. */
  readonly arrived: Signal<QueueTicket | null> = signal(null);
  /** The last whose reason was found to be an emergency, for the announcement. */
  readonly alarm: Signal<QueueTicket | null> = signal(null);
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

  message(ticket: QueueTicket, text: string): Promise<boolean> {
    return this.task({ type: 'message', ticket_id: ticket.ticket_id, text }, () => t('desk.sent'));
  }

  messageAll(text: string): Promise<boolean> {
    return this.task({ type: 'message_all', text }, (ack) => t('desk.sentAll', { count: ack.count ?? 0 }));
  }

  transfer(ticket: QueueTicket, doctorId: string, doctorName: string): Promise<boolean> {
    const name = doctorName === '' ? {} : { doctor_name: doctorName };
    return this.task({ type: 'transfer', ticket_id: ticket.ticket_id, doctor_id: doctorId, ...name }, () =>
      t('desk.transferred', { name: nameOf(ticket) }),
    );
  }

  decline(ticket: QueueTicket, reason: string): Promise<boolean> {
    const why = reason === '' ? {} : { reason };
    return this.task({ type: 'decline', ticket_id: ticket.ticket_id, ...why }, () =>
      t('desk.declined', { name: nameOf(ticket) }),
    );
  }

  async move(ticket: QueueTicket, position: number): Promise<void> {
    this.notice.value = await this.act({ type: 'reorder', ticket_id: ticket.ticket_id, position }, () =>
      t('desk.moved', { name: nameOf(ticket), position }),
    );
  }

  async sendBack(ticket: AdmittedTicket): Promise<void> {
    this.notice.value = await this.act({ type: 'send_back', ticket_id: ticket.ticket_id }, () =>
      t('desk.sentBack', { name: nameOf(ticket) }),
    );
  }

  async setPresence(presence: Presence): Promise<void> {
    const before = this.presence.value;
    this.presence.value = presence;
    this.notice.value = await this.act({ type: 'presence', presence }, () => '');
    if (this.notice.value !== null) this.presence.value = before;
  }

  /** An action of the dialog; its failure is told there. Resolves to whether it worked. */
  private async task(message: DeskMessage, done: (ack: Ack) => string): Promise<boolean> {
    this.taskFailed.value = null;
    this.taskFailed.value = await this.act(message, done);
    return this.taskFailed.value === null;
  }

  /** Resolves to null when the server has done it, else to what to tell the doctor. */
  private async act(message: DeskMessage, done: (ack: Ack) => string): Promise<PlainKey | null> {
    this.done.value = '';
    try {
      this.done.value = done(await this.link.request(message));
      return null;
    } catch (error) {
      const reason = error instanceof SignalError ? error.reason : '';
      return refusals[reason] ?? 'banner.actionFailed';
    }
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
          this.presence.value = message.presence;
          this.admitted.value = message.admitted;
          this.show(message.tickets);
        });
        break;
      case 'queue':
        batch(() => {
          this.admitted.value = message.admitted ?? [];
          this.show(message.tickets);
        });
        break;
      case 'presence':
        this.presence.value = message.presence;
        break;
      case 'error':
        if (message.fatal) this.fail(SignalError.from(message).reason);
        break;
    }
  }

  private show(tickets: QueueTicket[]): void {
    const came = arrivals(this.tickets.value, tickets);
    const red = alarms(this.tickets.value, tickets).at(-1);
    this.tickets.value = [...tickets].sort((a, b) => a.position - b.position);
    if (red) this.alarm.value = red;
    const newest = came.at(-1);
    if (newest) this.arrived.value = newest;
    if (red ?? newest) this.chime.play();
  }

  private fail(reason: string): void {
    this.link.stop();
    this.failure.value = reason;
  }
}
