import type { Publication, Source, WantedLayer } from '../signal/messages';
import {
  adapted,
  cameraLayers,
  encodings,
  LEAN_VOICE,
  narrow,
  offerRepeats,
  prefer,
  screenLayers,
  voice,
  type VideoCodec,
} from './codecs';
import type { Tracks } from './local';

/** The encodings the server wants, by source. */
export type SendWish = Partial<Record<Source, readonly WantedLayer[]>>;

export interface PeerEvents {
  connection: (state: RTCPeerConnectionState) => void;
}

export interface PeerOptions {
  /** Sources this person may send; empty for an observer. */
  sources: readonly Source[];
  codec: VideoCodec | undefined;
  slots: number;
}

/**
 * One RTCPeerConnection in the shape of docs/signaling.md, section 1: our own
 * m-lines are sendonly, the slots are recvonly pairs, none is ever inactive
 * (the server would stop it for good), and we always offer.
 */
export class Peer {
  private readonly pc: RTCPeerConnection;
  private readonly own = new Map<Source, RTCRtpTransceiver>();
  private slotCount = 0;
  private pending = false;
  /** What the server wants of our pictures, as it said last. */
  private wanted: SendWish = {};
  /** Our own way out is narrow. */
  private thin = false;
  private starved = false;
  private voiceAs = '';
  /** setParameters of a sender must not overlap. */
  private tuning: Promise<void> = Promise.resolve();

  constructor(
    private readonly options: PeerOptions,
    events: PeerEvents,
  ) {
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
    this.pc.onconnectionstatechange = () => events.connection(this.pc.connectionState);
    // Both lines exist from the start, with or without a device behind them, so
    // that turning one on later needs no negotiation.
    this.addOwn('microphone');
    this.addOwn('camera');
    this.addSlots(options.slots);
  }

  get state(): RTCPeerConnectionState {
    return this.pc.connectionState;
  }

  /** Whether an answer has ever been applied. */
  get answered(): boolean {
    return this.pc.remoteDescription !== null;
  }

  /** Whether lines have been added that no answer has covered yet. */
  get owesOffer(): boolean {
    return this.pending;
  }

  get slots(): number {
    return this.slotCount;
  }

  addSlots(count: number): void {
    for (let i = 0; i < count; i++) {
      prefer(this.pc.addTransceiver('audio', { direction: 'recvonly' }), 'audio', false);
      prefer(this.pc.addTransceiver('video', { direction: 'recvonly' }), 'video', false);
    }
    this.slotCount += count;
    this.pending = true;
  }

  publishes(source: Source): boolean {
    return this.own.has(source);
  }

  /** Adds the lines for a screen and its sound. Reports whether an offer is needed. */
  addScreen(): boolean {
    const before = this.own.size;
    this.addOwn('screen');
    this.addOwn('screen_audio');
    return this.own.size > before;
  }

  async setTrack(source: Source, track: MediaStreamTrack | null): Promise<void> {
    if (this.pc.signalingState === 'closed') return;
    await this.own.get(source)?.sender.replaceTrack(track);
    if (track) this.tune(source);
  }

  /** Sends what is wanted and no more, of the sources named. */
  want(wish: SendWish): void {
    this.wanted = wish;
    for (const source of this.own.keys()) this.tune(source);
  }

  async setTracks(tracks: Tracks): Promise<void> {
    for (const source of this.own.keys()) await this.setTrack(source, tracks[source]);
  }

  async offer(muted: (source: Source) => boolean): Promise<{ sdp: string; publications: Publication[] }> {
    const { sdp } = await this.pc.createOffer();
    try {
      await this.pc.setLocalDescription({ type: 'offer', sdp: offerRepeats(sdp ?? '') });
    } catch {
      // A browser may insist on its own words.
      await this.pc.setLocalDescription();
    }
    return this.offered(muted);
  }

  /** The offer made last, with what is muted by now. */
  offered(muted: (source: Source) => boolean): { sdp: string; publications: Publication[] } {
    const publications: Publication[] = [];
    for (const [source, transceiver] of this.own) {
      if (transceiver.mid !== null) publications.push({ mid: transceiver.mid, source, muted: muted(source) });
    }
    return { sdp: this.pc.localDescription?.sdp ?? '', publications };
  }

