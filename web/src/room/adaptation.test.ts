// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Sight } from '../media/sight';
import type { ClientMessage, QualityInfo, Slot } from '../signal/messages';
import { Adaptation } from './adaptation';
import { advice, cover } from './advice';
import { outside, type Model, type Tile } from './model';

const slot = (n: number, who: string | null, source: Slot['source'] = 'camera'): Slot => ({
  slot: n,
  audio_mid: `a${n}`,
  video_mid: `v${n}`,
  participant_id: who,
  source: who === null ? null : source,
});
const fine: QualityInfo = {
  level: 'excellent',
  score: 95,
  why: null,
  direction: null,
  video: 'full',
  audio: 'full',
};
const settle = (ms = 500) => vi.advanceTimersByTime(ms);

/** An element of a size, without layout. */
function element(width: number, height: number): HTMLVideoElement {
  const e = document.createElement('video');
  Object.defineProperty(e, 'clientWidth', { value: width });
  Object.defineProperty(e, 'clientHeight', { value: height });
  return e;
}

function start(slots: Slot[]) {
  const sent: ClientMessage[] = [];
  const wishes: unknown[] = [];
  let model: Model = { ...outside, stage: 'call', slots };
  const sight = new Sight();
  const adaptation = new Adaptation(() => model, sight, {
    send: (m) => sent.push(m),
    want: (w) => wishes.push(w),
  });
  return {
    sent,
    wishes,
    sight,
    adaptation,
    become: (more: Partial<Model>) => (model = { ...model, ...more }),
    count: (frames: number, more: object = {}) =>
      adaptation.counters([
        { type: 'inbound-rtp', mid: 'v0', framesDecoded: frames, packetsReceived: frames * 2, ...more },
        {
          type: 'inbound-rtp',
          mid: 'a0',
          packetsReceived: frames * 3,
          concealedSamples: frames * 10,
          totalSamplesReceived: frames * 100,
        },
      ]),
  };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('devicePixelRatio', 2);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('how the page shows its slots', () => {
  it('is told in device pixels, once it is drawn, and only when it changes', () => {
    const { sent, sight, adaptation } = start([slot(0, 'p1'), slot(1, 'p2'), slot(2, null)]);
    adaptation.again();
    const e = element(320, 180);
    sight.add(e, 'slot:v0');
    expect(sent).toEqual([]);
    settle();
    expect(sent).toEqual([
      {
        type: 'view',
        slots: [
          { slot: 0, width: 640, height: 360, visible: true },
          { slot: 1, width: 0, height: 0, visible: false },
        ],
      },
    ]);
    sight.later();
    settle();
    expect(sent).toHaveLength(1);
    sight.remove(e);
    settle();
    expect(sent[1]).toMatchObject({ slots: [{ slot: 0, visible: false }, { slot: 1 }] });
    adaptation.again();
    settle();
    expect(sent).toHaveLength(3);
  });

  it('is nothing while the page is hidden', () => {
    const { sent, sight } = start([slot(0, 'p1')]);
    sight.add(element(100, 50), 'slot:v0');
    settle();
    const state = vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
    document.dispatchEvent(new Event('visibilitychange'));
    settle();
    state.mockRestore();
    expect(sent.at(-1)).toEqual({ type: 'view', slots: [{ slot: 0, width: 0, height: 0, visible: false }] });
  });

  it('is not told more than a few times a second', () => {
    const { sent, sight, become } = start([slot(0, 'p1')]);
    for (let i = 0; i < 20; i++) {
      become({ slots: [slot(i, 'p1')] });
      sight.later();
      settle(50);
    }
    expect(sent.length).toBeLessThan(5);
  });
});

describe('the page', () => {
  it('passes on what is to be sent', () => {
    const { wishes, adaptation } = start([]);
    const layers = [{ rid: 'q', active: false, max_bitrate: null }];
    adaptation.receive({ type: 'send', sources: { camera: { layers } } });
    expect(wishes).toEqual([{ camera: layers }]);
  });

  it('tells every few seconds how it receives', () => {
    const { sent, count } = start([slot(0, 'p1')]);
    for (let i = 0; i <= 12; i++) {
      count(i * 15);
      settle();
    }
    expect(sent.filter((m) => m.type === 'stats')).toEqual([
      { type: 'stats', slots: [{ slot: 0, concealed: 0.1, frozen: 0 }] },
    ]);
  });

  it('notices a picture that stands still, and that it moves again', () => {
    const { adaptation, count } = start([slot(0, 'p1')]);
    const still = () => [...adaptation.still.value];
    for (const frames of [10, 20, 20, 20, 20]) {
      count(frames);
      settle();
    }
    expect(still()).toEqual([]);
    for (let i = 0; i < 4; i++) {
      count(20);
      settle();
    }
    expect(still()).toEqual(['v0']);
    count(21);
    expect(still()).toEqual([]);
  });

  it('does so sooner when the server sends none, and never with a screen that shows the same', () => {
    const paused = start([slot(0, 'p1')]);
    paused.become({ quality: { ...fine, video: 'paused' } });
    const screen = start([slot(0, 'p1', 'screen')]);
    for (let i = 0; i < 4; i++) {
      paused.count(7);
      screen.count(7);
      settle();
    }
    expect([...paused.adaptation.still.value]).toEqual(['v0']);
    settle(10_000);
    screen.count(7);
    expect([...screen.adaptation.still.value]).toEqual([]);
  });
});

describe('the words', () => {
  it.each([
    [null, null],
    [fine, null],
    [{ ...fine, level: 'good', score: 70, why: 'bandwidth', direction: 'down', video: 'layer' }, null],
    [
      { ...fine, level: 'poor', score: 50, why: 'bandwidth', direction: 'down', video: 'layer' },
      'quality.reduced',
    ],
    [{ ...fine, level: 'poor', why: 'bandwidth', direction: 'down', video: 'slideshow' }, 'quality.slides'],
    [{ ...fine, level: 'good', why: 'bandwidth', direction: 'down', video: 'paused' }, 'quality.soundOnly'],
    [{ ...fine, level: 'bad', why: 'loss', direction: 'down', audio: 'reduced' }, 'quality.breaks'],
    [{ ...fine, level: 'bad', why: 'loss', direction: 'up' }, 'quality.up'],
    [{ ...fine, level: 'poor', why: 'loss', direction: 'down' }, 'quality.loss'],
    [{ ...fine, level: 'poor', why: 'delay', direction: 'down' }, 'quality.delay'],
    [{ ...fine, level: 'lost', why: 'silence', direction: 'up', video: 'paused' }, null],
  ] as [QualityInfo | null, string | null][])('about %o are %s', (q, key) => expect(advice(q)).toBe(key));

  it('in place of a picture say why there is none', () => {
    const tile = { picture: true, stalled: { picture: false, sound: false } } as Tile;
    const paused: QualityInfo = { ...fine, video: 'paused' };
    expect(cover(tile, false, paused)).toBeNull();
    expect(cover(tile, true, paused)).toBe('call.tileSoundOnly');
    expect(cover(tile, true, fine)).toBe('call.tileStill');
    expect(cover({ ...tile, picture: false }, true, paused)).toBe('call.camIsOff');
    expect(cover({ ...tile, stalled: { picture: true, sound: false } }, true, fine)).toBe(
      'call.tileNoPicture',
    );
    expect(cover({ ...tile, stalled: { picture: true, sound: true } }, true, fine)).toBe('call.tileLost');
  });
});
