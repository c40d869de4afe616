import type { WantedLayer } from '../signal/messages';

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

/**
 * Offers to send a lost sound again (RFC 4585, section 4.2) where we send one.
 * Browsers can, and do not offer it by themselves.
 */
export function offerRepeats(sdp: string): string {
  return sdp
    .split(/(?=^m=)/m)
    .map((section) => {
      const opus = /^a=rtpmap:(\d+) opus\//im.exec(section)?.[1];
      if (!section.startsWith('m=audio') || !opus || !/^a=sendonly\r?$/m.test(section)) return section;
      if (new RegExp(`^a=rtcp-fb:${opus} nack\\r?$`, 'm').test(section)) return section;
      return section.replace(new RegExp(`^(a=rtpmap:${opus} .*\r\n)`, 'm'), `$1a=rtcp-fb:${opus} nack\r\n`);
    })
    .join('');
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

/** One encoding as we would send it: its name, the largest part of the picture, the most it may take (bit/s). */
interface Layer {
  rid: string;
  scaleResolutionDownBy: number;
  maxBitrate: number;
  maxFramerate?: number;
  /** False: at this size it would add nothing. */
  active: boolean;
}

/** What each camera encoding is worth, lowest first as their rids must be offered; about 180, 360 and 720 lines. */
const CAMERA = [
  { rid: 'q', maxBitrate: 150_000 },
  { rid: 'h', maxBitrate: 500_000 },
  { rid: 'f', maxBitrate: 1_500_000 },
] as const;

/**
 * The encodings of a camera whose picture has `lines` on its short side (0: not
 * known yet): three from 720, two from 360, else one. The offer always names
 * three, as their number can't be changed later; what is too many stays inactive.
 */
export function cameraLayers(lines: number): Layer[] {
  const count = lines === 0 || lines >= 720 ? 3 : lines >= 360 ? 2 : 1;
  return CAMERA.map((layer, i) => ({
    ...layer,
    scaleResolutionDownBy: Math.max(1, 2 ** (count - 1 - i)),
    active: i < count,
  }));
}

/** A screen: as it is for reading, and a small slow one for links that carry no more. */
export function screenLayers(): Layer[] {
  return [
    { rid: 'q', scaleResolutionDownBy: 2, maxBitrate: 250_000, maxFramerate: 5, active: true },
    { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 2_500_000, maxFramerate: 15, active: true },
  ];
}

/** As addTransceiver takes them. */
export function encodings(layers: Layer[], codec: VideoCodec | undefined): RTCRtpEncodingParameters[] {
  // Without a scalability mode Chromium takes several VP9 or AV1 encodings for
  // spatial layers of one stream.
  if (codec !== 'vp9' && codec !== 'av1') return layers;
  return layers.map((l) => ({ ...l, scalabilityMode: 'L1T1' }) as RTCRtpEncodingParameters);
}

/**
 * The encodings to set: `now` are the sender's, `own` what the picture is worth,
 * `wanted` the server's word, if there is any; starved, none is sent. Null when nothing changes.
 */
export function adapted(
  now: readonly RTCRtpEncodingParameters[],
  own: readonly Layer[],
  wanted: readonly WantedLayer[] | undefined,
  starved = false,
): RTCRtpEncodingParameters[] | null {
  const next = now.map((encoding) => {
    const layer = own.find((l) => l.rid === encoding.rid) ?? (own.length === 1 ? own[0] : undefined);
    const asked = wanted?.find((w) => w.rid === (encoding.rid ?? null));
    if (!layer && !asked) return encoding;
    const most = Math.min(layer?.maxBitrate ?? Infinity, asked?.max_bitrate ?? Infinity);
    return {
      ...encoding,
      active: !starved && (layer?.active ?? true) && (asked?.active ?? true),
      ...(Number.isFinite(most) ? { maxBitrate: most } : {}),
      ...(layer ? { scaleResolutionDownBy: layer.scaleResolutionDownBy } : {}),
    };
  });
  return next.every((n, i) => same(n, now[i])) ? null : next;
}

function same(a: RTCRtpEncodingParameters, b: RTCRtpEncodingParameters | undefined): boolean {
  return (
    a.active === b?.active &&
    a.maxBitrate === b?.maxBitrate &&
    (a.scaleResolutionDownBy ?? 1) === (b?.scaleResolutionDownBy ?? 1)
  );
}

/** What a voice may take with everything around it where the way is narrow (bit/s): frames of 60 ms. */
export const LEAN_VOICE = 24_000;
/** A camera that nobody can take more of than this (bit/s) shows that somebody's way is narrow. */
const NARROW = 64_000;

/** Whether the way to somebody is so narrow that the voice must make room. */
export function narrow(camera: readonly WantedLayer[] | undefined): boolean {
  const bounds = (camera ?? []).filter((l) => l.active).map((l) => l.max_bitrate ?? Infinity);
  return bounds.length > 0 && Math.max(...bounds) <= NARROW;
}

/** The microphone's encoding: frames as long as the way needs, and no redundancy where it is narrow. */
export function voice(
  now: RTCRtpEncodingParameters,
  lean: boolean,
  asked: number | null | undefined,
  opus: RTCRtpCodec | undefined,
): Voice {
  const rest: Voice = { ...now };
  delete rest.maxBitrate;
  delete rest.codec;
  const most = Math.min(asked ?? Infinity, lean ? LEAN_VOICE : Infinity);
  return {
    ...rest,
    adaptivePtime: true,
    ...(Number.isFinite(most) ? { maxBitrate: most } : {}),
    ...(lean && opus ? { codec: opus } : {}),
  };
}

/** WebRTC Extensions, 5.2 and 5.6: not in TypeScript's library. */
type Voice = RTCRtpEncodingParameters & { adaptivePtime?: boolean; codec?: RTCRtpCodec };
