// Every video codec a browser sends, forwarded and decoded by the other one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { enter, person, sees, stats } from './harness/browser.mjs';
import { people } from './harness/media.mjs';
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

const withCodec = (url, codec) => url.replace('#', `&codec=${codec}#`);

for (const [codec, mime] of [['vp8', 'video/VP8'], ['h264', 'video/H264'], ['vp9', 'video/VP9'], ['av1', 'video/AV1']]) {
  test(`${mime} is forwarded and decoded both ways`, async () => {
    const s = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc', patient_id: `pat_${codec}` });
    await enter(patient, withCodec(s.patient_join_url, codec), 'Jeanne');
    await enter(doctor, withCodec(s.doctor_join_url, codec), 'Dr. Haddad');
    await doctor.page.locator('[data-testid^=admit-]').click();
    await Promise.all([sees(doctor, people.patient.rgb), sees(patient, people.doctor.rgb)]);
    for (const p of [doctor, patient]) {
      const all = await stats(p.page);
      const decoded = all.filter((x) => x.type === 'inbound-rtp' && x.kind === 'video' && x.framesDecoded > 0);
      assert.deepEqual([...new Set(decoded.map((x) => all.find((c) => c.id === x.codecId).mimeType))], [mime]);
    }
    await doctor.page.goto('about:blank');
    await patient.page.goto('about:blank');
  });
}
