// A patient writes why she comes, in real browsers: where that may be an
// emergency she sees at once whom to call, and her doctor sees red.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, person, phone } from './harness/browser.mjs';
import { until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

let server, patient, doctor;

const text = async (locator) => (await locator.innerText()).replaceAll(/[\u2066-\u2069]/g, '');

/** Whether an element is on the screen without scrolling. */
const inSight = (locator) =>
  locator.evaluate((e) => {
    const box = e.getBoundingClientRect();
    return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
  });

async function visit(id, more = {}, locale) {
  const session = await server.api('POST', '/consultations/video/create', {
    doctor_id: 'doc_1', patient_id: id, doctor_name: 'Dr. Ada Eins', patient_name: `Name of ${id}`, language: locale ?? 'en', ...more,
  });
  await patient.page.goto('about:blank');
  await enter(patient, session.patient_join_url);
  await patient.id('waiting-position').waitFor();
  return session;
}

before(async () => {
  server = await startServer();
  [patient, doctor] = await Promise.all([person('patient', { viewport: phone }), person('doctor')]);
  const { dashboard_url: url } = await server.api('POST', '/doctors/doc_1/dashboard', {});
  await doctor.page.goto(url);
  await doctor.id('presence').waitFor();
  await server.api('POST', '/consultations/waiting-room/join', { doctor_id: 'doc_1', patient_id: 'first', patient_name: 'First', reason: 'a cough' });
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close()]);
  await server?.stop();
});

test('chest pain: the number is on her page at once, and the desk is red', async () => {
  await visit('pat_1', { country: 'FR' });
  assert.equal(await patient.id('emergency').count(), 0);
  await patient.id('reason-input').fill('I have severe chest pain going into my left arm and I am sweating');
  const began = Date.now();
  await patient.id('reason-save').click();
  await patient.id('emergency').waitFor();
  const took = Date.now() - began;
  assert.ok(took < 2000, `${took} ms`);
  assert.equal(await patient.id('emergency').getAttribute('data-urgency'), 'critical');
  assert.equal(await patient.id('emergency-number').getAttribute('href'), 'tel:15');
  assert.match(await text(patient.id('emergency-number')), /15/);
  assert.match(await text(patient.id('emergency')), /You keep your place/);
  // She was writing further down; she sees it all the same, large enough for a finger.
  await until('in sight', () => inSight(patient.id('emergency-number')));
  const box = await patient.id('emergency-number').boundingBox();
  assert.ok(box.height >= 44 && box.width >= 44, JSON.stringify(box));
  assert.equal(await patient.page.locator('.emergency-place').getAttribute('role'), 'alert');
  assert.equal(await patient.id('waiting-position').getAttribute('data-position'), '2');

  const card = doctor.page.locator('.ticket', { hasText: 'Name of pat_1' });
  await card.getByTestId('urgency').waitFor();
  assert.equal(await card.getByTestId('urgency').getAttribute('data-urgency'), 'critical');
  assert.match(await text(card), /Signs of an emergency[^]*severe chest pain/);
  assert.match(await text(doctor.id('desk-alarm')), /Name of pat_1 describes signs of an emergency/);
  assert.match(await text(doctor.id('alarms')), /Name of pat_1[^]*Place 2/);
  // The order of the queue is the doctor's.
  assert.deepEqual(await doctor.page.locator('.ticket h3').allInnerTexts(), ['First', 'Name of pat_1']);
  await patient.shot('emergency-phone-en');
  await doctor.shot('desk-emergency-desktop-en');
});

test('it stays over a reload, and when she takes it back', async () => {
  await patient.id('reason-input').fill('It is only a cold');
  await patient.id('reason-save').click();
  await until('saved', async () => (await text(patient.page.locator('.reason-state'))) === 'The doctor can read it now.');
  assert.equal(await patient.id('emergency').count(), 1);
  // The page notes within a second that it is inside.
  await until('noted', () => patient.page.evaluate(() => history.state.chatmed.inside === true));
  await patient.page.reload();
  await patient.id('emergency').waitFor();
  assert.equal(await patient.id('reason-input').inputValue(), 'It is only a cold');
});

test('the doctor moves her to the first place', async () => {
  await doctor.page.locator('[data-testid^=alarm-first-wt_]').click();
  await until('the order', async () => (await doctor.page.locator('.ticket h3').allInnerTexts()).join() === 'Name of pat_1,First');
  await until('her place', async () => (await patient.id('waiting-position').getAttribute('data-position')) === '1');
});

test('without a country she sees the numbers that work in most places', async () => {
  await visit('pat_2');
  await patient.id('reason-input').fill('severe chest pain going into my left arm and I am sweating');
  // Leaving the field is enough.
  await patient.page.keyboard.press('Tab');
  await patient.id('emergency').waitFor();
  assert.equal(await patient.id('emergency-number').getAttribute('href'), 'tel:112');
  assert.equal(await patient.id('emergency-other').getAttribute('href'), 'tel:911');
  assert.match(await text(patient.id('emergency-unknown')), /not everywhere/);
});

test('a reason given over the API reaches the page, in French', async () => {
  const answer = await server.api('POST', '/consultations/waiting-room/join', {
    doctor_id: 'doc_1', patient_id: 'pat_3', language: 'fr', country: 'FR',
    reason: 'J’ai une forte douleur dans la poitrine qui va dans le bras gauche et je transpire',
  });
  assert.deepEqual([answer.urgency, answer.emergency.emergency_number], ['critical', '15']);
  await patient.page.goto('about:blank');
  await enter(patient, answer.patient_join_url);
  await patient.id('emergency').waitFor();
  assert.equal(await patient.id('emergency-number').getAttribute('href'), 'tel:15');
});

test('declined, she still has the number', async () => {
  const [ticket] = (await server.api('GET', '/consultations/waiting-room/tickets?patient_id=pat_3')).data;
  await server.api('POST', `/consultations/waiting-room/${ticket.ticket_id}/decline`, { reason: 'Please call an ambulance.' });
  await patient.id('decline-note').waitFor();
  assert.equal(await patient.id('emergency-number').getAttribute('href'), 'tel:15');
  await patient.shot('emergency-declined-phone-en');
});

test('no page threw an error, and no log holds what she wrote', async () => {
  for (const p of [patient, doctor]) {
    assert.deepEqual(p.errors, []);
    assert.deepEqual(p.outside, []);
  }
  for (const secret of ['chest pain', 'poitrine', 'only a cold']) assert.ok(!server.log.includes(secret), secret);
});
