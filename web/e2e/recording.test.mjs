// Recording that exists only while everyone consents, in real browsers: asked in
// each person's language, shown and sounded to all, paused by a newcomer, stopped
// by a withdrawal; then what was stored, by its decoded pictures and tones.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { enter, hears, person, phone, sees } from './harness/browser.mjs';
import { colors, picture, probe, RATE, rises, tones } from './harness/decode.mjs';
import { people } from './harness/media.mjs';
import { tempDir, until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';
import { change, onStage, ownSkew, stageArgs } from './harness/stage.mjs';

/** What the doctor shows and sounds like while it may be recorded, and while it must not. */
const open = { rgb: [32, 64, 192], hz: 2000 };
const secret = { rgb: [200, 0, 200], hz: 3000 };
/** Media on its way takes this long at most (ms), also on a slow machine. */
const ON_THE_WAY = 1_500;
const pause = (ms) => new Promise((r) => setTimeout(r, ms));

/** Who is told by which colour, while they may be seen. */
const parts = { patient: people.patient.rgb, doctor: open.rgb, guest: people.guest.rgb };

let server, patient, doctor, guest, session, recording, files, guestAt, made;

/** Notes what the page says aloud: the sentences where it has a voice, else the tones. */
function listenToHerald() {
  window.aloud = [];
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...a) {
    window.aloud.push(Math.round(this.frequency.value));
    return start.apply(this, a);
  };
  speechSynthesis.speak = (u) => {
    window.aloud.push(u.text);
    setTimeout(() => u.onstart?.(), 0);
  };
}
const aloud = (p) => p.page.evaluate(() => window.aloud.splice(0));
/** Either the sentence, or the two tones that stand for it. */
const saidAloud = (p, sentence, hz) =>
  until(`${p.who} hearing "${sentence}"`, async () => {
    const said = await p.page.evaluate(() => window.aloud);
    const ok = said.includes(sentence) || hz.every((f) => said.includes(f));
    if (ok) await aloud(p);
    return ok || Promise.reject(new Error(JSON.stringify(said)));
  });
const up = [392, 587];
const down = [587, 392];

const indicates = (p, state) =>
  until(`${p.who} being shown ${state}`, () => p.page.locator(`[data-testid=recording-indicator][data-state=${state}]:visible`).count());
const announced = (p, text) => p.page.getByRole('status').filter({ hasText: text }).first().waitFor({ state: 'attached' });
const records = async () => {
  const page = await server.api('GET', `/consultations/video/${session.session_id}/recordings`);
  assert.equal(page.http, 200, JSON.stringify(page));
  return page.data;
};
/** Through the device check, in the language the person chose there. */
async function enterIn(p, url, language) {
  await p.page.goto(url);
  await p.id('lang-select').selectOption(language);
  await p.id('join-button').click();
}

before(async () => {
  server = await startServer();
  [patient, doctor, guest] = await Promise.all([
    person('patient', { viewport: phone, locale: 'fr-FR' }),
    person('doctor', { args: stageArgs }),
    person('guest', { viewport: phone, locale: 'ar-MA' }),
  ]);
  await onStage(doctor, secret);
  for (const p of [patient, doctor, guest]) await p.context.addInitScript(listenToHerald);
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close(), guest?.close()]);
  await server?.stop();
  files?.remove();
});

test('everyone is asked in their own language, and nothing is recorded', async () => {
  session = await server.api('POST', '/consultations/video/create', {
    doctor_id: 'doc_rec', patient_id: 'pat_rec', doctor_name: 'Dr. Amal Haddad', patient_name: 'Jeanne Martin', enable_recording: true,
  });
  assert.equal(session.http, 200);
  await enterIn(patient, session.patient_join_url, 'fr');
  await patient.id('waiting-position').waitFor();
  assert.equal(await patient.id('consent').count(), 0, 'asked while waiting');
  await enter(doctor, session.doctor_join_url);
  await doctor.page.locator('[data-testid^=admit-]').click();
  await Promise.all([patient.id('consent').waitFor(), doctor.id('consent').waitFor()]);
  await sees(patient, secret.rgb);
  assert.match(await patient.id('consent-text').innerText(), /^Nous vous demandons si cette consultation peut être enregistrée/);
  assert.equal(await patient.id('consent-text').getAttribute('lang'), 'fr');
  assert.match(await doctor.id('consent-text').innerText(), /^You are asked whether this consultation may be recorded/);
  for (const p of [patient, doctor]) assert.equal(await p.id('recording-indicator').count(), 0);
});

