// Every state the pages can show. `at` is the path, `scenario` what the fake
// server answers, `steps` what is done before the picture is taken.
export const soon = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();

export const names = {
  en: {
    doctor: 'Dr. Amal Haddad',
    patient: 'Jeanne Martin',
    guest: 'Paul Martin',
    reason: 'Persistent headache for three days, sensitive to light',
    red: 'Severe chest pain for an hour, it goes into my left arm and I am sweating',
    country: 'GB',
    numbers: ['999', '112'],
    note: 'I am about ten minutes late. Please have the list of your medicines at hand.',
    declined: 'With these signs please go to the emergency department now, or call 112.',
  },
  fr: {
    doctor: 'Dr Amal Haddad',
    patient: 'Jeanne Martin',
    guest: 'Paul Martin',
    reason: 'Maux de tête persistants depuis trois jours, gêné par la lumière',
    red: 'Forte douleur à la poitrine depuis une heure, elle va dans le bras gauche et je transpire',
    country: 'FR',
    numbers: ['15', '112', '18'],
    note: 'J’ai environ dix minutes de retard. Préparez la liste de vos médicaments, s’il vous plaît.',
    declined: 'Avec ces signes, allez tout de suite aux urgences ou appelez le 15.',
  },
  ar: {
    doctor: 'د. أمل حداد',
    patient: 'ليلى منصور',
    guest: 'Paul Martin',
    reason: 'صداع مستمر منذ ثلاثة أيام مع حساسية للضوء',
    red: 'ألم شديد في الصدر منذ ساعة يمتد إلى ذراعي اليسرى مع تعرق',
    country: 'TN',
    numbers: ['190', '198'],
    note: 'سأتأخر نحو عشر دقائق. من فضلك جهّز قائمة أدويتك (مثل Ibuprofen 400 mg).',
    declined: 'مع هذه الأعراض توجه الآن إلى قسم الطوارئ أو اتصل بالرقم 190.',
  },
};

export function session(n, lang, more = {}) {
  return {
    session_id: 'vs_1',
    status: 'waiting',
    reason: '',
    doctor_name: n.doctor,
    patient_name: n.patient,
    language: lang,
    scheduled_at: null,
    opens_at: soon(-5),
    started_at: null,
    expires_at: soon(90),
    recording_enabled: false,
    ...more,
  };
}

export const token = (role, lang, name, publish) => {
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  const grants = { publish: publish ?? ['microphone', 'camera', 'screen', 'screen_audio'] };
  return `${part({ alg: 'HS256' })}.${part({ role, name, lang, grants })}.x`;
};

export const on = { microphone: { muted: false }, camera: { muted: false } };
export const person = (id, role, name, sources = on, state = 'connected') => ({
  id,
  role,
  name,
  state,
  self: id === 'prt_self',
  sources,
});
const ticket = (n, i, status, minutes, more = {}) => ({
  ticket_id: `wt_${i}`,
  session_id: `vs_${i}`,
  patient_id: `p${i}`,
  patient_name: n.patient,
  reason: n.reason,
  language: 'en',
  status,
  position: i,
  joined_at: soon(-minutes),
  waiting_since: status === 'queued' ? null : soon(-minutes),
  urgency: null,
  ...more,
});

const join = async (page) => {
  await page.getByTestId('join-button').click();
};
export const inCall = async (page) => {
  await join(page);
  await page.waitForSelector('[data-state=call]');
  await page.waitForTimeout(3500);
};

