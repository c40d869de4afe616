/** What the counters of getStats say, as pure functions. */

/** Counters since the connection began. */
export interface Sample {
  bytesSent: number;
  bytesReceived: number;
}

/**
 * Whether we sent and nothing at all came back, not even receiver reports or
 * congestion feedback: then the path is dead, whatever ICE still believes.
 */
export function isSilent(before: Sample, after: Sample): boolean {
  return after.bytesSent - before.bytesSent > 500 && after.bytesReceived === before.bytesReceived;
}

/** The entries of getStats that are read here. */
export interface Counters {
  type: string;
  kind?: string;
  mid?: string;
  bytesSent?: number;
  bytesReceived?: number;
  /** Bit/s. */
  availableOutgoingBitrate?: number;
  packetsReceived?: number;
  concealedSamples?: number;
  totalSamplesReceived?: number;
  framesDecoded?: number;
  framesPerSecond?: number;
  totalFreezesDuration?: number;
  state?: string;
  nominated?: boolean;
}

/** A pair in use falls back to "in-progress" when its checks go unanswered, so the state alone won't do. */
function isChosen(pair: Counters): boolean {
  return pair.nominated ?? pair.state === 'succeeded';
}

export function sample(report: Iterable<Counters>): Sample {
  const s: Sample = { bytesSent: 0, bytesReceived: 0 };
  for (const r of report) {
    if (r.type !== 'candidate-pair' || !isChosen(r)) continue;
    s.bytesSent += r.bytesSent ?? 0;
    s.bytesReceived += r.bytesReceived ?? 0;
  }
  return s;
}

/** What the browser believes our way out to carry (bit/s). */
export function available(report: Iterable<Counters>): number | undefined {
  for (const r of report) {
    if (r.type === 'candidate-pair' && isChosen(r) && r.availableOutgoingBitrate !== undefined)
      return r.availableOutgoingBitrate;
  }
  return undefined;
}

/** What has come on one m-line so far. */
export interface Inbound {
  packets: number;
  concealed: number;
  samples: number;
  frames: number;
  /** Seconds. */
  frozen: number;
}

/** What has come, by mid. */
export function inbound(report: Iterable<Counters>): Map<string, Inbound> {
  const lines = new Map<string, Inbound>();
  for (const r of report) {
    if (r.type !== 'inbound-rtp' || r.mid === undefined) continue;
    lines.set(r.mid, {
      packets: r.packetsReceived ?? 0,
      concealed: r.concealedSamples ?? 0,
      samples: r.totalSamplesReceived ?? 0,
      frames: r.framesDecoded ?? 0,
      frozen: r.totalFreezesDuration ?? 0,
    });
  }
  return lines;
}

/** The share of the time (0 to 1) in which sound was made up; undefined where none came. */
export function concealedShare(before: Inbound | undefined, after: Inbound | undefined): number | undefined {
  if (!before || !after || after.packets <= before.packets || after.samples <= before.samples)
    return undefined;
  return share((after.concealed - before.concealed) / (after.samples - before.samples));
}

/**
 * The share of `seconds` in which a picture stood still; undefined where none came:
 * then the server sent none, and knows it.
 */
export function frozenShare(
  before: Inbound | undefined,
  after: Inbound | undefined,
  seconds: number,
): number | undefined {
  if (!before || !after || after.packets <= before.packets || seconds <= 0) return undefined;
  // A freeze is counted when it ends: a picture that stands still all the time has none.
  if (after.frames === before.frames) return 1;
  return share((after.frozen - before.frozen) / seconds);
}

function share(x: number): number {
  return Math.round(Math.min(1, Math.max(0, x)) * 1_000) / 1_000;
}
