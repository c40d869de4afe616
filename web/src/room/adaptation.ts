import { signal, type Signal } from '@preact/signals';
import type { SendWish } from '../media/peer';
import { concealedShare, frozenShare, inbound, type Counters, type Inbound } from '../media/quality';
import type { Sight } from '../media/sight';
import { slotView } from '../media/views';
import type { ClientMessage, ServerMessage, Slot, SlotStats, SlotView, Source } from '../signal/messages';
import type { Model } from './model';

/** A picture that has not moved for this long (ms) is shown as none. */
const STILL_AFTER = 2_500;
/** … and once the server says that it sends none. */
const PAUSED_AFTER = 1_200;
/** How often the server is told how we receive (ms). */
const TELL_EVERY = 6_000;

export interface AdaptationEvents {
  send: (m: ClientMessage) => void;
  want: (wish: SendWish) => void;
}

/** What the page tells of how it shows and receives, and does of what it is told to send. */
export class Adaptation {
  /** Video mids whose picture stands still. */
  readonly still: Signal<ReadonlySet<string>> = signal(new Set<string>());
  /** Whether the own camera gives pictures. */
  readonly filming = signal(true);
  private views = '';
  private lastTold: { at: number; lines: Map<string, Inbound> } | null = null;
  /** When a picture last moved, and after how many frames. */
  private readonly moved = new Map<string, { frames: number; at: number }>();

  constructor(
    private readonly model: () => Model,
    private readonly sight: Sight,
    private readonly events: AdaptationEvents,
  ) {
    sight.changed = () => this.tellViews();
  }

  receive(message: ServerMessage): void {
    switch (message.type) {
      case 'send': {
        const wish: SendWish = {};
        for (const [source, { layers }] of Object.entries(message.sources)) wish[source as Source] = layers;
        this.events.want(wish);
        break;
      }
      case 'slots':
      case 'answer':
        // Once the page has drawn them; until then they count as seen.
        this.sight.later();
        break;
    }
  }

  /** The server may have forgotten how we show things. */
  again(): void {
    this.views = '';
    this.lastTold = null;
    this.moved.clear();
    this.sight.later();
  }

  counters(counters: readonly Counters[]): void {
    const lines = inbound(counters);
    const now = Date.now();
    this.watch(lines, now);
    const made = counters.filter((c) => c.type === 'media-source' && c.kind === 'video');
    this.filming.value = made.some((c) => (c.framesPerSecond ?? 0) > 0);
    if (!this.lastTold || now - this.lastTold.at >= TELL_EVERY) this.tellStats(lines, now);
  }

  private slots(): Slot[] {
    const { stage, slots } = this.model();
    return stage === 'call' ? slots.filter((s) => s.participant_id !== null) : [];
  }

  private tellViews(): void {
    const slots: SlotView[] = this.slots().map((s) => ({
      slot: s.slot,
      ...this.sight.of(slotView(s.video_mid)),
    }));
    const views = JSON.stringify(slots);
    if (slots.length === 0 || views === this.views) return;
    this.views = views;
    this.events.send({ type: 'view', slots });
  }

  private tellStats(lines: Map<string, Inbound>, now: number): void {
    const last = this.lastTold;
    this.lastTold = { at: now, lines };
    if (!last) return;
    const seconds = (now - last.at) / 1_000;
    const slots: SlotStats[] = [];
    for (const { slot, audio_mid, video_mid } of this.slots()) {
      const concealed = concealedShare(last.lines.get(audio_mid), lines.get(audio_mid));
      const frozen = frozenShare(last.lines.get(video_mid), lines.get(video_mid), seconds);
      if (concealed === undefined && frozen === undefined) continue;
      slots.push({
        slot,
        ...(concealed === undefined ? {} : { concealed }),
        ...(frozen === undefined ? {} : { frozen }),
      });
    }
    if (slots.length > 0) this.events.send({ type: 'stats', slots });
  }

  /** Notices pictures that stand still. */
  private watch(lines: Map<string, Inbound>, now: number): void {
    const paused = this.model().quality?.video === 'paused';
    const hidden = document.visibilityState === 'hidden';
    const still = new Set<string>();
    for (const { video_mid: mid, source } of this.slots()) {
      const frames = lines.get(mid)?.frames ?? 0;
      const last = this.moved.get(mid);
      // Out of sight no picture is sent, and that is no fault of it.
      if (last?.frames !== frames || hidden) {
        this.moved.set(mid, { frames, at: now });
        continue;
      }
      // A shared screen is often still by itself.
      const limit = paused ? PAUSED_AFTER : source === 'screen' && frames > 0 ? Infinity : STILL_AFTER;
      if (now - last.at >= limit) still.add(mid);
    }
    const before = this.still.value;
    if (still.size !== before.size || [...still].some((m) => !before.has(m))) this.still.value = still;
  }
}
