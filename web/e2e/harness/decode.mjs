// What is in a media file, by decoding it with ffmpeg: colours and tones over time,
// both from the file's beginning, whichever of its streams starts first.
import { spawnSync } from 'node:child_process';

function run(command, args, input) {
  const r = spawnSync(command, args, { maxBuffer: 1 << 30, timeout: 120_000, input });
  if (r.status !== 0) throw new Error(`${command}: ${r.stderr}`);
  return r.stdout;
}

/** Duration in seconds, and the codecs and sizes of the streams. */
export function probe(file) {
  const out = JSON.parse(run('ffprobe', ['-v', 'error', '-show_format', '-show_streams', '-of', 'json', file]));
  return {
    format: out.format.format_name,
    duration: Number(out.format.duration),
    streams: out.streams.map((s) => ({ kind: s.codec_type, codec: s.codec_name, width: s.width, height: s.height })),
  };
}

const near = (a, b, within = 60) => a.every((x, i) => Math.abs(x - b[i]) < within);

/** How often a second colours and tones are looked at. */
export const RATE = 200;
const [width, height] = [64, 36];
const scaled = `scale=${width}:${height}:flags=area`;
const rgb24 = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];

/** The share of a frame in each of the colours. */
function shares(raw, from, wanted) {
  const share = Object.fromEntries(Object.keys(wanted).map((k) => [k, 0]));
  for (let i = from; i < from + width * height * 3; i += 3) {
    const pixel = [raw[i], raw[i + 1], raw[i + 2]];
    for (const [name, rgb] of Object.entries(wanted)) if (near(pixel, rgb, 55)) share[name] += 1 / (width * height);
  }
  return share;
}

/** The share of a PNG in each of the colours. */
export function picture(png, wanted) {
  return shares(run('ffmpeg', ['-v', 'error', '-f', 'png_pipe', '-i', '-', '-vf', scaled, '-frames:v', '1', ...rgb24], png), 0, wanted);
}

/** The share of the picture, RATE times a second, in each of the colours. */
export function colors(file, wanted) {
  const raw = run('ffmpeg', ['-v', 'error', '-i', file, '-map', '0:v:0', '-vf', `fps=${RATE}:start_time=0,${scaled}`, ...rgb24]);
  const size = width * height * 3;
  return Array.from({ length: Math.floor(raw.length / size) }, (_, f) => ({ at: f / RATE, ...shares(raw, f * size, wanted) }));
}

/** The amplitude (0 to 1), RATE times a second, of each of the tones (Hz). */
export function tones(file, wanted) {
  const rate = 16000;
  const raw = run('ffmpeg', ['-v', 'error', '-i', file, '-map', '0:a:0', '-af', 'aresample=async=1:first_pts=0', '-ac', '1', '-ar', String(rate), '-f', 's16le', '-']);
  const samples = new Int16Array(raw.buffer, raw.byteOffset, raw.length >> 1);
  const [step, window] = [rate / RATE, rate / 50];
  const out = [];
  for (let from = 0; from + window <= samples.length; from += step) {
    const row = { at: (from + window / 2) / rate };
    for (const [name, hz] of Object.entries(wanted)) {
      let [re, im] = [0, 0];
      for (let i = 0; i < window; i++) {
        const turn = (2 * Math.PI * hz * i) / rate;
        // A Hann window keeps loud neighbours out.
        const x = (samples[from + i] / 32768) * (1 - Math.cos((2 * Math.PI * i) / window));
        re += x * Math.cos(turn);
        im += x * Math.sin(turn);
      }
      row[name] = (2 * Math.hypot(re, im)) / window;
    }
    out.push(row);
  }
  return out;
}

/**
 * Where a value goes above a level and stays there for most of a tenth of a second,
 * which no click does, in seconds, at least `apart` from the last.
 */
export function rises(rows, name, level, apart = 0.5) {
  const found = [];
  for (let i = 1; i < rows.length; i++) {
    if (rows[i - 1][name] >= level || rows[i][name] < level) continue;
    const stays = rows.slice(i, i + 0.08 * RATE).every((r) => r[name] >= level);
    if (stays && (found.length === 0 || rows[i].at - found.at(-1) >= apart)) found.push(rows[i].at);
  }
  return found;
}
