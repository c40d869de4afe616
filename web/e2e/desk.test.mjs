// What a doctor does from the desk, in real browsers: writes to a patient who
// waits, says "away", hands the patient on, declines with a reason.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, person, phone, sees } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

let server, patient, first, second, session;

const text = async (locator) => (await locator.innerText()).replaceAll(/[\u2066-\u2069]/g, '');

async function openDesk(p, doctor) {
  const { dashboard_url: url } = await server.api('POST', `/doctors/${doctor}/dashboard`, {});
  await p.page.goto('about:blank');
  await p.page.goto(url);
  await p.id('presence').waitFor();
}

before(async () => {
  server = await startServer();
  [patient, first, second] = await Promise.all([
    person('patient', { viewport: phone }),
    person('guest'),
    person('doctor'),
  ]);
});

after(async () => {
  await Promise.all([patient?.close(), first?.close(), second?.close()]);
  await server?.stop();
});

test('the patient reads what the doctor writes, and that the doctor is away', async () => {
  session = await server.api('POST', '/consultations/video/create', {
    doctor_id: 'doc_1',
    patient_id: 'pat_1',
    doctor_name: 'Dr. Ada Eins',
    patient_name: 'Jeanne Martin',
    language: 'en',
  });
  await openDesk(first, 'doc_1');
  await enter(patient, session.patient_join_url);
  await patient.id('waiting-position').waitFor();
  await until('the doctor is here', async () => (await patient.id('doctor-presence').getAttribute('data-online')) === 'true');

  await first.page.locator('[data-testid^=message-wt_]').click();
  await first.id('task-text').fill('Ten minutes late, sorry.');
  await first.id('task-submit').click();
  await patient.id('waiting-message').waitFor();
  assert.match(await text(patient.id('waiting-message')), /Dr\. Ada Eins[^]*Ten minutes late, sorry\./);
  await first.page.locator('[data-testid=task-submit]').waitFor({ state: 'detached' });
  await first.id('presence-away').check();
  await until('away', async () => (await patient.id('doctor-presence').getAttribute('data-presence')) === 'away');
  await patient.shot('waiting-message-phone-en');
  await first.shot('desk-actions-desktop-en');
});

test('another doctor admits her, with the same link and what was written', async () => {
  await openDesk(second, 'doc_2');
  const at = patient.page.url();
  await first.page.locator('[data-testid^=transfer-wt_]').click();
  await first.id('task-doctor_id').fill('doc_2');
  await first.id('task-doctor_name').fill('Dr. Bo Zwei');
  await first.id('task-submit').click();
  const admit = second.page.locator('[data-testid^=admit-wt_]');
  await admit.waitFor();
  await until('the first desk is empty', async () => (await first.page.locator('[data-testid^=admit-wt_]').count()) === 0);
  await until('the new doctor’s name', async () => (await text(patient.page.locator('main'))).includes('Dr. Bo Zwei'));
  await until('the new doctor is here', async () => (await patient.id('doctor-presence').getAttribute('data-presence')) === 'available');
  assert.equal(await patient.id('waiting-message').count(), 1);

  // The first doctor's own link is dead, the patient's is not: it survives a reload.
  await first.page.goto('about:blank');
  await enter(first, session.doctor_join_url);
  await first.id('error-banner').waitFor();
  assert.equal(await first.id('error-banner').getAttribute('data-reason'), 'token_revoked');
  await patient.page.reload();
  await patient.id('waiting-position').waitFor();
  assert.equal(patient.page.url(), at);

  await admit.click();
  await second.id('join-button').click();
  await Promise.all([sees(second, people.patient.rgb), sees(patient, people.doctor.rgb)]);
  const status = await server.api('GET', `/consultations/video/${session.session_id}/status`);
  assert.deepEqual([status.status, status.doctor_id], ['active', 'doc_2']);
  await second.id('end-button').click();
  await until('ended', async () => (await patient.page.locator('body').getAttribute('data-state')) === 'ended');
});

test('moving by keyboard keeps the focus', async () => {
  for (const p of ['pat_2', 'pat_3']) {
    await server.api('POST', '/consultations/waiting-room/join', { doctor_id: 'doc_1', patient_id: p, patient_name: p, reason: 'cough' });
  }
  await openDesk(first, 'doc_1');
  const names = () => first.page.locator('.ticket h3').allInnerTexts();
  await until('two patients', async () => (await names()).length === 2);
  const up = first.page.locator('[data-testid^=up-wt_]').nth(1);
  const id = await up.getAttribute('data-testid');
  await up.focus();
  await first.page.keyboard.press('Enter');
  await until('the order', async () => (await names()).join() === 'pat_3,pat_2');
  assert.equal(await first.page.evaluate(() => document.activeElement?.getAttribute('data-testid')), id);
  assert.match(await text(first.id('desk-done')), /pat_3 is now at place 1/);
});

test('declining tells her why, now and when she opens the link again', async () => {
  const declined = await server.api('POST', '/consultations/video/create', {
    doctor_id: 'doc_3', patient_id: 'pat_1', doctor_name: 'Dr. Chi Drei', patient_name: 'Jeanne Martin', language: 'en',
  });
  await openDesk(first, 'doc_3');
  await patient.page.goto('about:blank');
  await enter(patient, declined.patient_join_url);
  await patient.id('waiting-position').waitFor();
  await first.page.locator('[data-testid^=decline-wt_]').click();
  await first.id('task-reason').fill('Please go to the emergency department now.');
  await first.id('task-submit').click();
  await patient.id('decline-note').waitFor();
  assert.match(await text(patient.id('decline-note')), /Please go to the emergency department now\./);
  await patient.shot('declined-phone-en');
  await patient.page.goto('about:blank');
  await enter(patient, declined.patient_join_url);
  await patient.id('decline-note').waitFor();
  assert.equal(await patient.id('error-banner').getAttribute('data-reason'), 'consultation_cancelled');
});

test('no page threw an error, and no log holds what was written', async () => {
  for (const p of [patient, first, second]) {
    assert.deepEqual(p.errors, []);
    assert.deepEqual(p.outside, []);
  }
  for (const secret of ['Ten minutes late', 'emergency department', 'Jeanne']) assert.ok(!server.log.includes(secret), secret);
});
