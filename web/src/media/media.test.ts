import { describe, expect, it } from 'vitest';
import { cameraEncodings, parseCodec, pickAudio, pickVideo, videoCodecs } from './codecs';
import { problemOf } from './devices';
import { loudness } from './level';
import { isSilent, judge, sample, steady, type Sample } from './quality';

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
    expect(cameraEncodings(undefined).map((e) => e.rid)).toEqual(['q', 'h', 'f']);
    expect(cameraEncodings('vp9')[0]).toMatchObject({ rid: 'q', scalabilityMode: 'L1T1' });
    expect(cameraEncodings('vp8')[0]).not.toHaveProperty('scalabilityMode');
  });

  it('knows its names', () => {
    expect(parseCodec('h264')).toBe('h264');
    expect(parseCodec('theora')).toBeUndefined();
    expect(parseCodec(null)).toBeUndefined();
  });
});

describe('quality', () => {
  const at = (more: Partial<Sample>): Sample => ({
    at: 0,
    bytesSent: 0,
    bytesReceived: 0,
    packetsReceived: 0,
    packetsLost: 0,
    roundTrip: 40,
    remoteLoss: 0,
    ...more,
  });
  const zero = at({});

  it.each([
    [{ packetsReceived: 100, bytesReceived: 1 }, 'good'],
    [{ packetsReceived: 92, packetsLost: 8, bytesReceived: 1 }, 'fair'],
    [{ packetsReceived: 80, packetsLost: 20, bytesReceived: 1 }, 'poor'],
    [{ packetsReceived: 100, roundTrip: 400, bytesReceived: 1 }, 'fair'],
    [{ packetsReceived: 100, roundTrip: 900, bytesReceived: 1 }, 'poor'],
    [{ packetsReceived: 100, remoteLoss: 0.3, bytesReceived: 1 }, 'poor'],
    [{ roundTrip: null }, 'unknown'],
    [{ bytesSent: 50_000 }, 'lost'],
  ] as const)('judges %o as %s', (more, quality) => expect(judge(zero, at(more))).toBe(quality));

  it('is not silent while nothing is sent', () => {
    expect(isSilent(zero, at({ bytesSent: 300 }))).toBe(false);
    expect(isSilent(zero, at({ bytesSent: 5_000, bytesReceived: 40 }))).toBe(false);
    expect(isSilent(zero, at({ bytesSent: 5_000 }))).toBe(true);
  });

  it('changes its word only on the second sight, but tells a loss at once', () => {
    expect(steady('unknown', ['fair'])).toBe('fair');
    expect(steady('good', ['good', 'fair'])).toBe('good');
    expect(steady('good', ['fair', 'fair'])).toBe('fair');
    expect(steady('good', ['good', 'lost'])).toBe('lost');
  });

  it('adds up the counters', () => {
    const s = sample(
      [
        {
          type: 'candidate-pair',
          state: 'succeeded',
          nominated: true,
          bytesSent: 10,
          bytesReceived: 20,
          currentRoundTripTime: 0.05,
        },
        { type: 'candidate-pair', state: 'waiting', bytesSent: 99, nominated: false },
        { type: 'inbound-rtp', packetsReceived: 5, packetsLost: 1 },
        { type: 'inbound-rtp', packetsReceived: 7, packetsLost: 0 },
        { type: 'remote-inbound-rtp', fractionLost: 0.1 },
        { type: 'remote-inbound-rtp', fractionLost: 0.02 },
      ],
      5,
    );
    expect(s).toEqual({
      at: 5,
      bytesSent: 10,
      bytesReceived: 20,
      packetsReceived: 12,
      packetsLost: 1,
      roundTrip: 50,
      remoteLoss: 0.1,
    });
  });
});

it('measures loudness', () => {
  expect(loudness(new Float32Array(64))).toBe(0);
  expect(loudness(new Float32Array(64).fill(0.9))).toBe(1);
  expect(loudness(new Float32Array(64).fill(0.02))).toBeCloseTo(0.54, 1);
});
