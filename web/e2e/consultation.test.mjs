// A whole consultation in two real browsers: created by REST, waited for,
// admitted, seen and heard, ended.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, hears, hearsNot, person, phone, sees, stats } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
import { until } from './harness/process.mjs';
import { startServer } from './harness/server.mjs';

let server, patient, doctor, session;

const status = async () => (await server.api('GET', `/consultations/video/${session.session_id}/status`)).status;

before(async () => {
  server = await startServer();
  [patient, doctor] = await Promise.all([person('patient', { viewport: phone }), person('doctor')]);
});

after(async () => {
  await Promise.all([patient?.close(), doctor?.close()]);
  await server?.stop();
});

test('created by REST as documented', async () => {
  session = await server.api('POST', '/consultations/video/create', {
    doctor_id: 'doc_abc123',
    patient_id: 'pat_xyz789',
    doctor_name: 'Dr. Amal Haddad',
    patient_name: 'Jeanne Martin',
    language: 'en',
    enable_recording: false,
  });
  assert.equal(session.http, 200);
  assert.equal(session.status, 'waiting');
  assert.match(session.session_id, /^vs_/);
  assert.match(session.doctor_join_url, new RegExp(`/room/${session.session_id}\\?role=doctor#token=`));
});

test('the patient waits, and has no media path', async () => {
  await enter(patient, session.patient_join_url);
  await patient.id('waiting-position').waitFor();
  assert.match(await patient.id('waiting-position').innerText(), /1/);
  await patient.id('waiting-estimate').waitFor();
  assert.doesNotMatch(patient.page.url(), /token/);
  const pairs = (await stats(patient.page)).filter((s) => s.type === 'candidate-pair' && s.state === 'succeeded');
  assert.equal(pairs.length, 0);
  assert.equal(await status(), 'waiting');
  await patient.shot('waiting-phone-en');
});

test('the doctor admits', async () => {
  await enter(doctor, session.doctor_join_url);
  const admit = doctor.page.locator('[data-testid^=admit-]');
  await admit.waitFor();
  await doctor.shot('doctor-alone-desktop-en');
  await admit.click();
});

test('both see and hear each other', async () => {
  await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb)]);
  await Promise.all([hears(doctor, people.patient.tone), hears(patient, people.doctor.tone)]);
  await until('status active', async () => (await status()) === 'active');
  await Promise.all([patient.shot('call-phone-en'), doctor.shot('call-desktop-en')]);
});

test('media is encrypted with AES-GCM, the server is the DTLS server', async () => {
  for (const p of [patient, doctor]) {
    const transport = (await stats(p.page)).find((s) => s.type === 'transport' && s.dtlsState === 'connected');
    assert.equal(transport.srtpCipher, 'SRTP_AEAD_AES_128_GCM');
    assert.equal(transport.dtlsRole, 'client');
  }
});

test('audio travels with redundancy, and lips stay in sync', async () => {
  // Chromium names plain Opus in its statistics either way: the size tells. A
  // packet of speech at 32 kbit/s has 80 bytes, with the one before it twice that.
  const perPacket = await until('audio packets', async () => {
    const sent = (await stats(doctor.page)).find((s) => s.type === 'outbound-rtp' && s.kind === 'audio' && s.packetsSent > 100);
    return sent && sent.bytesSent / sent.packetsSent;
  });
  assert.ok(perPacket > 110, `${perPacket} bytes per audio packet`);
  const answer = await doctor.page.evaluate(() => window.testConnections.at(-1).remoteDescription.sdp);
  assert.match(answer, /m=audio 9 UDP\/TLS\/RTP\/SAVPF 63 111/);
  const skew = await until('playout timestamps of audio and video', async () => {
    const inbound = (await stats(doctor.page)).filter((s) => s.type === 'inbound-rtp' && s.estimatedPlayoutTimestamp);
    const a = inbound.find((s) => s.kind === 'audio' && s.packetsReceived > 0);
    const v = inbound.find((s) => s.kind === 'video' && s.framesDecoded > 0);
    return a && v && { ms: a.estimatedPlayoutTimestamp - v.estimatedPlayoutTimestamp };
  });
  assert.ok(Math.abs(skew.ms) < 150, `audio and video are ${skew.ms} ms apart`);
});

test('mute silences, and is shown to the other side', async () => {
  await patient.id('mic-toggle').click();
  await hearsNot(doctor, people.patient.tone);
  await patient.id('mic-toggle').click();
  await hears(doctor, people.patient.tone);
});

test('the camera goes off and comes back', async () => {
  await patient.id('cam-toggle').click();
  await until('the picture gone', async () => (await doctor.page.locator('[data-testid=remote-video]:visible').count()) === 0);
  await doctor.shot('camera-off-desktop-en');
  await patient.id('cam-toggle').click();
  await sees(doctor, people.patient.rgb);
});

test('a shared screen appears and goes', async () => {
  await doctor.id('screen-toggle').click();
  await until('a second picture', async () => (await patient.page.locator('[data-testid=remote-video]:visible').count()) === 2);
  await until('the shared screen decoded', () =>
    patient.page.evaluate(() => [...document.querySelectorAll('[data-testid=remote-video]')].filter((v) => v.videoWidth > 2).length === 2),
  );
  await sees(patient, people.doctor.rgb);
  await patient.shot('screen-share-phone-en');
  await doctor.id('screen-toggle').click();
  await until('one picture again', async () => (await patient.page.locator('[data-testid=remote-video]:visible').count()) === 1);
});

async function openChat(p) {
  if (!(await p.id('chat-input').isVisible())) await p.id('chat-toggle').click();
  await p.id('chat-input').waitFor();
}

test('chat arrives', async () => {
  await openChat(patient);
  await patient.id('chat-input').fill('My blood pressure this morning was 142 over 88');
  await patient.id('chat-send').click();
  await openChat(doctor);
  await doctor.id('chat-message').getByText('142 over 88').waitFor();
  await Promise.all([patient.shot('chat-phone-en'), doctor.shot('chat-desktop-en')]);
});

test('a reload comes back into the call', async () => {
  await patient.page.reload();
  await until('in the call', () => patient.page.evaluate(() => document.body.dataset.state === 'call'));
  await Promise.all([sees(patient, people.doctor.rgb), sees(doctor, people.patient.rgb)]);
  await hears(doctor, people.patient.tone);
  assert.equal(await status(), 'active');
});

test('the doctor ends it for both', async () => {
  await doctor.id('end-button').click();
  const confirm = doctor.page.getByTestId('end-confirm');
  if (await confirm.isVisible().catch(() => false)) await confirm.click();
  for (const p of [doctor, patient]) {
    await until(`${p.who}'s ended page`, () => p.page.evaluate(() => document.body.dataset.state === 'ended'));
  }
  assert.equal(await status(), 'ended');
  await Promise.all([patient.shot('ended-phone-en'), doctor.shot('ended-desktop-en')]);
});

test('no page threw, nothing was fetched from elsewhere, nothing private was logged', async () => {
  for (const p of [patient, doctor]) {
    assert.deepEqual(p.errors, []);
    assert.deepEqual(p.outside, []);
  }
  for (const secret of ['eyJ', server.key, 'Jeanne', 'blood pressure']) assert.ok(!server.log.includes(secret), `the log contains ${secret}`);
});
