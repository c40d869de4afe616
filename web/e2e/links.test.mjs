// Links that do not lead into a room: each refusal is explained in words, and
// the same link on a second device moves the person.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { enter, person, sees } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

let server, patient, doctor;

before(async () => {
  server = await startServer();
  [patient, doctor] = await Promise.all([person('patient'), person('doctor')]);
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close()]);
  await server?.stop();
});

const create = (id) => server.api('POST', '/consultations/video/create', { doctor_id: `doc_${id}`, patient_id: `pat_${id}` });
const encode = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');

/** The page's state, and what it says. */
async function explained(p) {
  await until('an explanation', () => p.page.evaluate(() => ['explain', 'error', 'ended'].includes(document.body.dataset.state)));
  const text = await p.page.locator('main').innerText();
  assert.ok(text.length > 40, `no explanation: ${text}`);
  assert.doesNotMatch(text, /token_|undefined|null|NaN|\bJWT\b/);
  return text;
}

async function open(p, url) {
  await p.page.goto('about:blank');
  await p.page.goto(url);
}

/** Opens a link that looks like a good one until the server has seen its token. */
async function refused(p, url) {
  await open(p, url);
  const join = p.id('join-button');
  await Promise.race([join.waitFor().then(() => join.click()), until('a state', () => p.page.evaluate(() => document.body.dataset.state === 'explain' || document.body.dataset.state === 'error'))]);
  return explained(p);
}

test('a bare address waits for a token, then explains', async () => {
  const s = await create('bare');
  await open(patient, `${server.url}/room/${s.session_id}?role=patient`);
  assert.match(await explained(patient), /link/i);
});

test('tokens that must not work are refused, each in words of its own', async () => {
  const [s, other] = await Promise.all([create('a'), create('b')]);
  const [base, token] = s.patient_join_url.split('#token=');
  const [head, body] = token.split('.');
  const none = `${encode({ alg: 'none', typ: 'JWT' })}.${body}.`;
  const forged = `${head}.${body}.${createHmac('sha256', 'guess').update(`${head}.${body}`).digest('base64url')}`;
  const said = new Set();
  for (const bad of ['garbage', none, forged, other.patient_join_url.split('#token=')[1]]) {
    said.add(await refused(patient, `${base}#token=${bad}`));
  }
  assert.ok(said.size >= 3, [...said].join('\n---\n'));
});

test('a cancelled consultation says so', async () => {
  const s = await create('cancelled');
  assert.equal((await server.api('POST', `/consultations/video/${s.session_id}/cancel`)).http, 200);
  assert.match(await refused(patient, s.patient_join_url), /cancelled/i);
});

test('a patient who is waiting learns of a cancellation at once', async () => {
  const s = await create('late');
  await open(patient, s.patient_join_url);
  await patient.id('join-button').click();
  await patient.id('waiting-position').waitFor();
  await server.api('POST', `/consultations/video/${s.session_id}/cancel`);
  assert.match(await explained(patient), /cancelled/i);
});

test('a scheduled consultation counts down and joins by itself', async () => {
  const at = new Date(Date.now() + 15 * 60_000 + 6_000).toISOString();
  const s = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc_s', patient_id: 'pat_s', scheduled_at: at });
  assert.equal(s.http, 200);
  await open(patient, s.patient_join_url);
  await patient.id('join-button').click();
  await until('the waiting page', () => patient.page.evaluate(() => document.body.dataset.state === 'waiting'));
  await patient.shot('scheduled-desktop-en');
  await patient.id('waiting-position').waitFor();
});

test('the same link on a second device offers to continue there, and moves the person', async () => {
  const s = await create('moves');
  await open(patient, s.patient_join_url);
  await patient.id('join-button').click();
  await patient.id('waiting-position').waitFor();
  await open(doctor, s.doctor_join_url);
  await doctor.id('join-button').click();
  await doctor.page.locator('[data-testid^=admit-]').click();
  await sees(doctor, people.patient.rgb);
  const second = await person('guest');
  try {
    await enter(second, s.patient_join_url);
    await second.id('continue-here').click();
    await sees(doctor, people.guest.rgb);
    await until('the first device moved', () => patient.page.evaluate(() => document.body.dataset.state === 'ended'));
    await second.shot('continued-desktop-en');
  } finally {
    await second.close();
  }
});