  async answer(sdp: string): Promise<void> {
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
    this.pending = false;
    this.tune('microphone');
  }

  /** Takes back an offer that the server did not accept. */
  async rollback(): Promise<void> {
    if (this.pc.signalingState === 'have-local-offer')
      await this.pc.setLocalDescription({ type: 'rollback' });
  }

  track(mid: string): MediaStreamTrack | null {
    return this.pc.getTransceivers().find((t) => t.mid === mid)?.receiver.track ?? null;
  }

  stats(): Promise<RTCStatsReport> {
    return this.pc.getStats();
  }

  close(): void {
    this.pc.onconnectionstatechange = null;
    this.pc.close();
  }

  private addOwn(source: Source): void {
    if (this.own.has(source) || !this.options.sources.includes(source)) return;
    const kind = source === 'camera' || source === 'screen' ? 'video' : 'audio';
    const codec = kind === 'video' ? this.options.codec : undefined;
    const transceiver = this.pc.addTransceiver(kind, {
      direction: 'sendonly',
      ...(kind === 'video' ? { sendEncodings: encodings(layersOf(source, null), codec) } : {}),
    });
    prefer(transceiver, kind, true, codec);
    this.own.set(source, transceiver);
    this.pending = true;
  }

  /** Where our own way out is narrow the voice takes less, and where it is more so there is no picture. */
  spare(thin: boolean, starved: boolean): void {
    if (this.thin === thin && this.starved === starved) return;
    this.thin = thin;
    this.starved = starved;
    for (const source of this.own.keys()) this.tune(source);
  }

  private tune(source: Source): void {
    this.tuning = this.tuning.then(() => this.setEncodings(source)).catch(() => undefined);
  }

  private async setEncodings(source: Source): Promise<void> {
    const sender = this.own.get(source)?.sender;
    if (!sender || this.pc.signalingState === 'closed') return;
    if (source === 'microphone') {
      await this.setVoice(sender);
      return;
    }
    const parameters = sender.getParameters();
    const next = adapted(
      parameters.encodings,
      layersOf(source, sender.track),
      this.wanted[source],
      this.starved,
    );
    const preference = preferenceOf(source);
    if (!next && (preference === undefined || parameters.degradationPreference === preference)) return;
    if (next) parameters.encodings = next;
    if (preference !== undefined) parameters.degradationPreference = preference;
    await sender.setParameters(parameters);
  }

  private async setVoice(sender: RTCRtpSender): Promise<void> {
    const asked = this.wanted.microphone?.[0]?.max_bitrate;
    const lean = this.thin || narrow(this.wanted.camera) || (asked ?? Infinity) <= LEAN_VOICE;
    const key = `${lean} ${asked}`;
    if (key === this.voiceAs || !this.answered) return;
    const parameters = sender.getParameters();
    const [first] = parameters.encodings;
    if (!first) return;
    const opus = parameters.codecs.find((c) => c.mimeType.toLowerCase() === 'audio/opus');
    parameters.encodings = [voice(first, lean, asked, opus && bare(opus))];
    try {
      await sender.setParameters(parameters);
    } catch {
      // Not every browser changes the codec of a sender.
      const again = sender.getParameters();
      again.encodings = [voice(first, lean, asked, undefined)];
      await sender.setParameters(again);
    }
    this.voiceAs = key;
  }
}

/** A codec as setParameters takes it. */
function bare({ mimeType, clockRate, channels, sdpFmtpLine }: RTCRtpCodecParameters): RTCRtpCodec {
  return { mimeType, clockRate, ...(channels ? { channels } : {}), ...(sdpFmtpLine ? { sdpFmtpLine } : {}) };
}

/** A face is read by its movement, a screen by its letters. */
function preferenceOf(source: Source): RTCDegradationPreference | undefined {
  if (source === 'camera') return 'maintain-framerate';
  return source === 'screen' ? 'maintain-resolution' : undefined;
}

function layersOf(source: Source, track: MediaStreamTrack | null) {
  if (source === 'screen') return screenLayers();
  if (source !== 'camera') return [];
  const { width = 0, height = 0 } = track?.getSettings() ?? {};
  return cameraLayers(Math.min(width, height));
}
