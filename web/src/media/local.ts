import type { Source } from '../signal/messages';
import {
  listDevices,
  mediaDevices,
  open,
  type Capture,
  type Choice,
  type DeviceList,
  type Problem,
} from './devices';

/** What the person's own devices are doing, as plain values for the page. */
export interface LocalState {
  starting: boolean;
  /** Whether the person wants it on; it may still have a problem. */
  on: Record<Capture, boolean>;
  /** Whether a live track is there. */
  live: Record<Capture, boolean>;
  problems: Record<Capture, Problem | null>;
  /** The device vanished in use; cleared by the next successful start. */
  lost: Record<Capture, boolean>;
  sharing: boolean;
  devices: DeviceList;
  choice: Choice;
}

export type Tracks = Record<Source, MediaStreamTrack | null>;

export interface LocalEvents {
  state: (s: LocalState) => void;
  /** A track was put in, replaced, or taken away. */
  track: (source: Source, track: MediaStreamTrack | null) => void;
  /** Muted or unmuted; what the server is told with `media`. */
  muted: (source: Source, muted: boolean) => void;
}

export const idleState: LocalState = {
  starting: false,
  on: { microphone: true, camera: true },
  live: { microphone: false, camera: false },
  problems: { microphone: null, camera: null },
  lost: { microphone: false, camera: false },
  sharing: false,
  devices: { cameras: [], microphones: [], speakers: [] },
  choice: { camera: '', microphone: '', speaker: '' },
};

/**
 * The owner of the local tracks. Muting the microphone keeps its track and
 * sends silence, so that unmuting takes no time; turning the camera off stops
 * the device, so that its light goes out.
 */
export class LocalMedia {
  readonly tracks: Tracks = { microphone: null, camera: null, screen: null, screen_audio: null };
  private state: LocalState;
  private closed = false;
  private readonly told: Record<Source, boolean> = {
    microphone: true,
    camera: true,
    screen: true,
    screen_audio: true,
  };
  /** Only the newest attempt to open a device may keep what it gets. */
  private turn: Record<Capture, number> = { microphone: 0, camera: 0 };
  private readonly refresh = () => void this.list();

  constructor(
    private readonly events: LocalEvents,
    preset: Partial<Pick<LocalState, 'on' | 'choice'>> = {},
  ) {
    this.state = { ...idleState, ...preset };
    mediaDevices()?.addEventListener('devicechange', this.refresh);
  }

  /** Whether the others get nothing from this source. */
  muted(source: Source): boolean {
    const wanted = source === 'microphone' || source === 'camera' ? this.state.on[source] : true;
    return !wanted || this.tracks[source] === null;
  }

  /** Opens whatever is wanted and not live yet. */
  async start(want: Record<Capture, boolean> = this.state.on): Promise<void> {
    const need = {
      microphone: want.microphone && !this.state.live.microphone,
      camera: want.camera && !this.state.live.camera,
    };
    await this.acquire(need);
  }

  async setMicrophone(on: boolean): Promise<void> {
    this.update({ on: { ...this.state.on, microphone: on } });
    const track = this.tracks.microphone;
    // A track that is disabled sends silence at once, and unmutes without a gap.
    if (track) track.enabled = on;
    else if (on) await this.acquire({ microphone: true, camera: false });
  }

  async setCamera(on: boolean): Promise<void> {
    this.update({ on: { ...this.state.on, camera: on } });
    if (on) {
      await this.acquire({ microphone: false, camera: !this.state.live.camera });
    } else {
      this.turn.camera++;
      this.put('camera', null);
    }
  }

  /** Changes a device; the old one goes on until the new one is there. */
  async choose(kind: keyof Choice, id: string): Promise<void> {
    this.update({ choice: { ...this.state.choice, [kind]: id } });
    if (kind === 'speaker' || !this.state.on[kind]) return;
    // Some cameras and phones open only one device at a time.
    if (kind === 'camera') this.put('camera', null);
    await this.acquire({ microphone: kind === 'microphone', camera: kind === 'camera' });
  }