export function scenarios(lang) {
  const n = names[lang];
  const active = session(n, lang, { status: 'active', started_at: soon(-7.2) });
  const room = (role, name, publish) => `/room/vs_1?role=${role}#token=${token(role, lang, name, publish)}`;
  const patient = room('patient', n.patient);
  const doctor = room('doctor', n.doctor);
  const camera = 'person';
  const wait = (waiting, more = {}) => ({ camera, session: session(n, lang, more), waiting });
  const pair = [person('prt_self', 'patient', n.patient), person('prt_d', 'doctor', n.doctor)];
  const call = (more = {}) => ({
    camera,
    session: active,
    participants: pair,
    flows: [{ participant_id: 'prt_d', source: 'camera', hue: 205 }],
    ...more,
  });
  const desk = `/doctor#token=${token('doctor', lang, n.doctor)}`;
  const error = (reason) => ({
    at: patient,
    scenario: { camera, session: active, error: reason },
    steps: join,
  });
  const ended = (reason) => ({
    at: patient,
    scenario: call(),
    steps: async (page) => {
      await inCall(page);
      await page.evaluate((r) => window.fakeServer.push({ type: 'ended', reason: r }), reason);
    },
  });
  const chat = [
    { id: 'm1', participant_id: 'prt_d', role: 'doctor', name: n.doctor, text: n.reason, sent_at: soon(-3) },
    {
      id: 'm2',
      participant_id: 'prt_self',
      role: 'patient',
      name: n.patient,
      text: 'Ibuprofen 400 mg, 2×',
      sent_at: soon(-2),
    },
    { id: 'm3', participant_id: 'prt_d', role: 'doctor', name: n.doctor, text: 'OK 👍', sent_at: soon(-1) },
  ];
  const group = [
    ...pair,
    person('prt_i', 'interpreter', 'Nour El-Sayed', { ...on, microphone: { muted: true } }),
    person('prt_g', 'guest', n.guest, { ...on, camera: { muted: true } }),
  ];
  const groupFlows = [
    { participant_id: 'prt_d', source: 'camera', hue: 205 },
    { participant_id: 'prt_i', source: 'camera', hue: 130 },
    { participant_id: 'prt_g', source: 'camera', hue: 10 },
  ];
  return {
    start: { at: '/', scenario: {} },
    explain: { at: '/room/vs_1', scenario: {} },
    check: { at: patient, scenario: { camera, session: active }, settle: 1500 },
    'check-denied': { at: patient, scenario: { camera: 'NotAllowedError', session: active } },
    'check-missing': { at: doctor, scenario: { camera: 'NotFoundError', session: active } },
    'check-observer': { at: room('observer', 'Sam', []), scenario: { camera, session: active } },
    waiting: {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 3,
        estimate: { expected_seconds: 900, low_seconds: 620, high_seconds: 1400 },
      }),
      steps: join,
    },
    'waiting-first': {
      at: patient,
      scenario: wait({ why: 'queue', ticket_id: 'wt_1', position: 1, estimate: null }),
      steps: join,
    },
    'waiting-messages': {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 2,
        estimate: { expected_seconds: 900, low_seconds: 620, high_seconds: 1400 },
        doctor: { presence: 'away', online: true },
        messages: [
          { id: 'm1', name: n.doctor, text: n.note, sent_at: soon(-9) },
          { id: 'm2', name: n.doctor, text: 'OK 👍', sent_at: soon(-1) },
        ],
      }),
      steps: join,
    },
    'waiting-doctor-here': {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 1,
        estimate: null,
        doctor: { presence: 'available', online: true },
      }),
      steps: join,
    },
    'waiting-reason': {
      at: patient,
      scenario: wait({ why: 'queue', ticket_id: 'wt_1', position: 2, estimate: null }),
      steps: async (page) => {
        await join(page);
        await page.getByTestId('reason-input').fill(n.reason);
        await page.getByTestId('reason-save').click();
      },
    },
    'waiting-emergency': {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 3,
        estimate: { expected_seconds: 900, low_seconds: 600, high_seconds: 1500 },
        doctor: { presence: 'available', online: true },
        reason: n.red,
        emergency: { urgency: 'critical', country: n.country, numbers: n.numbers, crisis_line: null },
      }),
      steps: join,
    },
    'waiting-emergency-nowhere': {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 1,
        estimate: null,
        reason: n.red,
        emergency: { urgency: 'critical', country: null, numbers: ['112', '911'], crisis_line: null },
      }),
      steps: join,
    },
    'waiting-crisis': {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 1,
        estimate: null,
        emergency: {
          urgency: 'high',
          country: 'FR',
          numbers: ['15', '112', '18'],
          crisis_line: { name: 'Numéro national de prévention du suicide', number: '3114', hours: '24h' },
        },
      }),
      steps: join,
    },
    'waiting-scheduled': {
      at: patient,
      scenario: wait(
        { why: 'scheduled', estimate: null, opens_at: soon(12.5) },
        { scheduled_at: soon(27.5), opens_at: soon(12.5) },
      ),
      steps: join,
    },
    'waiting-guest': {
      at: room('guest', n.guest),
      scenario: { ...wait({ why: 'not_started', estimate: null }), role: 'guest' },
      steps: join,
    },
    'doctor-alone': {
      at: doctor,
      scenario: call({
        role: 'doctor',
        session: session(n, lang),
        participants: [person('prt_self', 'doctor', n.doctor)],
        flows: [],
      }),
      steps: inCall,
    },
    'doctor-patient-waits': {
      at: doctor,
      scenario: call({
        role: 'doctor',
        session: session(n, lang),
        participants: [person('prt_self', 'doctor', n.doctor)],
        flows: [],
        queue: [ticket(n, 1, 'ready', 6)],
      }),
      steps: inCall,
    },
    'doctor-patient-emergency': {
      at: doctor,
      scenario: call({
        role: 'doctor',
        session: session(n, lang),
        participants: [person('prt_self', 'doctor', n.doctor)],
        flows: [],
        queue: [ticket(n, 1, 'ready', 6, { reason: n.red, urgency: 'critical' })],
      }),
      steps: inCall,
    },
    call: { at: patient, scenario: call(), steps: inCall },
    'call-off': {
      at: patient,
      scenario: call({
        participants: [
          pair[0],
          person('prt_d', 'doctor', n.doctor, { microphone: { muted: true }, camera: { muted: true } }),
        ],
      }),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('mic-toggle').click();
        await page.getByTestId('cam-toggle').click();
      },
    },
    'call-away': {
      at: patient,
      scenario: call({ participants: [pair[0], { ...pair[1], state: 'away' }] }),
      steps: inCall,
    },
    'call-group': { at: patient, scenario: call({ participants: group, flows: groupFlows }), steps: inCall },
    'call-screen': {
      at: patient,
      scenario: call({
        participants: [pair[0], person('prt_d', 'doctor', n.doctor, { ...on, screen: { muted: false } })],
        flows: [
          { participant_id: 'prt_d', source: 'camera', hue: 205 },
          { participant_id: 'prt_d', source: 'screen' },
        ],
      }),
      steps: inCall,
    },
    'call-sharing': {
      at: doctor,
      scenario: call({ role: 'doctor' }),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('screen-toggle').click();
        await page.waitForTimeout(800);
      },
    },
    chat: {
      at: patient,
      scenario: call({ chat }),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('chat-toggle').click();
      },
    },
    devices: {
      at: patient,
      scenario: call(),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('settings-toggle').click();
      },
    },
    reconnecting: {
      at: patient,
      scenario: call(),
      steps: async (page) => {
        await inCall(page);
        await page.evaluate(() => {
          window.fakeServer.down = true;
          window.fakeServer.drop();
        });
        await page.waitForTimeout(1200);
      },
    },
    ending: {
      at: doctor,
      scenario: call({
        role: 'doctor',
        participants: [person('prt_self', 'doctor', n.doctor), person('prt_d', 'patient', n.patient)],
      }),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('end-button').click();
      },
    },
    'ended-doctor': ended('doctor'),
    'ended-declined': ended('declined'),
    'ended-declined-why': {
      at: patient,
      scenario: wait({ why: 'queue', ticket_id: 'wt_1', position: 1, estimate: null }),
      steps: async (page) => {
        await join(page);
        await page.waitForSelector('[data-state=waiting]');
        await page.evaluate(
          (note) => window.fakeServer.push({ type: 'ended', reason: 'declined', note }),
          n.declined,
        );
      },
    },
    'ended-declined-emergency': {
      at: patient,
      scenario: wait({
        why: 'queue',
        ticket_id: 'wt_1',
        position: 1,
        estimate: null,
        emergency: { urgency: 'critical', country: n.country, numbers: n.numbers, crisis_line: null },
      }),
      steps: async (page) => {
        await join(page);
        await page.waitForSelector('[data-state=waiting]');
        await page.evaluate(
          (note) => window.fakeServer.push({ type: 'ended', reason: 'declined', note }),
          n.declined,
        );
      },
    },
    'error-declined': {
      at: patient,
      scenario: { camera, session: active, error: 'consultation_cancelled', note: n.declined },
      steps: join,
    },
    'ended-left': {
      at: patient,
      scenario: call(),
      steps: async (page) => {
        await inCall(page);
        await page.getByTestId('leave-button').click();
      },
    },
    'error-expired': error('token_expired'),
    'error-connected': error('already_connected'),
    'error-draining': { ...error('room_full') },
    desk: {
      at: `/doctor#token=${token('doctor', lang, n.doctor)}`,
      scenario: {
        session: active,
        queue: [
          ticket(n, 1, 'ready', 14),
          ticket(n, 2, 'away', 8, { patient_name: 'Paul Durand', reason: '' }),
          ticket(n, 3, 'queued', 75, { patient_name: 'Maximilian von und zu Hohenzollern-Sigmaringen' }),
        ],
      },
    },
    'desk-emergency': {
      at: desk,
      scenario: {
        session: active,
        queue: [
          ticket(n, 1, 'ready', 14, { urgency: 'low' }),
          ticket(n, 2, 'ready', 8, { patient_name: 'Paul Durand', reason: n.red, urgency: 'critical' }),
          ticket(n, 3, 'ready', 2, {
            patient_name: 'Maximilian von und zu Hohenzollern-Sigmaringen',
            urgency: 'high',
          }),
        ],
      },
    },
    'desk-admitted': {
      at: desk,
      scenario: {
        session: active,
        presence: 'busy',
        queue: [ticket(n, 1, 'ready', 14), ticket(n, 2, 'ready', 3)],
        admitted: [{ ticket_id: 'wt_9', session_id: 'vs_9', patient_name: n.guest, admitted_at: soon(-1) }],
      },
      steps: async (page) => {
        await page.getByTestId('message-all').click();
        await page.getByTestId('task-text').fill(n.note);
        await page.getByTestId('task-submit').click();
        await page.waitForTimeout(300);
      },
    },
    'desk-message': {
      at: desk,
      scenario: { session: active, queue: [ticket(n, 1, 'ready', 14)] },
      steps: async (page) => {
        await page.getByTestId('message-wt_1').click();
        await page.getByTestId('task-text').fill(n.note);
      },
    },
    'desk-transfer': {
      at: desk,
      scenario: { session: active, queue: [ticket(n, 1, 'ready', 14)] },
      steps: async (page) => {
        await page.getByTestId('transfer-wt_1').click();
        await page.getByTestId('task-doctor_id').fill('doc_2');
        await page.getByTestId('task-submit').click();
        await page.waitForTimeout(300);
      },
    },
    'desk-decline': {
      at: desk,
      scenario: { session: active, queue: [ticket(n, 1, 'ready', 14)] },
      steps: async (page) => {
        await page.getByTestId('decline-wt_1').click();
        await page.getByTestId('task-reason').fill(n.declined);
      },
    },
    'desk-empty': { at: `/doctor#token=${token('doctor', lang, n.doctor)}`, scenario: { session: active } },
    'desk-expired': {
      at: `/doctor#token=${token('doctor', lang, n.doctor)}`,
      scenario: { session: active, error: 'token_expired' },
    },
  };
}
