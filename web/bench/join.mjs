// How long it takes from the click, and from sending `join`, to the first
// decoded remote frame, in real Chromium on this machine.
//
//   node bench/join.mjs [joins]
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { enter, person, sees } from '../e2e/harness/browser.mjs';
import { people } from '../e2e/harness/media.mjs';
import { until } from '../e2e/harness/process.mjs';
import { startServer } from '../e2e/harness/server.mjs';

const joins = Number(process.argv[2] ?? 20);

/** Notes the moments of a join, in the page, without touching its code. */
function watch() {
  const marks = (window.joinMarks = {});
  const mark = (name) => (marks[name] ??= performance.now());
  document.addEventListener('click', (e) => e.target.closest('[data-testid=join-button]') && mark('click'), true);
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    if (typeof data === 'string' && data.includes('"join"')) {
      mark('join');
          }
    if (typeof data === 'string' && data.includes('"ready"')) mark('applied');
    return send.call(this, data);
  };
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function (...a) {
    mark('answered');
    return setRemoteDescription.apply(this, a);
  };
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...a) {
      super(...a);
      this.addEventListener('iceconnectionstatechange', () => this.iceConnectionState === 'connected' && mark('ice'));
      this.addEventListener('connectionstatechange', () => this.connectionState === 'connected' && mark('dtls'));
      this.addEventListener('track', async ({ track }) => {
        if (track.kind !== 'video') return;
        const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
        const { value } = await reader.read();
        mark('frame');
        value?.close();
        await reader.cancel();
      });
    }
  };
}

const server = await startServer({ CHATMED_LOG_LEVEL: 'info' });
const [patient, doctor] = await Promise.all([person('patient'), person('doctor')]);
try {
  const s = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc', patient_id: 'pat' });
  await enter(patient, s.patient_join_url);
  await enter(doctor, s.doctor_join_url);
  await doctor.page.locator('[data-testid^=admit-]').click();
  await sees(doctor, people.patient.rgb);
  await doctor.page.close();
  const rows = [];
  for (let i = 0; i <= joins; i++) {
    const page = await doctor.context.newPage();
    await page.addInitScript(watch);
    await page.goto(s.doctor_join_url);
    // The device check is on the screen for a while before anyone clicks.
    await page.getByTestId('local-video').waitFor();
    await until('the camera', () => page.evaluate(() => document.querySelector('[data-testid=local-video]').videoWidth > 0));
    await page.waitForTimeout(500);
    await page.getByTestId('join-button').click();
    await until('the first frame', () => page.evaluate(() => window.joinMarks.frame));
    if (i > 0) rows.push(await page.evaluate(() => window.joinMarks)); // the first one warms up
    await page.close();
  }
  const quantile = (list, q) => list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(q * list.length))];
  const figures = {};
  for (const name of ['join', 'answered', 'applied', 'ice', 'dtls', 'frame']) {
    const from = name === 'join' ? 'click' : 'join';
    const list = rows.map((r) => r[name] - r[from]).filter(Number.isFinite);
    figures[`${from} → ${name}`] = { median: quantile(list, 0.5), p95: quantile(list, 0.95), n: list.length };
  }
  const cold = rows.map((r) => r.frame - r.click);
  figures['click → frame'] = { median: quantile(cold, 0.5), p95: quantile(cold, 0.95), n: cold.length };
  for (const [name, f] of Object.entries(figures)) console.log(`${name.padEnd(18)} median ${f.median.toFixed(0)} ms, p95 ${f.p95.toFixed(0)} ms (${f.n})`);
  const out = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../.artifacts/bench');
  mkdirSync(out, { recursive: true });
  writeFileSync(path.join(out, 'join.json'), JSON.stringify(figures, null, 2));
} finally {
  await Promise.all([patient.close(), doctor.close()]);
  await server.stop();
}