test('agreeing and declining look the same, and the picture stays in sight', async () => {
  const look = (id) =>
    patient.id(id).evaluate((e) => {
      const { width, height } = e.getBoundingClientRect();
      const s = getComputedStyle(e);
      return [Math.round(width), Math.round(height), s.fontSize, s.fontWeight, s.color, s.backgroundColor, s.borderColor, s.borderWidth].join(' ');
    });
  assert.equal(await look('consent-grant'), await look('consent-deny'));
  const video = await patient.page.locator('[data-testid=remote-video]:visible').first().boundingBox();
  const card = await patient.id('consent').boundingBox();
  assert.ok(video.height > 150, `${video.height} px of the doctor are left`);
  assert.ok(card.y >= video.y + video.height - 1, 'the question lies over the picture');
  assert.ok(await patient.id('mic-toggle').isEnabled());
});

test('declining lets care go on, tells the doctor calmly, and nothing is recorded', async () => {
  await patient.id('consent-deny').click();
  await patient.id('consent').waitFor({ state: 'detached' });
  await doctor.id('info-banner').getByText('Jeanne Martin').waitFor();
  await doctor.id('record-toggle').click();
  await Promise.all([indicates(doctor, 'waiting'), indicates(patient, 'waiting')]);
  await doctor.id('consent-grant').click();
  await until('the doctor reading who it waits for', async () => {
    const text = await doctor.id('recording-chip').innerText();
    return text.includes('Jeanne Martin') && !/\byou\b/.test(text);
  });
  assert.doesNotMatch(await patient.id('recording-chip').innerText(), /Jeanne|Haddad/);
  await Promise.all([hears(doctor, people.patient.tone), sees(doctor, people.patient.rgb), sees(patient, secret.rgb)]);
  const [r] = await records();
  assert.equal(r.duration_seconds, 0);
  assert.ok(!(await aloud(patient)).some((x) => typeof x === 'string' || x === up[0]), 'it was said that it records');
  await Promise.all([patient.shot('recording-waits-phone-fr'), doctor.shot('recording-waits-desktop-en')]);
});

test('it records from the moment the last one agrees, shown and sounded to both', async () => {
  await change(doctor, open);
  await pause(ON_THE_WAY);
  await patient.id('recording-chip').click();
  assert.match(await patient.id('consent-said').innerText(), /Vous refusez/);
  await patient.id('consent-grant').click();
  await Promise.all([indicates(doctor, 'recording'), indicates(patient, 'recording')]);
  await announced(patient, 'Cette consultation est enregistrée.');
  await Promise.all([saidAloud(patient, 'Cette consultation est enregistrée.', up), saidAloud(doctor, 'This consultation is being recorded.', up)]);
  await until('the time counting', async () => /0:0[2-9]/.test(await patient.id('recording-chip').innerText()));
  await Promise.all([patient.shot('recording-phone-fr'), doctor.shot('recording-desktop-en')]);
  await pause(10_000);
});

test('the chat does not cover that one is recorded', async () => {
  await patient.id('chat-toggle').click();
  await patient.id('chat-input').waitFor();
  const seen = await patient.id('recording-chip').evaluate((e) => {
    const r = e.getBoundingClientRect();
    return e.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2));
  });
  assert.ok(seen);
  await patient.shot('recording-chat-phone-fr');
  await patient.id('chat-toggle').click({ trial: true, timeout: 500 }).catch(() => undefined);
  await patient.page.keyboard.press('Escape');
});

test('a newcomer pauses it until they have agreed, asked in their own language', async () => {
  const link = await server.api('POST', `/consultations/video/${session.session_id}/tokens`, { role: 'guest', name: 'Paul Martin' });
  await enterIn(guest, link.join_url, 'ar');
  await Promise.all([indicates(doctor, 'paused'), indicates(patient, 'paused'), indicates(guest, 'paused')]);
  await change(doctor, secret);
  await saidAloud(patient, 'L’enregistrement est en pause.', down);
  assert.match(await guest.id('consent-text').innerText(), /^نسألك هل توافق على تسجيل هذه الاستشارة/);
  assert.match(await doctor.id('recording-chip').innerText(), /Paul Martin/);
  await sees(guest, secret.rgb);
  await Promise.all([guest.shot('recording-asked-phone-ar'), doctor.shot('recording-paused-desktop-en')]);
  await pause(2_000);
  await change(doctor, open);
  await pause(ON_THE_WAY);
  await guest.id('consent-grant').click();
  await Promise.all([patient, doctor, guest].map((p) => indicates(p, 'recording')));
  await saidAloud(guest, 'استؤنف التسجيل. يجري الآن تسجيل هذه الاستشارة.', up);
  await pause(6_000);
});

