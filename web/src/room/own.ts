import { meter, type StopMeter } from '../media/level';
import { LocalMedia } from '../media/local';
import type { Source } from '../signal/messages';
import type { PageMemory } from './page';
import type { RoomState } from './state';

/** Loud enough to be a voice rather than a room. */
const VOICE = 0.45;

export interface OwnMediaEvents {
  track: (source: Source, track: MediaStreamTrack | null) => void;
  muted: (source: Source, muted: boolean) => void;
}

/** The person's own devices: what the page asks of them, and what it remembers. */
export class OwnMedia {
  private media: LocalMedia | null = null;
  private stopMeter: StopMeter | null = null;

  constructor(
    private readonly state: RoomState,
    private readonly memory: PageMemory,
    private readonly events: OwnMediaEvents,
  ) {}

  /** The devices, taken anew after `close`. */
  get(): LocalMedia {
    if (this.media) return this.media;
    const { on, choice } = this.memory.get();
    const media: LocalMedia = new LocalMedia(
      {
        state: (s) => this.media === media && (this.state.local.value = s),
        track: (source, track) => this.trackChanged(source, track),
        muted: (source, muted) => this.events.muted(source, muted),
      },
      { ...(on ? { on } : {}), ...(choice ? { choice } : {}) },
    );
    this.media = media;
    if (choice) this.state.views.setSpeaker(choice.speaker);
    return media;
  }

  async setMicrophone(on: boolean): Promise<void> {
    await this.get().setMicrophone(on);
    this.remember();
  }

  async setCamera(on: boolean): Promise<void> {
    await this.get().setCamera(on);
    this.remember();
  }

  async choose(kind: 'camera' | 'microphone' | 'speaker', id: string): Promise<void> {
    if (kind === 'speaker') this.state.views.setSpeaker(id);
    await this.get().choose(kind, id);
    this.remember();
  }

  muted(source: Source): boolean {
    return this.media?.muted(source) ?? true;
  }

  /** The level is for checking; in the call it would only cost. */
  stopMetering(): void {
    this.stopMeter?.();
    this.stopMeter = null;
    this.state.level.value = 0;
  }

  close(): void {
    this.stopMetering();
    this.media?.close();
    this.media = null;
  }

  private trackChanged(source: Source, track: MediaStreamTrack | null): void {
    if (source === 'camera') this.state.views.set('self', [track]);
    if (source === 'screen') this.state.views.set('screen', [track]);
    if (source === 'microphone') this.measure(track);
    this.events.track(source, track);
  }

  private measure(track: MediaStreamTrack | null): void {
    this.stopMetering();
    if (!track || this.state.phase.value !== 'check') return;
    this.stopMeter = meter(track, (level) => {
      this.state.level.value = level;
      if (level > VOICE) this.state.heard.value = true;
    });
  }

  private remember(): void {
    const { on, choice } = this.state.local.value;
    this.memory.set({ on, choice });
  }
}
