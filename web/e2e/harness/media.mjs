// Fake cameras and microphones: files Chromium plays in a loop.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const dir = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../.artifacts/media');

/** Who is told apart by what: a colour and a tone. */
export const people = {
  patient: { color: '0xC02020', rgb: [192, 32, 32], tone: 440 },
  doctor: { color: '0x2040C0', rgb: [32, 64, 192], tone: 880 },
  guest: { color: '0x20A040', rgb: [32, 160, 64], tone: 1320 },
};

function ffmpeg(out, ...args) {
  if (existsSync(out)) return out;
  mkdirSync(dir, { recursive: true });
  const r = spawnSync('ffmpeg', ['-v', 'error', '-y', ...args, out], { encoding: 'utf8' });
  if (r.status !== 0) throw new Error(`ffmpeg: ${r.stderr}`);
  return out;
}

/** A plain picture with a moving square, so that every frame differs. */
export function camera(who) {
  const { color } = people[who];
  return ffmpeg(
    path.join(dir, `${who}.y4m`), '-f', 'lavfi', '-i', `color=c=${color}:s=640x360:r=20:d=2`,
    '-f', 'lavfi', '-i', 'color=c=white:s=40x40:r=20:d=2',
    '-filter_complex', "[0][1]overlay=x='mod(n*15,600)':y=10", '-pix_fmt', 'yuv420p',
  );
}

/** A tone in bursts: the browser's noise suppression would remove a steady one. */
export function microphone(who) {
  const { tone } = people[who];
  return ffmpeg(
    path.join(dir, `${who}.wav`), '-f', 'lavfi',
    '-i', `aevalsrc=0.5*sin(2*PI*${tone}*t)*lt(mod(t\\,0.5)\\,0.3):s=48000:d=4`, '-ac', '1', '-c:a', 'pcm_s16le',
  );
}
