import { effect } from '@preact/signals';
import { options } from 'preact';
import { direction, language, matchLanguage } from '../i18n';

/** Keeps the language and direction of the document in step with the choice. */
export function followLanguage(): void {
  effect(() => {
    document.documentElement.lang = language.value;
    document.documentElement.dir = direction(language.value);
  });
}

/** In the background there are no frames, but the page goes on. */
const FRAME_WITHIN = 100;

/**
 * Draws with the browser's next frame instead of at once: the answer to a join
 * is applied before the picture of the call is built, which takes longer.
 */
export function drawWithFrames(): void {
  options.debounceRendering = (draw) => {
    const once = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      draw();
    };
    const frame = requestAnimationFrame(once);
    const timer = setTimeout(once, FRAME_WITHIN);
  };
}

/** The first language of the list that we have; English otherwise. */
export function presetLanguage(...wishes: (string | null | undefined)[]): void {
  for (const wish of [...wishes, ...navigator.languages]) {
    const match = matchLanguage(wish);
    if (match) {
      language.value = match;
      return;
    }
  }
}

async function request(): Promise<WakeLockSentinel | null> {
  const { wakeLock } = navigator as Partial<Navigator>;
  return wakeLock?.request('screen').catch(() => null) ?? null;
}

/** Keeps the screen on while `wanted` says so; browsers let go of it when the page is hidden. */
export function keepAwake(wanted: () => boolean): void {
  let lock: WakeLockSentinel | null = null;
  const update = async () => {
    const want = wanted() && document.visibilityState === 'visible';
    if (want && (lock?.released ?? true)) {
      lock = await request();
    } else if (!want) {
      await lock?.release().catch(() => undefined);
      lock = null;
    }
  };
  effect(() => {
    wanted();
    void update();
  });
  document.addEventListener('visibilitychange', () => void update());
}
