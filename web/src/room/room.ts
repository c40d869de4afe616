import { batch } from '@preact/signals';
import { canShareScreen } from '../media/devices';
import { Chime } from '../media/chime';
import type { VideoCodec } from '../media/codecs';
import type { LocalMedia } from '../media/local';
import { Transport } from '../media/transport';
import { Link } from '../signal/link';
import {
  NO_REPLY,
  PROTOCOL,
  SignalError,
  type ServerMessage,
  type Slot,
  type Source,
} from '../signal/messages';
import { Adaptation } from './adaptation';
import { Farewell } from './ending';
import { apply, end, newestNote, outside, slotsNeeded, type Ending, type Model } from './model';
import { callNews } from './news';
import { OwnMedia } from './own';
import type { PageMemory } from './page';
import { Recorder } from './recorder';
import { RoomState } from './state';

export interface RoomConfig {
  url: string;
  sessionId: string;
  token: string;
  /** Only for the session token of the API, which may act as either side. */
  role: 'doctor' | 'patient' | undefined;
  /** What the token allows us to send. */
  sources: readonly Source[];
  codec: VideoCodec | undefined;
}

/** How long a join waits for devices that are still starting; they may follow later. */
const DEVICES_WITHIN = 3_000;
/** Refusals that pass by themselves. */
const TRY_AGAIN = new Set(['draining', 'service_unavailable', 'too_fast']);

/**
 * The room of this page. The signals are what components show, the methods are
 * what they may ask for; nothing flows the other way.
 */
export class Room extends RoomState {
  readonly canShare: boolean;
  readonly own: OwnMedia;
  readonly farewell = new Farewell(() => this.ask(() => this.link?.request({ type: 'end' })));
  readonly recorder = new Recorder(this, (m) => this.wish((link) => link.request(m)));

  readonly adaptation = new Adaptation(() => this.model.value, this.sight, {
    send: (m) => this.link?.send(m),
    want: (wish) => this.transport?.want(wish),
  });

  private readonly chime = new Chime();
  private transport: Transport | null = null;
  private link: Link | null = null;
  private takeOver = false;
  /** What came while the answer was being applied; null at any other time. */
  private held: ServerMessage[] | null = null;
  /** Raised by each opened socket: an answer to an older one is void. */
  private attempt = 0;

  constructor(
    private readonly config: RoomConfig,
    private readonly memory: PageMemory,
  ) {
    super();
    this.canShare = config.sources.includes('screen') && canShareScreen();
    this.own = new OwnMedia(this, memory, {
      track: (source, track) => this.transport?.setTrack(source, track),
      muted: (source, muted) => {
        if (this.transport?.publishes(source)) this.link?.send({ type: 'media', source, muted });
      },
    });
  }

  get observer(): boolean {
    return !this.config.sources.some((s) => s === 'microphone' || s === 'camera');
  }

  /** Opens the devices for the check, or goes straight back in after a reload. */
  begin(): void {
    if (typeof RTCPeerConnection === 'undefined') {
      this.failure.value = 'unsupported';
      return;
    }
    if (this.memory.get().inside === true) {
      this.returning.value = true;
      void this.join();
    } else {
      this.retryDevices();
    }
  }

  async join(name?: string): Promise<void> {
    if (this.joining.value) return;
    this.joining.value = true;
    this.failure.value = null;
    if (name !== undefined) this.memory.set({ name });
    // Without a touch, as after a reload, the browser would only complain.
    if (name !== undefined) void this.chime.enable();
    const media = this.own.get();
    const started = this.observer ? Promise.resolve() : media.start();
    await Promise.race([started, new Promise((r) => setTimeout(r, DEVICES_WITHIN))]);
    this.connect(media);
  }

  /** Back in after leaving, or on this device after "already connected" or "moved". */
  async rejoin(takeOver: boolean): Promise<void> {
    this.takeOver = takeOver;
    this.joining.value = false;
    this.returning.value = true;
    this.model.value = outside;
    await this.join();
  }

  leave(): void {
    const ending = this.model.value.stage === 'waiting' ? 'left_waiting' : 'left';
    this.link?.send({ type: 'leave' });
    this.finish(ending);
  }

