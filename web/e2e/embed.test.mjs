// The room inside a clinic's page on another origin, with storage blocked.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { enter, hears, person, sees } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { freePort, until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

let server, clinic, origin, patient, doctor, session;

// What a browser with third-party storage blocked does to a frame.
function blockStorage() {
  if (window.top === window) return;
  const refuse = () => {
    throw new DOMException('Access is denied for this document.', 'SecurityError');
  };
  for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'caches']) Object.defineProperty(window, name, { get: refuse });
  Object.defineProperty(Document.prototype, 'cookie', { get: refuse, set: refuse });
}

before(async () => {
  const port = await freePort();
  origin = `http://localhost:${port}`;
  server = await startServer({}, { origins: origin });
  session = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc_e', patient_id: 'pat_e' });
  const token = session.patient_join_url.split('#token=')[1];
  const allow = 'camera; microphone; display-capture; autoplay; fullscreen';
  clinic = createServer((req, res) => {
    res.setHeader('Content-Type', 'text/html; charset=utf-8');
    const pages = {
      '/fragment': `<iframe allow="${allow}" src="${session.patient_join_url}" width="900" height="700"></iframe>`,
      '/message': `<iframe allow="${allow}" src="${server.url}/room/${session.session_id}" width="900" height="700"></iframe>
        <script>
          const frame = document.querySelector('iframe');
          frame.onload = () => frame.contentWindow.postMessage({ type: 'chatmed:token', token: '${token}' }, '${server.url}');
        </script>`,
    };
    res.end(`<!doctype html><html lang="en"><title>A clinic</title><h1>A clinic</h1>${pages[req.url] ?? ''}</html>`);
  });
  await new Promise((r) => clinic.listen(port, 'localhost', r));
  [patient, doctor] = await Promise.all([person('patient', { viewport: { width: 1000, height: 820 } }), person('doctor')]);
  await patient.context.addInitScript(blockStorage);
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close()]);
  clinic?.close();
  await server?.stop();
});

/** The room's frame; it is another process than the page's. */
const room = () => until('the frame', () => patient.page.frames().find((f) => f.url().startsWith(server.url)));
const state = async () => (await room()).evaluate(() => document.body.dataset.state);

test('only the origins of the key may embed the room', async () => {
  const csp = async (path) => (await fetch(server.url + path)).headers.get('content-security-policy');
  assert.match(await csp(`/room/${session.session_id}`), new RegExp(`frame-ancestors ${origin}$`));
  for (const path of ['/room/vs_01J00000000000000000000000', '/doctor', '/']) assert.match(await csp(path), /frame-ancestors 'none'$/);
});

test('the token comes by the fragment; the call works without storage', async () => {
  await patient.page.goto(`${origin}/fragment`);
  const frame = await room();
  await frame.getByTestId('join-button').click();
  await enter(doctor, session.doctor_join_url);
  await doctor.page.locator('[data-testid^=admit-]').click();
  await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb, frame)]);
  await patient.shot('embedded-desktop-en');
});

test('a reload inside the frame comes back into the call', async () => {
  const frame = await room();
  await frame.evaluate(() => location.reload());
  await until('the call', async () => (await state()) === 'call');
  await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb, await room())]);
  await hears(doctor, people.patient.tone);
});

test('the token comes by a message from the embedding page', async () => {
  await patient.page.goto(`${origin}/message`);
  const frame = await room();
  const join = frame.getByTestId('join-button');
  await join.waitFor();
  await join.click();
  await until('the call', async () => (await state()) === 'call');
  await sees(doctor, people.patient.rgb);
  assert.deepEqual(patient.errors, []);
});
