// Every page state at phone and desktop width in three languages, kept as
// pictures; and what a picture alone would not prove: direction, no horizontal
// scrolling, no text cut off, no control below 44 px.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { desktop, person, phone, sees } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

const languages = { en: 'en-GB', fr: 'fr-FR', ar: 'ar-MA' };
const sizes = { phone, desktop };
let server, patient, doctor;

before(async () => {
  server = await startServer();
  [patient, doctor] = await Promise.all([person('patient'), person('doctor')]);
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close()]);
  await server?.stop();
});

/** Problems a person would see: things cut off, too small to touch, or off the page. */
function layout() {
  const found = [];
  if (document.documentElement.scrollWidth > window.innerWidth) found.push(`scrolls sideways: ${document.documentElement.scrollWidth}`);
  for (const e of document.querySelectorAll('button, select, a, input, h1, h2, p, label')) {
    const r = e.getBoundingClientRect();
    if (r.width === 0 || r.height === 0 || getComputedStyle(e).visibility === 'hidden' || e.closest('.visually-hidden')) continue;
    const name = `${e.tagName} ${e.dataset.testid ?? ''} ${e.textContent.trim().slice(0, 30)}`;
    if (r.left < -1 || r.right > window.innerWidth + 1) found.push(`off the page: ${name}`);
    if (/^(BUTTON|SELECT)$/.test(e.tagName) && (r.height < 43.5 || r.width < 43.5)) found.push(`under 44 px: ${name} ${r.width}×${r.height}`);
    if (e.tagName === 'BUTTON' && e.scrollWidth > e.clientWidth + 1) found.push(`cut off: ${name}`);
  }
  return found;
}

async function look(p, name, lang, size) {
  const dir = await p.page.evaluate(() => document.documentElement.dir || 'ltr');
  assert.equal(dir, lang === 'ar' ? 'rtl' : 'ltr', `${name} in ${lang}`);
  assert.deepEqual(await p.page.evaluate(layout), [], `${name} ${size} ${lang}`);
  await p.shot(`${name}-${size}-${lang}`);
}

for (const size of Object.keys(sizes)) {
  for (const lang of Object.keys(languages)) {
    test(`${size} in ${lang}`, async () => {
      const created = await server.api('POST', '/consultations/video/create', {
        doctor_id: `doc_${size}_${lang}`, patient_id: 'pat', language: lang, patient_name: 'Jeanne Martin', doctor_name: 'Dr. Amal Haddad',
      });
      await server.api('POST', '/consultations/waiting-room/join', {
        doctor_id: `doc_${size}_${lang}`, patient_id: 'pat', reason: 'Fever since Sunday, a dry cough and pain when breathing in deeply',
      });
      for (const p of [patient, doctor]) await p.page.setViewportSize(sizes[size]);
      const open = async (p, url) => {
        await p.page.goto('about:blank');
        await p.page.goto(url);
      };
      await open(patient, `${server.url}/`);
      await look(patient, 'start', await patient.page.evaluate(() => document.documentElement.lang.slice(0, 2)), size);
      await open(patient, created.patient_join_url);
      await patient.id('join-button').waitFor();
      await patient.id('lang-select').selectOption(lang);
      await look(patient, 'check', lang, size);
      await patient.id('join-button').click();
      await patient.id('waiting-position').waitFor();
      await look(patient, 'waiting', lang, size);
      const { dashboard_url: desk } = await server.api('POST', `/doctors/doc_${size}_${lang}/dashboard`, {});
      await open(doctor, desk);
      await doctor.page.locator('[data-testid^=admit-]').waitFor();
      await doctor.id('lang-select').selectOption(lang);
      await look(doctor, 'desk', lang, size);
      await open(doctor, created.doctor_join_url);
      await doctor.id('join-button').waitFor();
      await doctor.id('lang-select').selectOption(lang);
      await doctor.id('join-button').click();
      await doctor.page.locator('[data-testid^=admit-]').waitFor();
      await look(doctor, 'alone', lang, size);
      await doctor.page.locator('[data-testid^=admit-]').click();
      await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb)]);
      await look(patient, 'call', lang, size);
      await look(doctor, 'call-doctor', lang, size);
      await patient.id('chat-toggle').click();
      await patient.id('chat-input').fill('38.4');
      await patient.id('chat-send').click();
      await look(patient, 'chat', lang, size);
      await server.api('POST', `/consultations/video/${created.session_id}/end`);
      await until('the end', () => patient.page.evaluate(() => document.body.dataset.state === 'ended'));
      await look(patient, 'ended', lang, size);
    });
  }
}

// The states of recording, on a current phone.
for (const [size, viewport] of Object.entries({ phone: { width: 390, height: 844 }, desktop })) {
  for (const lang of Object.keys(languages)) {
    test(`recording, ${size} in ${lang}`, async () => {
      const created = await server.api('POST', '/consultations/video/create', {
        doctor_id: `doc_rec_${size}_${lang}`, patient_id: 'pat', language: lang, patient_name: 'Jeanne Martin', doctor_name: 'Dr. Amal Haddad', enable_recording: true,
      });
      for (const [p, url] of [[patient, created.patient_join_url], [doctor, created.doctor_join_url]]) {
        await p.page.setViewportSize(viewport);
        await p.page.goto('about:blank');
        await p.page.goto(url);
        await p.id('lang-select').selectOption(lang);
        await p.id('join-button').click();
      }
      await doctor.page.locator('[data-testid^=admit-]').click();
      await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb)]);
      const state = (s) =>
        Promise.all([patient, doctor].map((p) => p.page.locator(`[data-testid=recording-indicator][data-state=${s}]`).waitFor()));
      const both = async (name) => {
        await look(patient, `rec-${name}`, lang, size);
        await look(doctor, `rec-${name}-doctor`, lang, size);
      };
      await both('asked');
      await patient.id('consent-deny').click();
      await doctor.id('info-banner').waitFor();
      await doctor.id('record-toggle').click();
      await doctor.id('consent-grant').click();
      await state('waiting');
      await doctor.id('consent').waitFor({ state: 'detached' });
      await both('waiting');
      await patient.id('recording-chip').click();
      await doctor.id('recording-chip').click();
      await both('declined');
      await patient.id('consent-grant').click();
      await state('recording');
      await doctor.id('consent-close').click();
      await both('recording');
      await patient.id('recording-chip').click();
      await look(patient, 'rec-granted', lang, size);
      await patient.id('consent-withdraw').click();
      await state('paused');
      await both('paused');
      await server.api('POST', `/consultations/video/${created.session_id}/end`);
      await until('the end', () => patient.page.evaluate(() => document.body.dataset.state === 'ended'));
    });
  }
}
