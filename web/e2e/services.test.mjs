// The same on a real Redis and PostgreSQL, with three people, and with the
// server restarted while they talk.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, hears, person, remoteColors, sees } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';
import { startPostgres, startRedis } from './harness/services.mjs';

let redis, postgres, server, patient, doctor, guest, session;

before(async () => {
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  server = await startServer({ CHATMED_REDIS_URL: redis.url, CHATMED_DATABASE_URL: postgres.url });
  [patient, doctor, guest] = await Promise.all(['patient', 'doctor', 'guest'].map((w) => person(w)));
  session = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc_1', patient_id: 'pat_1', patient_name: 'Jeanne Martin' });
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close(), guest?.close()]);
  await server?.stop();
  await Promise.all([redis?.stop(), postgres?.stop()]);
});

const allSeeAll = () =>
  Promise.all([
    sees(doctor, people.patient.rgb), sees(doctor, people.guest.rgb),
    sees(patient, people.doctor.rgb), sees(patient, people.guest.rgb),
    sees(guest, people.doctor.rgb), sees(guest, people.patient.rgb),
  ]);

test('the doctor sees the patient on the dashboard and admits from there', async () => {
  await enter(patient, session.patient_join_url);
  await patient.id('waiting-position').waitFor();
  const { dashboard_url: url } = await server.api('POST', '/doctors/doc_1/dashboard', {});
  await doctor.page.goto(url);
  const admit = doctor.page.locator('[data-testid^=admit-]');
  await admit.waitFor();
  assert.match(await doctor.page.locator('body').innerText(), /Jeanne Martin/);
  await doctor.shot('dashboard-desktop-en');
  await admit.click();
  await doctor.page.waitForURL(/\/room\//);
  await doctor.id('join-button').click();
  await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb)]);
});

test('a third person joins; everyone sees and hears everyone', async () => {
  const made = await server.api('POST', `/consultations/video/${session.session_id}/tokens`, { role: 'guest', name: 'Paul Martin' });
  assert.equal(made.http, 200);
  await enter(guest, made.join_url);
  await allSeeAll();
  await Promise.all([hears(doctor, people.guest.tone), hears(patient, people.guest.tone), hears(guest, people.patient.tone)]);
  assert.equal((await remoteColors(doctor.page)).length, 2);
  await doctor.shot('three-desktop-en');
});

test('the server restarts; everyone is back in the call by themselves', async () => {
  await server.restart();
  await allSeeAll();
  await Promise.all([hears(doctor, people.patient.tone), hears(patient, people.doctor.tone)]);
  const now = await server.api('GET', `/consultations/video/${session.session_id}/status`);
  assert.equal(now.status, 'active');
});

test('Redis restarts empty; a new patient still finds the queue', async () => {
  await redis.restart();
  const place = await until('joining the waiting room', async () => {
    const r = await server.api('POST', '/consultations/waiting-room/join', { doctor_id: 'doc_2', patient_id: 'pat_2', reason: 'cough' });
    return r.http === 200 && r;
  });
  assert.equal(place.position, 1);
});

test('the guest leaves; the others go on', async () => {
  await guest.id('leave-button').click();
  await until('one remote picture', async () => (await remoteColors(doctor.page)).length === 1);
  await sees(doctor, people.patient.rgb);
});
