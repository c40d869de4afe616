/** What is said, and how it sounds where no voice speaks the language. */
export interface Saying {
  text: string;
  /** BCP 47. */
  language: string;
  tone: 'up' | 'down';
}

/** Two tones each, of another pitch and course than the chime: rising when recording begins, falling when it stops. */
const tones = { up: [392, 587.33], down: [587.33, 392] } as const;
/** Seconds. */
const TONE = 0.28;
/** A voice that has not begun within this (ms) never will: then the tones. */
const VOICE_WITHIN = 2_500;

/**
 * Speaks short sentences aloud. It plays through the loudspeaker alone: nothing
 * of it is mixed into a track that is sent. Browsers are silent until the page
 * was touched, so what is said before waits for the first touch; of several only
 * the newest, as the others are no longer true.
 */
export class Herald {
  private context: AudioContext | null = null;
  private waiting: Saying | null = null;
  private touched = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly touch = () => {
    this.touched = true;
    const saying = this.waiting;
    this.waiting = null;
    this.deaf();
    // The voices of some browsers are loaded when they are first asked for.
    voices();
    if (saying) this.say(saying);
  };

  constructor() {
    addEventListener('pointerdown', this.touch, { capture: true });
    addEventListener('keydown', this.touch, { capture: true });
    voices();
  }

  say(saying: Saying): void {
    if (!this.touched && !activated()) {
      this.waiting = saying;
      return;
    }
    clearTimeout(this.timer);
    const voice = voiceFor(saying.language, voices());
    if (voice) this.speak(saying, voice);
    else this.sound(saying.tone);
  }

  private speak(saying: Saying, voice: SpeechSynthesisVoice): void {
    const utterance = new SpeechSynthesisUtterance(saying.text);
    utterance.voice = voice;
    utterance.lang = voice.lang;
    // A little slower than usual: it is heard once, perhaps amid other voices.
    utterance.rate = 0.95;
    let fell = false;
    const fallBack = () => {
      clearTimeout(this.timer);
      if (fell) return;
      fell = true;
      speechSynthesis.cancel();
      this.sound(saying.tone);
    };
    utterance.onstart = () => clearTimeout(this.timer);
    utterance.onerror = (e) => {
      // "interrupted" and "canceled": something newer is said instead.
      if (e.error !== 'interrupted' && e.error !== 'canceled') fallBack();
    };
    speechSynthesis.cancel();
    speechSynthesis.speak(utterance);
    this.timer = setTimeout(fallBack, VOICE_WITHIN);
  }

  private sound(tone: Saying['tone']): void {
    if (typeof AudioContext === 'undefined') return;
    this.context ??= new AudioContext();
    const context = this.context;
    void context.resume();
    tones[tone].forEach((hertz, i) => {
      const at = context.currentTime + 0.05 + i * TONE;
      const oscillator = context.createOscillator();
      const gain = context.createGain();
      oscillator.type = 'triangle';
      oscillator.frequency.value = hertz;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.25, at + 0.03);
      gain.gain.setValueAtTime(0.25, at + TONE - 0.06);
      gain.gain.linearRampToValueAtTime(0, at + TONE);
      oscillator.connect(gain).connect(context.destination);
      oscillator.start(at);
      oscillator.stop(at + TONE);
    });
  }

  /** What waited for a touch is no longer true. */
  forget(): void {
    this.waiting = null;
  }

  private deaf(): void {
    removeEventListener('pointerdown', this.touch, { capture: true });
    removeEventListener('keydown', this.touch, { capture: true });
  }
}

/** Whether the browser says that the page was touched; older ones do not say. */
function activated(): boolean {
  return (navigator as Partial<Navigator>).userActivation?.hasBeenActive ?? false;
}

function voices(): SpeechSynthesisVoice[] {
  return typeof speechSynthesis === 'undefined' ? [] : speechSynthesis.getVoices();
}

/**
 * A voice of the language that lives on this device: the others send what they
 * are to say to somebody else's server. The browser's default comes first.
 */
export function voiceFor<V extends Pick<SpeechSynthesisVoice, 'lang' | 'localService' | 'default'>>(
  language: string,
  list: readonly V[],
): V | null {
  const primary = (tag: string) => tag.toLowerCase().split(/[-_]/)[0];
  const own = list.filter((v) => v.localService && primary(v.lang) === primary(language));
  return own.find((v) => v.default) ?? own[0] ?? null;
}
