// What a call on a bad link shows.
import { inCall, names, on, person, session, soon, token } from './scenarios.mjs';

export function networkScenarios(lang) {
  const n = names[lang];
  const at = `/room/vs_1?role=patient#token=${token('patient', lang, n.patient)}`;
  const pair = [person('prt_self', 'patient', n.patient), person('prt_d', 'doctor', n.doctor)];
  const scenario = (participants = pair) => ({
    camera: 'person',
    session: session(n, lang, { status: 'active', started_at: soon(-7.2) }),
    participants,
    flows: participants
      .filter((p) => p.id !== 'prt_self')
      .map((p, i) => ({ participant_id: p.id, source: 'camera', hue: 205 - 75 * i })),
  });
  const quality = (level, more = {}) => ({
    type: 'quality',
    level,
    score: 50,
    why: level === 'excellent' ? null : 'bandwidth',
    direction: level === 'excellent' ? null : 'down',
    video: 'full',
    audio: 'full',
    ...more,
  });
  const told =
    (message, { freeze = false } = {}) =>
    async (page) => {
      await inCall(page);
      await page.evaluate((m) => window.fakeServer.push(m), message);
      if (!freeze) return;
      await page.evaluate(() => window.fakeServer.freeze());
      await page.waitForSelector('[data-testid=tile-cover]');
    };
  const stalled = { muted: false, stalled: true };
  const group = [
    ...pair,
    person('prt_i', 'interpreter', 'Nour El-Sayed'),
    person('prt_g', 'guest', n.guest, { ...on, camera: { muted: true } }),
  ];
  return {
    'quality-excellent': { at, scenario: scenario(), steps: told(quality('excellent')) },
    'quality-reduced': { at, scenario: scenario(), steps: told(quality('poor', { video: 'layer' })) },
    'quality-up': { at, scenario: scenario(), steps: told(quality('bad', { direction: 'up', why: 'loss' })) },
    'quality-sound-only': {
      at,
      scenario: scenario(),
      steps: told(quality('bad', { video: 'paused' }), { freeze: true }),
    },
    speaker: {
      at,
      scenario: scenario(group),
      steps: told({ type: 'speaker', participant_id: 'prt_i' }),
    },
    stalled: {
      at,
      scenario: scenario(),
      steps: told({
        type: 'participants',
        participants: [
          person('prt_self', 'patient', n.patient, { ...on, microphone: stalled }),
          person('prt_d', 'doctor', n.doctor, { camera: stalled, microphone: on.microphone }),
        ],
      }),
    },
    'stalled-sound': {
      at,
      scenario: scenario(),
      steps: told({
        type: 'participants',
        participants: [
          person('prt_self', 'patient', n.patient, { ...on, camera: stalled }),
          person('prt_d', 'doctor', n.doctor, { camera: on.camera, microphone: stalled }),
        ],
      }),
    },
  };
}