test('a withdrawal stops it at once, for all, and stands over a reload', async () => {
  await aloud(patient);
  await patient.id('recording-chip').click();
  await patient.id('consent-withdraw').click();
  await indicates(patient, 'paused');
  await change(doctor, secret);
  await Promise.all([indicates(doctor, 'paused'), indicates(guest, 'paused')]);
  await saidAloud(patient, 'Vous avez retiré votre consentement. L’enregistrement est arrêté.', down);
  await doctor.id('info-banner').getByText('Jeanne Martin').waitFor();
  await pause(2_000);
  await patient.page.reload();
  await indicates(patient, 'paused');
  assert.equal(await patient.id('consent').count(), 0, 'asked again after a withdrawal');
  await patient.id('recording-chip').click();
  assert.match(await patient.id('consent-said').innerText(), /Vous avez retiré votre consentement/);
  await sees(patient, secret.rgb);
});

test('the doctor stops it, and the call goes on', async () => {
  await doctor.id('record-toggle').click();
  await until('no indicator', async () => (await Promise.all([patient, doctor, guest].map((p) => p.id('recording-indicator').count()))).every((n) => n === 0));
  await saidAloud(guest, 'توقف التسجيل.', down);
  assert.equal((await server.api('GET', `/consultations/video/${session.session_id}/status`)).status, 'active');
  await hears(doctor, people.patient.tone);
});

test('what was said is on record, with the text that was shown', async () => {
  const { data } = await server.api('GET', `/consultations/video/${session.session_id}/consents`);
  const said = data.map((c) => `${c.role} ${c.decision} ${c.wording?.language ?? ''}`.trim());
  assert.deepEqual(said, ['patient declined fr', 'doctor granted en', 'patient granted fr', 'guest granted ar', 'patient withdrawn fr']);
});

test('the call ends, and files are made of the recording', async () => {
  made = await ownSkew(doctor);
  await doctor.id('end-button').click();
  await doctor.id('end-confirm').click();
  for (const p of [doctor, patient, guest]) await until(`${p.who}'s ended page`, () => p.page.evaluate(() => document.body.dataset.state === 'ended'));
  recording = await until('the files', async () => {
    const [r] = await records();
    return (r.state === 'ready' && r) || Promise.reject(new Error(JSON.stringify(r)));
  }, 400_000);
  files = tempDir('recording');
  for (const f of recording.files) {
    const res = await fetch(`${server.url}/api/v1/recordings/${recording.recording_id}/files/${f.file_id}`, { headers: { 'X-API-Key': server.key } });
    assert.equal(res.status, 200);
    const body = Buffer.from(await res.arrayBuffer());
    assert.equal(body.length, f.size_bytes);
    writeFileSync(path.join(files.dir, f.file_id), body);
  }
});

