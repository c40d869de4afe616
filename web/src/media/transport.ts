import type { Publication, Slot, Source } from '../signal/messages';
import type { VideoCodec } from './codecs';
import { Monitor } from './monitor';
import { Peer, type SendWish } from './peer';
import { available, type Counters } from './quality';
import { Uplink } from './uplink';
import type { LocalMedia } from './local';
import { slotView, type Views } from './views';

/** Receive pairs offered at first: a doctor, an interpreter and a shared screen. */
export const FIRST_SLOTS = 3;
const MAX_SLOTS = 12;
const CONNECT_WITHIN = 10_000;
const DISCONNECTED_FOR = 1_500;

/** The signalling side, as the transport needs it. */
export interface Negotiator {
  offer(
    sdp: string,
    publications: Publication[],
    replace: boolean,
  ): Promise<{ answer: string; slots: Slot[] }>;
  ready(): void;
}

export interface TransportEvents {
  slots: (slots: Slot[]) => void;
  /** Whether sound and picture are flowing as far as we know. */
  interrupted: (is: boolean) => void;
  /** The counters of the connection, twice a second. */
  counters: (counters: readonly Counters[]) => void;
  /** Whether nothing comes back of what we send. */
  silent: (is: boolean) => void;
}

export interface TransportOptions {
  sources: readonly Source[];
  codec: VideoCodec | undefined;
}

/**
 * The media connection over its whole life: first offer, re-offers, and a
 * replacement PeerConnection when the path dies, which is faster than an ICE
 * restart. One negotiation at a time.
 */
export class Transport {
  private peer: Peer | null = null;
  /** Made before the join, with its offer; nothing leaves it without an answer. */
  private warmed: { peer: Peer; ready: Promise<void> } | null = null;
  /** The predecessor of `peer`, kept until that one is connected. */
  private retiring: Peer | null = null;
  private slots: Slot[] = [];
  private queue: Promise<void> = Promise.resolve();
  private replacing = false;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private closed = false;
  /** What the server wants sent; it holds for a replacement too. */
  private wish: SendWish = {};
  private readonly uplink = new Uplink();
  /** Raised by each `prepare`: work begun for an earlier join must not take effect. */
  private epoch = 0;
  private readonly monitor: Monitor;

  constructor(
    private readonly local: LocalMedia,
    private readonly views: Views,
    private readonly negotiator: Negotiator,
    private readonly options: TransportOptions,
    private readonly events: TransportEvents,
  ) {
    this.monitor = new Monitor({
      stats: () => this.peer?.stats() ?? Promise.resolve(null),
      counters: (counters) => {
        this.uplink.update(available(counters), Date.now());
        this.peer?.spare(this.uplink.thin, this.uplink.starved);
        events.counters(counters);
      },
      silent: (is) => {
        events.silent(is);
        if (is) this.replace();
      },
    });
    addEventListener('online', this.check);
  }

  /** Makes the first offer ahead of the join, which then need not wait for it. */
  warm(): void {
    if (this.peer || this.warmed || this.closed) return;
    const peer = this.create(FIRST_SLOTS);
    const ready = peer.setTracks(this.local.tracks).then(async () => {
      await peer.offer((s) => this.local.muted(s));
    });
    this.warmed = { peer, ready };
    ready.catch(() => {
      if (this.warmed?.peer === peer) this.warmed = null;
      peer.close();
    });
  }

  /** Throws away what there was and makes the offer of a new join. */
  async prepare(): Promise<{ offer: string; publications: Publication[] }> {
    this.epoch++;
    this.wish = {};
    const warmed = await this.takeWarmed();
    if (warmed) {
      this.peer = warmed;
      await warmed.setTracks(this.local.tracks);
      const { sdp, publications } = warmed.offered((s) => this.local.muted(s));
      return { offer: sdp, publications };
    }
    this.monitor.stop();
    clearTimeout(this.timer);
    this.replacing = false;
    this.failures = 0;
    this.peer?.close();
    this.retiring?.close();
    this.retiring = null;
    this.peer = this.create(FIRST_SLOTS);
    if (this.local.tracks.screen) this.peer.addScreen();
    await this.peer.setTracks(this.local.tracks);
    const { sdp, publications } = await this.peer.offer((s) => this.local.muted(s));
    return { offer: sdp, publications };
  }

  /** The peer made ahead, if it is of use: for the first join, without a screen. */
  private async takeWarmed(): Promise<Peer | null> {
    const warmed = this.warmed;
    if (!warmed) return null;
    try {
      await warmed.ready;
    } catch {
      return null;
    }
    this.warmed = null;
    if (this.peer || this.local.tracks.screen || warmed.peer.state === 'closed') {
      warmed.peer.close();
      return null;
    }
    return warmed.peer;
  }

  /** The answer to `prepare`. Without one the server wants a new offer. */
  async accept(answer: string | undefined, slots: Slot[]): Promise<void> {
    this.monitor.start();
    if (answer === undefined || !this.peer) {
      this.setSlots(slots);
      this.replace();
      return;
    }
    await this.peer.answer(answer);
    this.negotiator.ready();
    // Only now are the receivers' tracks known by mid in every browser.
    this.setSlots(slots);
    this.watch(CONNECT_WITHIN);
  }

  get answered(): boolean {
    return this.peer?.answered ?? false;
  }

