/** A short, soft two-tone sound made on the spot, so that nothing is fetched. */
export class Chime {
  private context: AudioContext | null = null;

  /** Must be called from a click or key press once; browsers stay silent otherwise. */
  async enable(): Promise<boolean> {
    if (typeof AudioContext === 'undefined') return false;
    this.context ??= new AudioContext();
    // Without a gesture the promise stays pending for ever, so it is not awaited alone.
    await Promise.race([this.context.resume(), new Promise((r) => setTimeout(r, 300))]);
    return this.context.state === 'running';
  }

  play(): void {
    const context = this.context;
    if (context?.state !== 'running') return;
    for (const [delay, hertz] of [
      [0, 659.25],
      [0.18, 880],
    ] as const) {
      const at = context.currentTime + delay;
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.frequency.value = hertz;
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(0.2, at + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, at + 0.7);
      tone.connect(gain).connect(context.destination);
      tone.start(at);
      tone.stop(at + 0.75);
    }
  }

  close(): void {
    void this.context?.close();
    this.context = null;
  }
}
