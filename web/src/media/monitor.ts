import { isSilent, sample, type Counters, type Sample } from './quality';

const EVERY = 500;
const SILENT_SAMPLES = 3;

export interface MonitorEvents {
  stats: () => Promise<RTCStatsReport | null>;
  /** What was read, each time. */
  counters: (counters: readonly Counters[]) => void;
  /** Whether we have been sending into a void for a second and a half. */
  silent: (is: boolean) => void;
}

/** Reads the connection's counters twice a second while started. */
export class Monitor {
  private timer: ReturnType<typeof setInterval> | undefined;
  private last: Sample | null = null;
  private silentFor = 0;

  constructor(private readonly events: MonitorEvents) {}

  start(): void {
    this.stop();
    this.last = null;
    this.timer = setInterval(() => void this.tick(), EVERY);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async tick(): Promise<void> {
    const report = await this.events.stats().catch(() => null);
    if (!report || this.timer === undefined) return;
    const counters: Counters[] = [];
    report.forEach((r: Counters) => counters.push(r));
    this.add(sample(counters));
    this.events.counters(counters);
  }

  private add(now: Sample): void {
    const { last, silentFor } = this;
    this.last = now;
    // Counters that fall belong to a new connection.
    this.silentFor = last && now.bytesSent >= last.bytesSent && isSilent(last, now) ? silentFor + 1 : 0;
    if (this.silentFor === SILENT_SAMPLES) this.events.silent(true);
    else if (this.silentFor === 0 && silentFor >= SILENT_SAMPLES) this.events.silent(false);
  }
}
