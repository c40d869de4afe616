// A camera and a microphone whose content a test commands: what is seen and heard
// can be changed at any moment, and a beep comes with each flash.

/** To be played in the page before any other script. */
function play({ rgb, hz }) {
  window.scene = { rgb, hz };
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
      stream.addTrack(out.stream.getAudioTracks()[0]);
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
    }
    return stream;
  };
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
