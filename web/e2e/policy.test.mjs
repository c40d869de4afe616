// The pages under their own security policy: nothing they do is refused, and a
// frame of a page that is not listed is.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { enter, person, sees } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { freePort, until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

let server, patient, doctor, session, stranger, strangers;

/** Collects what the policy refused, in every frame and page of the person. */
async function watched(who) {
  const p = await person(who);
  p.refused = [];
  await p.context.exposeFunction('policyRefused', (what) => p.refused.push(what));
  await p.context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) =>
      window.policyRefused(`${location.pathname}: ${e.effectiveDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`),
    );
  });
  return p;
}

before(async () => {
  const port = await freePort();
  server = await startServer({}, { origins: 'https://clinic.example' });
  session = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc_p', patient_id: 'pat_p' });
  stranger = `http://localhost:${port}`;
  strangers = createServer((req, res) => {
    res.setHeader('Content-Type', 'text/html; charset=utf-8');
    res.end(`<!doctype html><html lang="en"><title>Another site</title>
      ${['/', '/doctor', `/room/${session.session_id}`].map((p) => `<iframe src="${server.url}${p}"></iframe>`).join('')}</html>`);
  });
  await new Promise((r) => strangers.listen(port, 'localhost', r));
  [patient, doctor] = await Promise.all([watched('patient'), watched('doctor')]);
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close()]);
  strangers?.close();
  await server?.stop();
});

test('the pages do nothing that their policy refuses', async () => {
  await patient.page.goto(`${server.url}/`);
  await patient.page.locator('h1').first().waitFor();
  await doctor.page.goto(`${server.url}/doctor`);
  await until('the desk', () => doctor.page.evaluate(() => document.getElementById('app').childElementCount > 0));
  await enter(patient, session.patient_join_url);
  await enter(doctor, session.doctor_join_url);
  await doctor.page.locator('[data-testid^=admit-]').click();
  await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb)]);
  assert.deepEqual([...patient.refused, ...doctor.refused], []);
  assert.deepEqual([...patient.errors, ...doctor.errors], []);
});

test('a page that tries what it may not is refused', async () => {
  const tried = await patient.page.evaluate(async () => {
    const s = document.createElement('script');
    s.textContent = 'window.injected = true';
    document.body.append(s);
    const outside = await fetch('https://elsewhere.example/').then(
      () => 'sent',
      () => 'refused',
    );
    return { injected: Boolean(window.injected), outside };
  });
  assert.equal(tried.injected, false);
  assert.equal(tried.outside, 'refused');
  await until('both reports', () => patient.refused.length >= 2);
});

test('no page shows inside a site that the key does not list', async () => {
  await doctor.page.goto(stranger);
  await until('three refused frames', async () => {
    const inside = await Promise.all(doctor.page.frames().slice(1).map((f) => f.locator('#app').count()));
    return inside.length === 3 && doctor.page.frames().slice(1).every((f) => f.url().startsWith('chrome-error:')) && inside.every((n) => n === 0);
  });
});
