// Real Chromium windows, one process per person, each with its own fake camera
// and microphone.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { camera, microphone } from './media.mjs';
import { until } from './process.mjs';

const shots = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../.artifacts/screens');

const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
  '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
  '--disable-background-timer-throttling', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows',
];

export const phone = { width: 360, height: 740 };
export const desktop = { width: 1280, height: 800 };

/** A person at a browser. */
export async function person(who, { viewport = desktop, locale = 'en-GB', args = [], noDevices = false } = {}) {
  const media = noDevices ? [] : [`--use-file-for-fake-video-capture=${camera(who)}`, `--use-file-for-fake-audio-capture=${microphone(who)}`];
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [...flags, ...media, ...args],
  });
  const context = await browser.newContext({ viewport, locale, permissions: ['camera', 'microphone'] });
  const page = await context.newPage();
  const errors = [];
  const outside = [];
  page.on('pageerror', (e) => errors.push(e.stack ?? e.message));
  page.on('request', (r) => {
    const { hostname, protocol } = new URL(r.url());
    if (protocol.startsWith('http') && hostname !== '127.0.0.1' && hostname !== 'localhost') outside.push(r.url());
  });
  // The page keeps its PeerConnections to itself; the tests want their statistics.
  await context.addInitScript(() => {
    const Native = window.RTCPeerConnection;
    window.testConnections = [];
    window.RTCPeerConnection = class extends Native {
      constructor(...a) {
        super(...a);
        window.testConnections.push(this);
      }
    };
  });
  return {
    who,
    browser,
    context,
    page,
    /** Errors the page has thrown, and requests that left this machine. */
    errors,
    outside,
    id: (testId) => page.getByTestId(testId),
    async shot(name) {
      mkdirSync(shots, { recursive: true });
      await page.screenshot({ path: path.join(shots, `${name}.png`) });
    },
    close: () => browser.close(),
  };
}

/** Goes through the device check into the room. */
export async function enter(p, url, name) {
  await p.page.goto(url);
  if (name) await p.id('display-name').fill(name);
  await p.id('join-button').click();
}

/** The statistics of every PeerConnection, flat. */
export function stats(target) {
  return target.evaluate(async () => {
    const out = [];
    for (const pc of window.testConnections) {
      if (pc.connectionState === 'closed') continue;
      (await pc.getStats()).forEach((s) => out.push({ ...s }));
    }
    return out;
  });
}

/** The mean colour of each remote video that has decoded frames. */
export function remoteColors(target) {
  return target.evaluate(() =>
    [...document.querySelectorAll('[data-testid=remote-video]')]
      .filter((v) => v.videoWidth > 2 && !v.paused)
      .map((v) => {
        const c = document.createElement('canvas');
        c.width = 16;
        c.height = 16;
        const g = c.getContext('2d');
        g.drawImage(v, 0, 0, 16, 16);
        const d = g.getImageData(4, 8, 8, 6).data;
        const sum = [0, 0, 0];
        for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) sum[k] += d[i + k];
        return sum.map((x) => Math.round(x / (d.length / 4)));
      }),
  );
}

const near = (a, b) => a.every((x, i) => Math.abs(x - b[i]) < 60);

/** Waits until a remote video shows the colour, and frames go on arriving. */
export async function sees(p, rgb, target = p.page) {
  await until(`${p.who} seeing ${rgb}`, async () => {
    const colors = await remoteColors(target);
    return colors.some((c) => near(c, rgb)) || Promise.reject(new Error(JSON.stringify(colors)));
  });
  const frames = async () =>
    (await stats(target)).filter((s) => s.type === 'inbound-rtp' && s.kind === 'video').reduce((n, s) => n + (s.framesDecoded ?? 0), 0);
  const before = await frames();
  await until(`${p.who} decoding more frames`, async () => (await frames()) > before + 10);
}

/**
 * The strongest frequency (Hz) and the level (0–255) of what the page plays,
 * over one second, per remote stream.
 */
export function listen(target) {
  return target.evaluate(async () => {
    const media = [...document.querySelectorAll('video, audio')].filter((m) => m.srcObject?.getAudioTracks().some((t) => t.readyState === 'live') && !m.muted);
    const context = new AudioContext({ sampleRate: 48000 });
    await context.resume();
    const found = await Promise.all(
      media.map(async (m) => {
        const analyser = context.createAnalyser();
        analyser.fftSize = 4096;
        analyser.smoothingTimeConstant = 0;
        context.createMediaStreamSource(new MediaStream(m.srcObject.getAudioTracks())).connect(analyser);
        const bins = new Uint8Array(analyser.frequencyBinCount);
        let best = { hz: 0, level: 0 };
        const end = performance.now() + 1000;
        while (performance.now() < end) {
          await new Promise((r) => setTimeout(r, 40));
          analyser.getByteFrequencyData(bins);
          bins.forEach((level, i) => {
            if (i > 8 && level > best.level) best = { hz: (i * 48000) / 4096, level };
          });
        }
        return best;
      }),
    );
    await context.close();
    return found;
  });
}

export async function hears(p, tone, target = p.page) {
  await until(`${p.who} hearing ${tone} Hz`, async () => {
    const found = await listen(target);
    return found.some((f) => Math.abs(f.hz - tone) < 30 && f.level > 100) || Promise.reject(new Error(JSON.stringify(found)));
  });
}

export async function hearsNot(p, tone, target = p.page) {
  await until(`${p.who} not hearing ${tone} Hz`, async () => {
    const found = await listen(target);
    return found.every((f) => f.level < 60 || Math.abs(f.hz - tone) > 30);
  });
}
