/** How loud a microphone is, for the bar of the device check. */

export type StopMeter = () => void;

/** Reports the level of `track` about 12 times a second: 0 is silence, 1 is loud. */
export function meter(track: MediaStreamTrack, report: (level: number) => void): StopMeter {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  // Browsers hold an AudioContext back until the person has touched the page.
  const wake = () => void context.resume();
  addEventListener('pointerdown', wake);
  addEventListener('keydown', wake);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    report(loudness(samples));
  }, 80);
  return () => {
    clearInterval(timer);
    removeEventListener('pointerdown', wake);
    removeEventListener('keydown', wake);
    source.disconnect();
    void context.close();
  };
}

/** Root mean square in decibels, -60 dBFS to -12 dBFS spread over 0 to 1. */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const s of samples) sum += s * s;
  const db = 10 * Math.log10(sum / samples.length + 1e-12);
  return Math.min(1, Math.max(0, (db + 60) / 48));
}