  /** Resolves to whether a screen is shared; false when the person changed their mind. */
  async startScreen(): Promise<boolean> {
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getDisplayMedia({
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: true,
      });
    } catch (error) {
      if (error instanceof Error && error.name === 'NotAllowedError') return false;
      throw error;
    }
    const picture = stream.getVideoTracks()[0] ?? null;
    const sound = stream.getAudioTracks()[0] ?? null;
    if (this.isClosed() || !picture) {
      stream.getTracks().forEach((t) => t.stop());
      return false;
    }
    picture.contentHint = 'detail';
    // The browser's own "stop sharing" bar.
    picture.onended = () => this.stopScreen();
    this.put('screen', picture);
    this.put('screen_audio', sound);
    this.update({ sharing: true });
    return true;
  }

  stopScreen(): void {
    if (!this.state.sharing) return;
    this.put('screen', null);
    this.put('screen_audio', null);
    this.update({ sharing: false });
  }

  /** Stops every device. */
  close(): void {
    this.closed = true;
    mediaDevices()?.removeEventListener('devicechange', this.refresh);
    for (const source of Object.keys(this.tracks) as Source[]) this.put(source, null);
    this.update({ sharing: false });
  }

  /** A call, because the answer may change while something is awaited. */
  private isClosed(): boolean {
    return this.closed;
  }

  private async acquire(need: Record<Capture, boolean>): Promise<void> {
    const wanted = (['microphone', 'camera'] as const).filter((c) => need[c]);
    if (wanted.length === 0 || this.closed) return;
    const turn = { ...this.turn };
    for (const c of wanted) turn[c] = ++this.turn[c];
    this.update({ starting: true });
    const got = await open(need, this.state.choice);
    for (const capture of wanted) {
      const result = got[capture];
      if (this.isClosed() || this.turn[capture] !== turn[capture] || !this.state.on[capture]) {
        if (result instanceof MediaStreamTrack) result.stop();
      } else {
        this.settle(capture, result);
      }
    }
    this.update({ starting: false });
    await this.list();
  }

  private settle(capture: Capture, result: MediaStreamTrack | Problem | null): void {
    const track = result instanceof MediaStreamTrack ? result : null;
    this.update({
      problems: { ...this.state.problems, [capture]: result instanceof MediaStreamTrack ? null : result },
      lost: { ...this.state.lost, [capture]: false },
    });
    if (track) {
      if (capture === 'camera') track.contentHint = 'motion';
      track.onended = () => void this.vanished(capture, track);
    }
    this.put(capture, track);
  }

  /** A device was unplugged: fall back to another one, and say so if there is none. */
  private async vanished(capture: Capture, track: MediaStreamTrack): Promise<void> {
    if (this.tracks[capture] !== track) return;
    this.put(capture, null);
    this.update({ choice: { ...this.state.choice, [capture]: '' } });
    await this.acquire({ microphone: capture === 'microphone', camera: capture === 'camera' });
    if (!this.state.live[capture]) this.update({ lost: { ...this.state.lost, [capture]: true } });
  }

  private put(source: Source, track: MediaStreamTrack | null): void {
    const old = this.tracks[source];
    if (old === track) return;
    if (old) {
      old.onended = null;
      old.stop();
    }
    this.tracks[source] = track;
    if (source === 'microphone' || source === 'camera') {
      this.update({ live: { ...this.state.live, [source]: track !== null } });
    }
    this.events.track(source, track);
  }

  private async list(): Promise<void> {
    const devices = await listDevices().catch(() => this.state.devices);
    if (!this.closed) this.update({ devices });
  }

  private update(change: Partial<LocalState>): void {
    this.state = { ...this.state, ...change };
    this.events.state(this.state);
    for (const source of Object.keys(this.told) as Source[]) {
      const muted = this.muted(source);
      if (this.told[source] === muted) continue;
      this.told[source] = muted;
      this.events.muted(source, muted);
    }
  }
}
