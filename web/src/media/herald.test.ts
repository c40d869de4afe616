// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Herald, voiceFor, type Saying } from './herald';

const voice = (lang: string, localService = true, isDefault = false) => ({
  lang,
  localService,
  default: isDefault,
});

class FakeUtterance {
  voice: unknown;
  lang = '';
  rate = 1;
  onstart: (() => void) | null = null;
  onerror: ((e: { error: string }) => void) | null = null;
  constructor(readonly text: string) {}
}
const spoken: FakeUtterance[] = [];
const tones: number[] = [];
let voices = [voice('fr-FR')];

class FakeAudioContext {
  currentTime = 0;
  destination = {};
  resume = () => Promise.resolve();
  createOscillator() {
    return {
      type: '',
      frequency: {
        set value(hz: number) {
          tones.push(hz);
        },
      },
      connect: <T>(to: T) => to,
      start: () => undefined,
      stop: () => undefined,
    };
  }
  createGain() {
    const param = { setValueAtTime: () => undefined, linearRampToValueAtTime: () => undefined };
    return { gain: param, connect: <T>(to: T) => to };
  }
}

const french: Saying = { text: 'Bonjour', language: 'fr', tone: 'up' };
const arabic: Saying = { text: 'مرحبا', language: 'ar', tone: 'down' };
const touch = () => dispatchEvent(new Event('pointerdown'));

beforeEach(() => {
  vi.useFakeTimers();
  spoken.length = tones.length = 0;
  voices = [voice('fr-FR')];
  vi.stubGlobal('SpeechSynthesisUtterance', FakeUtterance);
  vi.stubGlobal('AudioContext', FakeAudioContext);
  vi.stubGlobal('speechSynthesis', {
    getVoices: () => voices,
    cancel: () => undefined,
    speak: (u: FakeUtterance) => spoken.push(u),
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('the voice', () => {
  it('is of the language, lives on this device, and is the default where that may be', () => {
    const list = [voice('en-US'), voice('fr-FR', false, true), voice('fr-CA'), voice('fr-BE', true, true)];
    expect(voiceFor('fr', list)).toBe(list[3]);
    expect(voiceFor('fr', list.slice(0, 3))).toBe(list[2]);
    expect(voiceFor('fr', list.slice(0, 2))).toBeNull();
    expect(voiceFor('ar', list)).toBeNull();
  });
});

describe('the herald', () => {
  it('speaks where there is a voice, and sounds where there is none', () => {
    const herald = new Herald();
    touch();
    herald.say(french);
    expect(spoken.map((u) => [u.text, u.lang])).toEqual([['Bonjour', 'fr-FR']]);
    spoken[0]!.onstart?.();
    vi.advanceTimersByTime(10_000);
    expect(tones).toEqual([]);
    herald.say(arabic);
    expect(tones).toEqual([587.33, 392]);
  });

  it('sounds when the voice does not begin, or fails', () => {
    const herald = new Herald();
    touch();
    herald.say(french);
    vi.advanceTimersByTime(3_000);
    expect(tones).toEqual([392, 587.33]);
    herald.say(french);
    spoken[1]!.onerror?.({ error: 'synthesis-failed' });
    vi.advanceTimersByTime(3_000);
    expect(tones).toHaveLength(4);
  });

  it('waits for a touch, and then says only what is still true', () => {
    const herald = new Herald();
    herald.say(arabic);
    herald.say(french);
    expect([spoken.length, tones.length]).toEqual([0, 0]);
    touch();
    expect(spoken.map((u) => u.text)).toEqual(['Bonjour']);
    touch();
    expect(spoken).toHaveLength(1);
  });
});
