import { describe, expect, it } from 'vitest';
import {
  adapted,
  cameraLayers,
  encodings,
  narrow,
  offerRepeats,
  parseCodec,
  pickAudio,
  pickVideo,
  screenLayers,
  videoCodecs,
  voice,
} from './codecs';
import { problemOf } from './devices';
import { loudness } from './level';
import { available, concealedShare, frozenShare, inbound, isSilent, sample } from './quality';
import { Uplink } from './uplink';

const named = (name: string, message = '') => Object.assign(new Error(message), { name });

describe('problemOf', () => {
  it.each([
    [named('NotAllowedError', 'Permission denied'), 'denied'],
    [named('NotAllowedError', 'Permission denied by system'), 'deniedSystem'],
    [named('NotAllowedError', 'Permission dismissed'), 'dismissed'],
    [named('NotFoundError'), 'missing'],
    [named('OverconstrainedError'), 'missing'],
    [named('NotReadableError'), 'busy'],
    [named('AbortError'), 'busy'],
    [named('SecurityError'), 'insecure'],
    [new TypeError('x'), 'unknown'],
    ['odd', 'unknown'],
  ])('reads %s as %s', (error, problem) => expect(problemOf(error)).toBe(problem));
});

describe('codecs', () => {
  const video = [
    { mimeType: 'video/VP8' },
    { mimeType: 'video/rtx' },
    { mimeType: 'video/VP9', sdpFmtpLine: 'profile-id=0' },
    { mimeType: 'video/VP9', sdpFmtpLine: 'profile-id=2' },
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=0;profile-level-id=42e01f' },
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1;profile-level-id=42E01F' },
    { mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1;profile-level-id=640034' },
    { mimeType: 'video/AV1', sdpFmtpLine: 'level-idx=5;profile=1' },
    { mimeType: 'video/AV1', sdpFmtpLine: 'level-idx=5;profile=0' },
    { mimeType: 'video/red' },
    { mimeType: 'video/ulpfec' },
  ];

  it('offers each codec once, and no error correction we do not use', () => {
    expect(pickVideo(video, videoCodecs)).toEqual([video[0], video[5], video[2], video[8], video[1]]);
    expect(pickVideo(video, ['av1'])).toEqual([video[8], video[1]]);
    expect(pickVideo([{ mimeType: 'video/rtx' }], videoCodecs)).toEqual([]);
  });

  it('wraps Opus in redundancy where there is any', () => {
    const audio = [{ mimeType: 'audio/opus' }, { mimeType: 'audio/G722' }, { mimeType: 'audio/red' }];
    expect(pickAudio(audio).map((c) => c.mimeType)).toEqual(['audio/red', 'audio/opus']);
    expect(pickAudio(audio.slice(0, 2)).map((c) => c.mimeType)).toEqual(['audio/opus']);
  });

  it('offers simulcast lowest first', () => {
    const all = cameraLayers(0);
    expect(encodings(all, undefined).map((e) => e.rid)).toEqual(['q', 'h', 'f']);
    expect(encodings(all, 'vp9')[0]).toMatchObject({ rid: 'q', scalabilityMode: 'L1T1' });
    expect(encodings(all, 'vp8')[0]).not.toHaveProperty('scalabilityMode');
  });

  it.each([
    [0, [4, 2, 1], 3],
    [1080, [4, 2, 1], 3],
    [720, [4, 2, 1], 3],
    [480, [2, 1, 1], 2],
    [360, [2, 1, 1], 2],
    [240, [1, 1, 1], 1],
  ])('sends a picture of %i lines in sizes %o, %i of them', (lines, scales, count) => {
    const layers = cameraLayers(lines);
    expect(layers.map((l) => l.scaleResolutionDownBy)).toEqual(scales);
    expect(layers.filter((l) => l.active)).toHaveLength(count);
  });

  it('sends what is wanted, within what the picture is worth', () => {
    const now = encodings(cameraLayers(720), undefined);
    expect(adapted(now, cameraLayers(720), undefined)).toBeNull();
    const wanted = [
      { rid: 'q', active: true, max_bitrate: 90_000 },
      { rid: 'h', active: true, max_bitrate: 9_000_000 },
      { rid: 'f', active: false, max_bitrate: null },
    ];
    const next = adapted(now, cameraLayers(720), wanted)!;
    expect(next.map((e) => [e.active, e.maxBitrate])).toEqual([
      [true, 90_000],
      [true, 500_000],
      [false, 1_500_000],
    ]);
    // The bound goes when the server no longer has one.
    const free = wanted.map((w) => ({ ...w, active: true, max_bitrate: null }));
    expect(adapted(next, cameraLayers(720), free)).toEqual(now);
    // A small picture has no third size, whatever is wanted.
    expect(adapted(now, cameraLayers(480), free)!.map((e) => e.active)).toEqual([true, true, false]);
  });

  it('bounds a sender without names, and sound', () => {
    const one = adapted([{ active: true }], [], [{ rid: null, active: true, max_bitrate: 16_000 }]);
    expect(one).toEqual([{ active: true, maxBitrate: 16_000 }]);
    expect(adapted([{ active: true }], [], undefined)).toBeNull();
    expect(screenLayers().map((l) => l.rid)).toEqual(['q', 'f']);
  });

  it('offers to repeat the sound that is sent, and that alone', () => {
    const line = (kind: string, direction: string) =>
      `m=${kind} 9 X 63 111\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\na=${direction}\r\n`;
    const offer = `v=0\r\n${line('audio', 'sendonly')}${line('audio', 'recvonly')}${line('video', 'sendonly')}`;
    const asked = offerRepeats(offer);
    expect(asked.match(/a=rtcp-fb:111 nack\r\n/g)).toHaveLength(1);
    expect(asked.indexOf('nack')).toBeLessThan(asked.indexOf('sendonly'));
    expect(asked.replace('a=rtcp-fb:111 nack\r\n', '')).toBe(offer);
    expect(offerRepeats(asked)).toBe(asked);
  });

  it('makes a voice lean where somebody has a narrow way, and free again after', () => {
    const layer = (active: boolean, max_bitrate: number | null) => ({ rid: 'q', active, max_bitrate });
    expect(narrow([layer(true, 60_000), layer(false, null)])).toBe(true);
    expect(narrow([layer(true, 60_000), layer(true, null)])).toBe(false);
    expect(narrow([layer(false, 60_000)])).toBe(false);
    expect(narrow(undefined)).toBe(false);
    const opus = { mimeType: 'audio/opus', clockRate: 48_000, channels: 2 };
    const lean = voice({ active: true }, true, null, opus);
    expect(lean).toEqual({ active: true, adaptivePtime: true, maxBitrate: 24_000, codec: opus });
    expect(voice(lean, false, undefined, opus)).toEqual({ active: true, adaptivePtime: true });
    expect(voice(lean, true, 12_000, undefined)).toEqual({
      active: true,
      adaptivePtime: true,
      maxBitrate: 12_000,
    });
  });

  it('knows its names', () => {
    expect(parseCodec('h264')).toBe('h264');
    expect(parseCodec('theora')).toBeUndefined();
    expect(parseCodec(null)).toBeUndefined();
  });
});

describe('the counters', () => {
  const zero = { bytesSent: 0, bytesReceived: 0 };

  it('are not silent while nothing is sent', () => {
    expect(isSilent(zero, { bytesSent: 300, bytesReceived: 0 })).toBe(false);
    expect(isSilent(zero, { bytesSent: 5_000, bytesReceived: 40 })).toBe(false);
    expect(isSilent(zero, { bytesSent: 5_000, bytesReceived: 0 })).toBe(true);
  });

  it('are those of the pair in use, and of what comes by m-line', () => {
    const report = [
      { type: 'candidate-pair', state: 'in-progress', nominated: true, bytesSent: 10, bytesReceived: 20 },
      { type: 'candidate-pair', state: 'waiting', nominated: false, bytesSent: 99 },
      { type: 'inbound-rtp', mid: '2', packetsReceived: 5, concealedSamples: 9, totalSamplesReceived: 90 },
      { type: 'inbound-rtp', mid: '3', packetsReceived: 7, framesDecoded: 4, totalFreezesDuration: 0.5 },
      { type: 'inbound-rtp', packetsReceived: 7 },
      { type: 'outbound-rtp', mid: '0' },
    ];
    expect(sample(report)).toEqual({ bytesSent: 10, bytesReceived: 20 });
    expect([...inbound(report)]).toEqual([
      ['2', { packets: 5, concealed: 9, samples: 90, frames: 0, frozen: 0 }],
      ['3', { packets: 7, concealed: 0, samples: 0, frames: 4, frozen: 0.5 }],
    ]);
  });

  it('tell what the way out carries', () => {
    const pair = { type: 'candidate-pair', nominated: true, availableOutgoingBitrate: 80_000 };
    expect(available([{ ...pair, nominated: false }, pair])).toBe(80_000);
    expect(available([{ type: 'candidate-pair', nominated: true }])).toBeUndefined();
  });

  it('tell how much of the sound was made up, where any came', () => {
    const before = { packets: 10, concealed: 100, samples: 1_000, frames: 0, frozen: 0 };
    const after = { ...before, packets: 20, concealed: 150, samples: 2_000 };
    expect(concealedShare(before, after)).toBe(0.05);
    expect(concealedShare(before, { ...after, packets: 10 })).toBeUndefined();
    expect(concealedShare(undefined, after)).toBeUndefined();
    // A new connection begins anew.
    expect(concealedShare(after, before)).toBeUndefined();
  });

  it('tell how long the picture stood still, where any came', () => {
    const before = { packets: 10, concealed: 0, samples: 0, frames: 50, frozen: 1 };
    expect(frozenShare(before, { ...before, packets: 20, frames: 90, frozen: 1.5 }, 5)).toBe(0.1);
    expect(frozenShare(before, { ...before, packets: 20 }, 5)).toBe(1);
    expect(frozenShare(before, before, 5)).toBeUndefined();
  });
});

it('measures loudness', () => {
  expect(loudness(new Float32Array(64))).toBe(0);
  expect(loudness(new Float32Array(64).fill(0.9))).toBe(1);
  expect(loudness(new Float32Array(64).fill(0.02))).toBeCloseTo(0.54, 1);
});

describe('the way out', () => {
  /** What is spared after so many seconds of each estimate. */
  const after = (...steps: [kbps: number | undefined, seconds: number][]) => {
    const uplink = new Uplink();
    let now = 0;
    return steps.map(([kbps, seconds]) => {
      for (let i = 0; i < 2 * seconds; i++)
        uplink.update(kbps === undefined ? undefined : kbps * 1_000, (now += 500));
      return [uplink.thin, uplink.starved];
    });
  };

  it('leaves a voice less where it is narrow, until it is wide again', () => {
    expect(after([300, 5], [80, 1], [120, 5], [160, 1], [undefined, 9])).toEqual([
      [false, false],
      [true, false],
      [true, false],
      [false, false],
      [false, false],
    ]);
  });

  it('lets the picture rest where only a voice fits, and tries again, later each time', () => {
    expect(after([40, 2], [40, 2], [40, 8], [40, 2], [40, 15], [40, 6]).map(([, s]) => s)).toEqual([
      false,
      true,
      true,
      false,
      true,
      true,
    ]);
    expect(after([40, 4], [300, 12]).at(-1)).toEqual([false, false]);
  });
});
