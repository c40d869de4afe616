/** Below and above these (bit/s) the voice makes room, and no longer. */
const THIN = 90_000;
const WIDE = 150_000;
/** Below this there is no room for a picture beside the voice. */
const STARVED = 50_000;
/** For how long it must be so (ms), and how long the picture then rests at first and at most. */
const STARVED_FOR = 2_500;
const REST = 10_000;
const LONGEST_REST = 60_000;

/**
 * What our own way out leaves room for, from the browser's estimate of it: voice
 * first. A picture that rests leaves nothing to estimate by, so it is tried again
 * after a while, and later each time that was in vain.
 */
export class Uplink {
  thin = false;
  starved = false;
  private since: number | null = null;
  private rest = REST;

  /** `available` in bit/s, undefined where the browser does not tell; `now` in ms. */
  update(available: number | undefined, now: number): void {
    if (available === undefined) return;
    this.thin = available < (this.thin ? WIDE : THIN);
    if (this.starved) {
      if (this.since === null || now - this.since < this.rest) return;
      this.starved = false;
      this.rest = Math.min(LONGEST_REST, 2 * this.rest);
      this.since = null;
    } else if (available >= STARVED) {
      this.since = null;
      if (available > WIDE) this.rest = REST;
    } else {
      this.since ??= now;
      if (now - this.since < STARVED_FOR) return;
      this.starved = true;
      this.since = now;
    }
  }
}
