import { signal } from '@preact/signals';

/** The time to change one's mind after pressing End, in seconds. */
export const ENDING_SECONDS = 3;

/** Ends for everyone after a moment in which it can be taken back. */
export class Farewell {
  /** Seconds left; null unless End was pressed. */
  readonly left = signal<number | null>(null);
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly end: () => Promise<void>) {}

  start(): void {
    if (this.left.value !== null) return;
    this.left.value = ENDING_SECONDS;
    this.timer = setInterval(() => {
      const left = (this.left.value ?? 0) - 1;
      if (left > 0) this.left.value = left;
      else void this.now();
    }, 1_000);
  }

  now(): Promise<void> {
    this.cancel();
    return this.end();
  }

  cancel(): void {
    clearInterval(this.timer);
    this.left.value = null;
  }
}