  async admit(ticketId: string): Promise<void> {
    this.admitting.value = new Set([...this.admitting.value, ticketId]);
    await this.ask(() => this.link?.request({ type: 'admit', ticket_id: ticketId }));
    this.admitting.value = new Set([...this.admitting.value].filter((id) => id !== ticketId));
  }

  /** Writes to all, or why the patient comes. Resolves to whether the server has taken it. */
  async say(type: 'chat' | 'reason', text: string): Promise<boolean> {
    try {
      return (await this.link?.request({ type, text })) !== undefined;
    } catch {
      return false;
    }
  }

  retryDevices(): void {
    const media = this.own.get();
    const started = this.observer ? Promise.resolve() : media.start();
    void started.finally(() => this.phase.value === 'check' && this.carrier(media).warm());
  }

  async setScreen(on: boolean): Promise<void> {
    if (!on) {
      this.own.get().stopScreen();
      return;
    }
    try {
      if (await this.own.get().startScreen()) await this.transport?.publishScreen();
    } catch {
      this.own.get().stopScreen();
      this.tell('call.shareFailed');
    }
  }

  private wish<T>(request: (link: Link) => Promise<T>): Promise<T> {
    return this.link ? request(this.link) : Promise.reject(new SignalError(NO_REPLY, false));
  }

  private connect(media: LocalMedia): void {
    const link = new Link(this.config.url, {
      open: () => void this.opened(link),
      message: (m) => this.receive(m),
      down: () => (this.down.value = true),
      closed: (code) => this.closed(code),
    });
    this.link = link;
    this.carrier(media);
    link.start();
  }

  /** The media connection, which exists before the join and lasts until the end. */
  private carrier(media: LocalMedia): Transport {
    this.transport ??= new Transport(
      media,
      this.views,
      {
        offer: (offer, publications, replace) =>
          this.wish((link) => link.request({ type: 'offer', offer, publications, replace })),
        ready: () => this.link?.send({ type: 'ready' }),
      },
      { sources: this.config.sources, codec: this.config.codec },
      {
        slots: (slots) => (this.model.value = { ...this.model.value, slots }),
        interrupted: (is) => (this.interrupted.value = is),
        counters: (c) => this.adaptation.counters(c),
        silent: (is) => (this.silent.value = is),
      },
    );
    return this.transport;
  }

  private async opened(link: Link): Promise<void> {
    const attempt = ++this.attempt;
    const stale = () => this.attempt !== attempt || this.link !== link;
    try {
      await this.enter(link, stale);
      if (stale()) return;
      link.settled();
      batch(() => {
        this.down.value = false;
        this.joining.value = false;
        this.returning.value = false;
      });
      this.memory.set({ inside: true });
      this.recorder.again();
    } catch (error) {
      if (stale()) return;
      const reason = error instanceof SignalError ? error.reason : 'internal';
      const note = error instanceof SignalError ? error.note : undefined;
      if (note !== undefined) this.model.value = { ...this.model.value, note };
      if (reason === NO_REPLY || TRY_AGAIN.has(reason)) link.renew();
      else this.fail(reason);
    }
  }

  /** Resumes where that is possible, and joins otherwise. */
  private async enter(link: Link, stale: () => boolean): Promise<void> {
    const { selfId, secret } = this.model.value;
    if (selfId !== null && secret !== null) {
      try {
        const reply = await link.request({
          type: 'resume',
          protocol: PROTOCOL,
          participant_id: selfId,
          secret,
        });
        if (stale()) return;
        this.receive(reply);
        this.retell();
        return;
      } catch (error) {
        if (!(error instanceof SignalError) || error.reason === NO_REPLY) throw error;
        if (stale()) return;
      }
    }
    const prepared = await this.transport?.prepare();
    if (stale() || !prepared) return;
    const { name, instance, language } = this.memory.get();
    const reply = await link.request({
      type: 'join',
      protocol: PROTOCOL,
      token: this.config.token,
      session_id: this.config.sessionId,
      ...prepared,
      instance,
      ...(name ? { display_name: name } : {}),
      ...(language ? { language } : {}),
      ...(this.takeOver ? { take_over: true } : {}),
      ...(this.config.role ? { role: this.config.role } : {}),
    });
    if (stale()) return;
    this.takeOver = false;
    this.receive(reply);
  }

