// A camera and a microphone whose content a test commands: what is seen and heard
// can be changed at any moment, and a beep comes with each flash.

/** To be played in the page before any other script. */
function play({ rgb, hz }) {
  window.scene = { rgb, hz };
  window.sceneTimes = { beeps: [], flashes: [] };
  navigator.mediaDevices.getUserMedia = async (want) => {
    const context = new AudioContext({ sampleRate: 48000 });
    await context.resume();
    const stream = new MediaStream();
    if (want.audio) {
      const tone = new OscillatorNode(context);
      const gain = new GainNode(context, { gain: 0 });
      const out = context.createMediaStreamDestination();
      tone.connect(gain).connect(out);
      tone.start();
      window.sceneTone = { tone, gain };
      const [track] = out.stream.getAudioTracks();
      stream.addTrack(track);
      watch(track.clone(), (data, now) => {
        const samples = new Float32Array(data.numberOfFrames);
        data.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
        const first = samples.findIndex((x) => Math.abs(x) > 0.1);
        return first < 0 ? null : now - (1000 * (samples.length - first)) / data.sampleRate;
      }, window.sceneTimes.beeps);
    }
    if (want.video) {
      const canvas = document.createElement('canvas');
      canvas.width = 640;
      canvas.height = 360;
      const g = canvas.getContext('2d');
      const track = canvas.captureStream(0).getVideoTracks()[0];
      let drawn = 0;
      let last = '';
      let planned = 0;
      setInterval(() => {
        const now = context.currentTime;
        const { tone, gain } = window.sceneTone ?? {};
        // Beeps are planned ahead, each on its second: the flash follows the same clock.
        const next = Math.ceil(now + 0.05);
        if (gain && next > planned) {
          planned = next;
          tone.frequency.setValueAtTime(window.scene.hz, next - 0.01);
          // Soft edges: a hard one would be heard at every frequency.
          gain.gain.setValueAtTime(0, next);
          gain.gain.linearRampToValueAtTime(0.5, next + 0.008);
          gain.gain.setValueAtTime(0.5, next + 0.142);
          gain.gain.linearRampToValueAtTime(0, next + 0.15);
        }
        const flash = now >= 1 && now % 1 < 0.15;
        const state = `${flash} ${window.scene.rgb}`;
        if (state === last && now - drawn < 0.04) return;
        drawn = now;
        last = state;
        g.fillStyle = flash ? '#fff' : `rgb(${window.scene.rgb})`;
        g.fillRect(0, 0, 640, 360);
        g.fillStyle = '#000';
        g.fillRect((now * 90) % 600, 320, 40, 40);
        track.requestFrame();
      }, 8);
      stream.addTrack(track);
      const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
      watch(track.clone(), (frame, now) => {
        pixel.drawImage(frame, 0, 0, 1, 1);
        const [r, green, b] = pixel.getImageData(0, 0, 1, 1).data;
        return r > 220 && green > 220 && b > 220 ? now : null;
      }, window.sceneTimes.flashes);
    }
    return stream;
  };

  /** Notes when each beep and flash reaches the browser's media, before it is encoded. */
  async function watch(track, find, times) {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const at = find(value, performance.now());
      value.close();
      if (at !== null && at - (times.at(-1) ?? 0) > 500) times.push(at);
    }
  }
}

/** Gives a person a commanded camera; their browser needs no gesture for sound. */
export const stageArgs = ['--autoplay-policy=no-user-gesture-required'];

export function onStage(p, scene) {
  return p.context.addInitScript(play, scene);
}

/** From now on the person shows and sounds like this. */
export function change(p, scene) {
  return p.page.evaluate((s) => {
    window.scene = s;
  }, scene);
}

/** By how much (s) beeps come after their flashes where they are made, in the middle. */
export async function ownSkew(p) {
  const { beeps, flashes } = await p.page.evaluate(() => window.sceneTimes);
  const apart = flashes
    .map((f) => beeps.map((b) => b - f).sort((a, b) => Math.abs(a) - Math.abs(b))[0])
    .filter((d) => Math.abs(d) < 400)
    .sort((a, b) => a - b);
  if (apart.length < 5) throw new Error(`${beeps.length} beeps and ${flashes.length} flashes were seen being made`);
  return apart[apart.length >> 1] / 1000;
}
