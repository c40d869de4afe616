/** Network quality from the counters of getStats, as pure functions. */

/** Counters since the connection began. Times are milliseconds. */
export interface Sample {
  at: number;
  bytesSent: number;
  bytesReceived: number;
  packetsReceived: number;
  packetsLost: number;
  /** Of the selected candidate pair; null before the first measurement. */
  roundTrip: number | null;
  /** Share of our packets the server missed, 0 to 1; null before its first report. */
  remoteLoss: number | null;
}

export type Quality = 'good' | 'fair' | 'poor' | 'lost' | 'unknown';

/**
 * Judges the time between two samples. The thresholds follow ITU-T G.114
 * (one-way delay: below 150 ms unnoticed, above 400 ms unusable) and what
 * Opus with redundancy conceals (about 5%; beyond 15% speech suffers).
 */
export function judge(before: Sample, after: Sample): Quality {
  if (isSilent(before, after)) return 'lost';
  const lost = Math.max(0, after.packetsLost - before.packetsLost);
  const received = Math.max(0, after.packetsReceived - before.packetsReceived);
  if (received + lost === 0 && after.roundTrip === null) return 'unknown';
  const inbound = received + lost > 0 ? lost / (received + lost) : 0;
  const loss = Math.max(inbound, after.remoteLoss ?? 0);
  const rtt = after.roundTrip ?? 0;
  if (loss > 0.15 || rtt > 800) return 'poor';
  return loss > 0.05 || rtt > 300 ? 'fair' : 'good';
}

/**
 * Whether we sent and nothing at all came back, not even receiver reports or
 * congestion feedback: then the path is dead, whatever ICE still believes.
 */
export function isSilent(before: Sample, after: Sample): boolean {
  return after.bytesSent - before.bytesSent > 500 && after.bytesReceived === before.bytesReceived;
}

/** Shows a change only after it has been seen twice, so that the word does not flicker. */
export function steady(shown: Quality, history: readonly Quality[]): Quality {
  const [last, previous] = [history.at(-1), history.at(-2)];
  if (last === undefined) return shown;
  if (shown === 'unknown' || last === 'lost') return last;
  return last === previous ? last : shown;
}

interface Counters {
  type: string;
  bytesSent?: number;
  bytesReceived?: number;
  packetsReceived?: number;
  packetsLost?: number;
  fractionLost?: number;
  state?: string;
  nominated?: boolean;
  currentRoundTripTime?: number;
}

/** A pair in use falls back to "in-progress" when its checks go unanswered, so the state alone won't do. */
function isChosen(pair: Counters): boolean {
  return pair.nominated ?? pair.state === 'succeeded';
}

export function sample(report: Iterable<Counters>, at: number): Sample {
  const s: Sample = {
    at,
    bytesSent: 0,
    bytesReceived: 0,
    packetsReceived: 0,
    packetsLost: 0,
    roundTrip: null,
    remoteLoss: null,
  };
  for (const r of report) {
    if (r.type === 'candidate-pair' && isChosen(r)) {
      s.bytesSent += r.bytesSent ?? 0;
      s.bytesReceived += r.bytesReceived ?? 0;
      if (r.currentRoundTripTime !== undefined) s.roundTrip = r.currentRoundTripTime * 1_000;
    } else if (r.type === 'inbound-rtp') {
      s.packetsReceived += r.packetsReceived ?? 0;
      s.packetsLost += r.packetsLost ?? 0;
    } else if (r.type === 'remote-inbound-rtp' && r.fractionLost !== undefined) {
      s.remoteLoss = Math.max(s.remoteLoss ?? 0, r.fractionLost);
    }
  }
  return s;
}
