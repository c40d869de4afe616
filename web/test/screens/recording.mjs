// The states of recording: the question, the answers, the sign for everyone.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inCall, names, on, person, session, soon, token } from './scenarios.mjs';

/** The server's own texts, so that the pictures show what people read. */
const source = readFileSync(join(import.meta.dirname, '../../../recording/wording/texts.go'), 'utf8');
const days = { en: '30 days', fr: '30 jours', ar: '30 يومًا' };
const wordings = ['en', 'fr', 'ar'].map((language) => {
  const part = source.slice(source.indexOf(`"${language}": {`));
  const field = (name) => new RegExp(`${name}:\\s*["\`]([^"\`]*)["\`]`).exec(part)?.[1] ?? '';
  return {
    id: 'recording-1',
    language,
    text: field('body')
      .replaceAll('{keeper}', '\u2068Clinique du Lac\u2069')
      .replace('{term}', field('bounded').replace('{days}', days[language]))
      .replace('{after}', field('afterBounded')),
  };
});

export function recordingScenarios(lang) {
  const n = names[lang];
  const active = session(n, lang, { status: 'active', started_at: soon(-7.2), recording_enabled: true });
  const room = (role, name, publish) => `/room/vs_1?role=${role}#token=${token(role, lang, name, publish)}`;
  const flows = [{ participant_id: 'prt_o', source: 'camera', hue: 205 }];
  const rec = (state, decision, more = {}) => ({
    state,
    waiting_for: [],
    you: { decision },
    wordings,
    ...more,
  });
  const patient = (recording, more = {}) => ({
    at: room('patient', n.patient),
    scenario: {
      camera: 'person',
      session: active,
      participants: [person('prt_self', 'patient', n.patient), person('prt_o', 'doctor', n.doctor)],
      flows,
      recording,
      ...more,
    },
    steps: inCall,
  });
  const doctor = (recording, more = {}) => ({
    at: room('doctor', n.doctor),
    scenario: {
      camera: 'person',
      role: 'doctor',
      session: active,
      participants: [
        person('prt_self', 'doctor', n.doctor),
        person('prt_o', 'patient', n.patient),
        person('prt_g', 'guest', n.guest, { ...on, camera: { muted: true } }),
      ],
      flows,
      recording,
      ...more,
    },
    steps: inCall,
  });
  const open = (s) => ({
    ...s,
    steps: async (page) => {
      await s.steps(page);
      await page.getByTestId('recording-chip').click();
      await page.waitForTimeout(300);
    },
  });
  const then = (s, message) => ({
    ...s,
    steps: async (page) => {
      await s.steps(page);
      await page.evaluate((m) => window.fakeServer.push(m), { type: 'recording', ...message });
      await page.waitForTimeout(300);
    },
  });
  const recording = { recording_id: 'rec_1', started_at: soon(-3), recorded_seconds: 154 };
  const others = { prt_o: 'granted', prt_g: null };
  return {
    'rec-asked': patient(rec('off', null)),
    'rec-asked-observer': {
      ...patient(rec('off', null), {
        role: 'observer',
        participants: [
          person('prt_self', 'observer', 'Sam', {}),
          person('prt_o', 'doctor', n.doctor),
          person('prt_p', 'patient', n.patient),
        ],
      }),
      at: room('observer', 'Sam', []),
    },
    'rec-granted': patient(rec('off', 'granted')),
    'rec-recording': patient(rec('recording', 'granted', recording)),
    'rec-panel': open(patient(rec('recording', 'granted', recording))),
    'rec-paused': patient(rec('paused', 'granted', { ...recording, waiting_for: ['prt_g'] })),
    'rec-waiting': patient(rec('waiting', null, { ...recording, waiting_for: ['prt_self'] })),
    'rec-declined': open(patient(rec('off', 'declined'))),
    'rec-withdrawn': open(patient(rec('paused', 'withdrawn', { ...recording, waiting_for: ['prt_self'] }))),
    'rec-failed': then(patient(rec('recording', 'granted', recording)), {
      ...rec('failed', 'granted', { reason: 'storage' }),
    }),
    'rec-chat': {
      ...patient(rec('recording', 'granted', recording)),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('chat-toggle').click();
      },
    },
    'rec-asked-chat': {
      ...patient(rec('off', null)),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('chat-toggle').click();
      },
    },
    'rec-screen': patient(rec('recording', 'granted', recording), {
      participants: [
        person('prt_self', 'patient', n.patient),
        person('prt_o', 'doctor', n.doctor, { ...on, screen: { muted: false } }),
      ],
      flows: [...flows, { participant_id: 'prt_o', source: 'screen' }],
    }),
    'rec-unstored': {
      ...patient(rec('recording', 'granted', recording), { refuse: 'dependency' }),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('recording-chip').click();
        await page.getByTestId('consent-withdraw').click();
        await page.waitForTimeout(300);
      },
    },
    'rec-doctor-asked': doctor(rec('off', null, { others: { prt_o: null, prt_g: null } })),
    'rec-doctor-ready': doctor(rec('off', 'granted', { others })),
    'rec-doctor-waiting': doctor(
      rec('waiting', 'granted', {
        ...recording,
        recorded_seconds: 0,
        waiting_for: ['prt_o', 'prt_g'],
        others,
      }),
    ),
    'rec-doctor-recording': doctor(
      rec('recording', 'granted', { ...recording, others: { prt_o: 'granted', prt_g: 'granted' } }),
    ),
    'rec-doctor-panel': open(
      doctor(rec('paused', 'granted', { ...recording, waiting_for: ['prt_g'], others })),
    ),
    'rec-doctor-declined': then(doctor(rec('waiting', 'granted', { ...recording, others })), {
      ...rec('waiting', 'granted', {
        ...recording,
        waiting_for: ['prt_g'],
        others: { prt_o: 'granted', prt_g: 'declined' },
      }),
    }),
  };
}