  /** What changed while the socket was down did not reach the server. */
  private retell(): void {
    for (const source of this.config.sources) {
      if (!this.transport?.publishes(source)) continue;
      this.link?.send({ type: 'media', source, muted: this.own.muted(source) });
    }
  }

  private receive(message: ServerMessage): void {
    if (this.held !== null) {
      this.held.push(message);
      return;
    }
    const before = this.model.value;
    const now = apply(before, message, Date.now());
    if (message.type === 'joined' || message.type === 'admitted') {
      void this.goIn(message.answer, before, now);
      return;
    }
    this.model.value = now;
    this.adaptation.receive(message);
    switch (message.type) {
      case 'resumed':
        if (message.state === 'waiting') break;
        this.adaptation.again();
        if (this.transport?.answered === true) {
          this.transport.setSlots(message.slots);
          this.transport.resume();
        } else {
          void this.applyAnswer(message.answer, message.slots);
        }
        break;
      case 'slots':
        this.transport?.setSlots(message.slots);
        break;
      case 'ended':
      case 'moved':
        this.finish(now.ending ?? 'moved');
        break;
      case 'error':
        if (message.fatal) this.fail(SignalError.from(message).reason);
        break;
    }
    this.noteChanges(before, now);
  }

  /**
   * Applies the answer, then draws the call: drawing first would keep the main
   * thread busy for as long as the browser takes to open the media, and `ready`,
   * which the server waits for, would leave only after that.
   */
  private async goIn(answer: string | undefined, before: Model, now: Model): Promise<void> {
    const held: ServerMessage[] = [];
    this.held = held;
    const applied = await this.applyAnswer(answer, now.slots);
    if (this.held !== held) return; // left meanwhile
    this.held = null;
    if (!applied) return;
    this.model.value = now;
    this.adaptation.again();
    this.noteChanges(before, now);
    for (const message of held) this.receive(message);
  }

  private async applyAnswer(answer: string | undefined, slots: Slot[]): Promise<boolean> {
    try {
      await this.transport?.accept(answer, slots);
    } catch {
      this.fail('bad_offer');
    }
    return this.transport !== null;
  }

  /** Back in the waiting room: the server has closed our media, only a new join brings it back. */
  private sentBack(): void {
    this.link?.stop();
    this.transport?.close();
    this.link = this.transport = null;
    void this.rejoin(false);
  }

  private noteChanges(before: Model, now: Model): void {
    this.recorder.changed(before, now);
    if (now.stage === 'waiting') {
      if (before.stage === 'call') this.sentBack();
      else if (before.stage === 'waiting' && newestNote(now) !== newestNote(before)) this.chime.play();
    }
    if (before.stage === 'outside') this.own.stopMetering();
    if (before.stage === 'waiting' && now.stage === 'call') {
      this.chime.play();
      this.announcement.value = { key: 'wait.admitted' };
    }
    if (before.stage === 'call' && now.stage === 'call') {
      const { told, rings } = callNews(before, now);
      for (const a of told) this.announcement.value = a;
      if (rings) this.chime.play();
    }
    if (now.stage === 'call' && now.participants !== before.participants) {
      this.transport?.needSlots(slotsNeeded(now.participants)).catch(() => undefined);
    }
  }

  private closed(code: number): void {
    if (this.model.value.stage === 'ended' || this.failure.value !== null) return;
    if (code === 4001) this.finish('moved');
    else this.fail('internal');
  }

  private fail(reason: string): void {
    this.teardown();
    this.failure.value = reason;
  }

  private finish(ending: Ending): void {
    this.model.value = end(this.model.value, ending, Date.now());
    this.teardown();
  }

  private teardown(): void {
    this.memory.set({ inside: false });
    this.farewell.cancel();
    this.link?.stop();
    this.transport?.close();
    this.own.close();
    this.link = this.transport = this.held = null;
    batch(() => {
      this.joining.value = false;
      this.returning.value = false;
      this.down.value = false;
      this.interrupted.value = false;
      this.silent.value = false;
      this.chatOpen.value = false;
      this.model.value = { ...this.model.value, secret: null };
    });
  }
}
