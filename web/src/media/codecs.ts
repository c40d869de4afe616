/**
 * Which codecs are offered. The lists are trimmed because every entry costs
 * time in both parsers: the full set of Chromium makes the server's part of a
 * join three times as long.
 */
export const videoCodecs = ['vp8', 'h264', 'vp9', 'av1'] as const;
export type VideoCodec = (typeof videoCodecs)[number];

interface Codec {
  mimeType: string;
  sdpFmtpLine?: string;
}

const variants: Record<VideoCodec, (c: Codec) => boolean> = {
  vp8: (c) => is(c, 'video/vp8'),
  // Constrained baseline with interleaving off (RFC 6184, mode 1) is what every
  // browser and phone decodes.
  h264: (c) =>
    is(c, 'video/h264') &&
    (c.sdpFmtpLine ?? '').includes('packetization-mode=1') &&
    /42e01f/i.test(c.sdpFmtpLine ?? ''),
  vp9: (c) => is(c, 'video/vp9') && !/profile-id=[1-9]/.test(c.sdpFmtpLine ?? ''),
  av1: (c) => is(c, 'video/av1') && !/profile=[1-9]/.test(c.sdpFmtpLine ?? ''),
};

function is(c: Codec, mimeType: string): boolean {
  return c.mimeType.toLowerCase() === mimeType;
}

/** One entry per wanted codec in the wanted order, then retransmission. */
export function pickVideo<C extends Codec>(capabilities: C[], wanted: readonly VideoCodec[]): C[] {
  const picked = wanted.flatMap((name) => capabilities.filter(variants[name]).slice(0, 1));
  return picked.length === 0 ? [] : [...picked, ...capabilities.filter((c) => is(c, 'video/rtx'))];
}

/** Opus inside redundancy (RFC 2198) where there is any, and plain Opus. */
export function pickAudio<C extends Codec>(capabilities: C[]): C[] {
  return [
    ...capabilities.filter((c) => is(c, 'audio/red')),
    ...capabilities.filter((c) => is(c, 'audio/opus')),
  ];
}

/** VP8 first: cheapest to encode three times. H.264 for senders without it. */
const SEND_ORDER: readonly VideoCodec[] = ['vp8', 'h264'];

/** `forced` comes from `?codec=` and makes the camera send nothing else. */
export function prefer(
  transceiver: RTCRtpTransceiver,
  kind: 'audio' | 'video',
  send: boolean,
  forced?: VideoCodec,
): void {
  // Firefox before 128 has no preferences; its full list works, only slower.
  if (!('setCodecPreferences' in transceiver)) return;
  const capabilities = RTCRtpReceiver.getCapabilities(kind)?.codecs ?? [];
  const wanted = send ? (forced ? [forced] : SEND_ORDER) : videoCodecs;
  const codecs = kind === 'audio' ? pickAudio(capabilities) : pickVideo(capabilities, wanted);
  if (codecs.length === 0) return;
  try {
    transceiver.setCodecPreferences(codecs);
  } catch {
    // A browser may refuse a codec for this direction: its own order is fine.
  }
}

export function parseCodec(name: string | null): VideoCodec | undefined {
  return videoCodecs.find((c) => c === name);
}

/** Three simulcast layers, lowest first as their rids must be offered; bits per second. */
export function cameraEncodings(codec: VideoCodec | undefined): RTCRtpEncodingParameters[] {
  const layers: RTCRtpEncodingParameters[] = [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
    { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_500_000 },
  ];
  // Without a scalability mode Chromium takes several VP9 or AV1 encodings for
  // spatial layers of one stream.
  if (codec !== 'vp9' && codec !== 'av1') return layers;
  return layers.map((l) => ({ ...l, scalabilityMode: 'L1T1' }) as RTCRtpEncodingParameters);
}
