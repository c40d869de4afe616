import { isSilent, judge, sample, steady, type Quality, type Sample } from './quality';

const EVERY = 500;
/** Quality is judged over this many samples, so that one lost packet is no news. */
const WINDOW = 8;
const SILENT_SAMPLES = 3;

export interface MonitorEvents {
  stats: () => Promise<RTCStatsReport | null>;
  quality: (q: Quality) => void;
  /** We have been sending into a void for a second and a half. */
  silent: () => void;
}

/** Reads the connection's counters twice a second while started. */
export class Monitor {
  private timer: ReturnType<typeof setInterval> | undefined;
  private samples: Sample[] = [];
  private history: Quality[] = [];
  private shown: Quality = 'unknown';
  private silentFor = 0;

  constructor(private readonly events: MonitorEvents) {}

  start(): void {
    this.stop();
    this.samples = [];
    this.history = [];
    this.timer = setInterval(() => void this.tick(), EVERY);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async tick(): Promise<void> {
    const report = await this.events.stats().catch(() => null);
    if (!report || this.timer === undefined) return;
    const counters: { type: string }[] = [];
    report.forEach((r: { type: string }) => counters.push(r));
    this.add(sample(counters, Date.now()));
  }

  private add(now: Sample): void {
    const last = this.samples.at(-1);
    // Counters that fall belong to a new connection.
    if (last && (now.bytesSent < last.bytesSent || now.packetsReceived < last.packetsReceived)) {
      this.samples = [];
      this.silentFor = 0;
    } else if (last) {
      this.silentFor = isSilent(last, now) ? this.silentFor + 1 : 0;
      if (this.silentFor === SILENT_SAMPLES) this.events.silent();
    }
    this.samples = [...this.samples, now].slice(-WINDOW);
    const first = this.samples[0];
    if (!first || first === now) return;
    const judged = this.silentFor >= SILENT_SAMPLES ? 'lost' : judge(first, now);
    this.history = [...this.history, judged].slice(-2);
    const shown = steady(this.shown, this.history);
    if (shown !== this.shown) {
      this.shown = shown;
      this.events.quality(shown);
    }
  }
}