  setSlots(slots: Slot[]): void {
    this.slots = slots;
    const peer = this.peer;
    const used = new Set<string>();
    for (const s of slots) {
      if (!s.participant_id || !peer) continue;
      used.add(slotView(s.video_mid));
      this.views.set(slotView(s.video_mid), [peer.track(s.audio_mid), peer.track(s.video_mid)]);
    }
    this.views.keepSlots(used);
    this.events.slots(slots);
  }

  setTrack(source: Source, track: MediaStreamTrack | null): void {
    for (const peer of [this.peer, this.retiring]) peer?.setTrack(source, track).catch(() => undefined);
  }

  /** Sends of each source named what is wanted, and no more. */
  want(wish: SendWish): void {
    this.wish = { ...this.wish, ...wish };
    this.peer?.want(this.wish);
  }

  publishes(source: Source): boolean {
    return this.peer?.publishes(source) ?? false;
  }

  /** Makes sure the lines of a screen share exist before its tracks are muted or not. */
  async publishScreen(): Promise<void> {
    if (!this.peer?.addScreen()) return;
    await this.peer.setTracks(this.local.tracks);
    await this.renegotiate();
  }

  /** Offers more slots when more are needed than there are. */
  async needSlots(count: number): Promise<void> {
    const peer = this.peer;
    const missing = Math.min(count, MAX_SLOTS) - (peer?.slots ?? MAX_SLOTS);
    if (!peer || missing <= 0 || !peer.answered) return;
    peer.addSlots(missing);
    await this.renegotiate();
  }

  /** The signalling is back: whatever was owed to the server can be sent. */
  resume(): void {
    if (!this.peer?.answered) {
      this.replace();
      return;
    }
    if (this.peer.owesOffer) this.renegotiate().catch(() => undefined);
    this.check();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    removeEventListener('online', this.check);
    this.monitor.stop();
    this.peer?.close();
    this.retiring?.close();
    this.warmed?.peer.close();
    this.peer = this.retiring = this.warmed = null;
    this.views.keepSlots(new Set());
  }

  private readonly check = (): void => {
    if (this.peer?.answered && this.peer.state !== 'connected') this.watch(DISCONNECTED_FOR);
  };

  private create(slots: number): Peer {
    const peer: Peer = new Peer(
      { ...this.options, slots },
      { connection: (state) => this.peer === peer && this.changed(state) },
    );
    return peer;
  }

  private changed(state: RTCPeerConnectionState): void {
    switch (state) {
      case 'connected':
        clearTimeout(this.timer);
        this.failures = 0;
        this.retiring?.close();
        this.retiring = null;
        this.events.interrupted(false);
        break;
      case 'disconnected':
        this.watch(DISCONNECTED_FOR);
        break;
      case 'failed':
        this.replace();
        break;
    }
  }

  /** Replaces the connection unless it has connected within `ms`. */
  private watch(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.peer?.state !== 'connected') this.replace();
    }, ms);
  }

  private renegotiate(): Promise<void> {
    return this.enqueue(async () => {
      const peer = this.peer;
      if (!peer?.answered) return;
      const { sdp, publications } = await peer.offer((s) => this.local.muted(s));
      try {
        const reply = await this.negotiator.offer(sdp, publications, false);
        if (this.peer !== peer) return;
        await peer.answer(reply.answer);
        this.negotiator.ready();
        this.setSlots(reply.slots);
      } catch (error) {
        await peer.rollback();
        throw error;
      }
    });
  }

  private replace(): void {
    if (this.replacing || this.closed) return;
    this.replacing = true;
    clearTimeout(this.timer);
    this.events.interrupted(true);
    const pause = this.failures === 0 ? 0 : Math.min(8_000, 500 * 2 ** this.failures);
    this.failures++;
    const epoch = this.epoch;
    const settle = (within: number) => {
      if (this.closed || this.epoch !== epoch) return;
      this.replacing = false;
      if (this.peer?.state !== 'connected') this.watch(within);
    };
    this.timer = setTimeout(() => {
      // A failure mostly means that the signalling is down too: try again soon.
      this.enqueue(() => this.openReplacement(epoch)).then(
        () => settle(CONNECT_WITHIN),
        () => settle(DISCONNECTED_FOR),
      );
    }, pause);
  }

  private async openReplacement(epoch: number): Promise<void> {
    const stale = () => this.closed || this.epoch !== epoch;
    if (stale()) return;
    const next = this.create(Math.max(FIRST_SLOTS, this.slots.length));
    next.want(this.wish);
    if (this.local.tracks.screen) next.addScreen();
    try {
      await next.setTracks(this.local.tracks);
      const { sdp, publications } = await next.offer((s) => this.local.muted(s));
      const reply = await this.negotiator.offer(sdp, publications, true);
      await next.answer(reply.answer);
      if (stale()) {
        next.close();
        return;
      }
      this.retiring?.close();
      this.retiring = this.peer;
      this.peer = next;
      this.negotiator.ready();
      this.setSlots(reply.slots);
      if (next.state === 'connected') this.changed('connected');
    } catch (error) {
      next.close();
      throw error;
    }
  }

  private enqueue(work: () => Promise<void>): Promise<void> {
    const run = this.queue.then(work);
    this.queue = run.catch(() => undefined);
    return run;
  }
}