for (const [id, video, audio] of [['composed-webm', /vp[89]|av1/, /opus/], ['composed-mp4', /h264/, /aac/]]) {
  test(`${id}: pictures, tones, pauses and sync`, async () => {
    const file = path.join(files.dir, id);
    const p = probe(file);
    assert.match(p.streams.find((s) => s.kind === 'video').codec, video);
    assert.match(p.streams.find((s) => s.kind === 'audio').codec, audio);
    const whole = recording.gaps.filter((g) => g.track === null);
    const paused = whole.reduce((sum, g) => sum + g.to_seconds - g.from_seconds, 0);
    assert.ok(recording.duration_seconds > 14, `${recording.duration_seconds} s were recorded`);

    const rows = colors(file, { ...parts, secret: secret.rgb, flash: [255, 255, 255] });
    const heard = tones(file, { patient: people.patient.tone, guest: people.guest.tone, beep: open.hz, secret: secret.hz });
    const most = (list, name) => Math.max(...list.map((r) => r[name]));
    const shown = (name) => rows.filter((r) => r[name] > 0.1).length / RATE;

    // Everyone who agreed is there, the guest only at the end.
    assert.ok(shown('patient') > 12, `the patient is seen for ${shown('patient')} s`);
    assert.ok(shown('doctor') > 10, `the doctor is seen for ${shown('doctor')} s`);
    assert.ok(shown('guest') > 3, `the guest is seen for ${shown('guest')} s`);
    const guestFrom = rows.find((r) => r.guest > 0.05).at;
    guestAt = rows.findLast((r) => r.guest > 0.05).at - 1;
    assert.ok(guestFrom > 9, `the guest is seen from ${guestFrom} s on`);
    assert.ok(most(heard, 'patient') > 0.05 && most(heard, 'beep') > 0.05);

    // What was shown and sounded while somebody had not agreed is nowhere.
    assert.ok(most(rows, 'secret') < 0.01, `${most(rows, 'secret')} of a picture was never agreed to`);
    assert.ok(most(heard, 'secret') < most(heard, 'beep') / 10, `a tone of ${most(heard, 'secret')} was never agreed to`);

    // The pause is as long as it was, with nobody in it and not a sound.
    const blank = rows.filter((r) => r.patient + r.doctor + r.guest + r.flash < 0.05).map((r) => r.at);
    assert.ok(blank.length > 2 * RATE, 'no pause is shown');
    const silent = heard.filter((r) => r.at > blank[10] && r.at < blank.at(-10));
    assert.ok(most(silent, 'patient') < 0.02, 'sound in the pause');
    assert.ok(Math.abs(p.duration - recording.duration_seconds - Math.min(paused, blank.length / RATE)) < 2, `${p.duration} s, of which ${recording.duration_seconds} recorded and ${paused} paused`);

    // Each beep comes with its flash.
    const flashes = rises(rows, 'flash', most(rows, 'flash') / 2);
    const beeps = rises(heard, 'beep', most(heard, 'beep') / 2);
    const apart = flashes
      .map((f) => beeps.map((b) => b - f).sort((a, b) => Math.abs(a) - Math.abs(b))[0])
      .filter((d) => Math.abs(d) < 0.4)
      .sort((a, b) => a - b);
    assert.ok(apart.length >= 10, `${apart.length} beeps with a flash`);
    const median = apart[apart.length >> 1];
    const ms = (x) => Math.round(x * 1000);
    console.log(`${id}: ${p.duration.toFixed(2)} s; beep after flash by ${ms(median)} ms (${apart.length}, ${ms(apart[0])} to ${ms(apart.at(-1))}), where it was made by ${ms(made)} ms`);
    assert.ok(Math.abs(median) <= 0.06, `beep and flash are ${ms(median)} ms apart`);
  });

  test(`${id}: plays and seeks in the browser`, async () => {
    const { url } = await server.api('POST', `/recordings/${recording.recording_id}/links`, { file_id: id, expires_in: 600 });
    const page = await doctor.context.newPage();
    let ranges = 0;
    page.on('response', (r) => (ranges += r.status() === 206 ? 1 : 0));
    // As in the page of whoever integrates it, which has another origin.
    await page.setContent(`<video muted width="640" height="360" preload="auto" src="${url}"></video>`);
    const video = page.locator('video');
    await until('the file opened', () => video.evaluate((v) => v.readyState >= 1 || Promise.reject(new Error(v.error?.message))));
    const at = async (seconds) => {
      await video.evaluate((v, to) => new Promise((resolve, reject) => {
        v.addEventListener('seeked', resolve, { once: true });
        setTimeout(() => reject(new Error('it never came there')), 20_000);
        v.currentTime = to;
      }), seconds);
      await until('the picture', () => video.evaluate((v) => v.readyState >= 2));
      await pause(300);
      return picture(await video.screenshot(), parts);
    };
    const duration = await video.evaluate((v) => v.duration);
    const [end, start] = [await at(guestAt), await at(4)];
    const played = await video.evaluate(async (v) => {
      const from = v.currentTime;
      await v.play();
      await new Promise((r) => setTimeout(r, 2_000));
      return v.currentTime - from;
    });
    await page.close();
    assert.ok(Math.abs(duration - probe(path.join(files.dir, id)).duration) < 0.3, `${duration} s`);
    assert.ok(played > 0.7, `it went on by ${played} s in two seconds`);
    assert.ok(ranges > 0, 'no range was asked for');
    assert.ok(end.guest > 0.05, `the guest is not where they were: ${JSON.stringify(end)}`);
    assert.ok(start.patient > 0.1 && start.guest < 0.01, `the beginning is not what it was: ${JSON.stringify(start)}`);
  });
}

test('no page threw, nothing was fetched from elsewhere, nothing private was logged', () => {
  for (const p of [patient, doctor, guest]) {
    assert.deepEqual(p.errors, []);
    assert.deepEqual(p.outside, []);
  }
  for (const word of ['eyJ', server.key, 'Jeanne', 'Paul Martin']) assert.ok(!server.log.includes(word), `the log contains ${word}`);
});
