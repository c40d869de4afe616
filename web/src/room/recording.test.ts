import { afterEach, describe, expect, it } from 'vitest';
import { catalogues, language } from '../i18n';
import type { Decision, Participant, RecordingInfo, SessionInfo } from '../signal/messages';
import { apply, end, outside, type Model } from './model';
import { answers, recordedFor, recordingNews, refusals, started, take, wordingFor } from './recording';

afterEach(() => (language.value = 'en'));

const wordings = ['en', 'fr', 'ar'].map((l) => ({ id: 'recording-1', language: l, text: `text in ${l}` }));
const info = (
  state: RecordingInfo['state'],
  decision: Decision | null = 'granted',
  more = {},
): RecordingInfo => ({
  state,
  waiting_for: [],
  you: { decision },
  ...more,
});
const person = (id: string, role: Participant['role']): Participant => ({
  id,
  role,
  name: id,
  state: 'connected',
  self: id === 'me',
  sources: {},
});
const people = [person('me', 'doctor'), person('pat', 'patient'), person('dev', 'device')];
const enter = (recording?: RecordingInfo, now = 1_000): Model =>
  apply(
    outside,
    {
      type: 'joined',
      participant_id: 'me',
      secret: 's',
      role: 'doctor',
      session: {} as SessionInfo,
      slots: [],
      participants: people,
      chat: [],
      ...(recording ? { recording } : {}),
    },
    now,
  );
const push = (m: Model, r: RecordingInfo, now = 2_000) => apply(m, { type: 'recording', ...r }, now);

describe('the model', () => {
  it('knows nothing of recording where the consultation has none', () => {
    expect(enter().recording).toBeNull();
  });

  it('keeps the texts, which come once', () => {
    const m = push(enter(info('off', null, { wordings })), info('waiting', null));
    expect(m.recording).toMatchObject({ state: 'waiting', wordings, at: 2_000 });
  });

  it('takes the texts from the first push when it came in without', () => {
    expect(push(enter(), info('off', null, { wordings })).recording?.wordings).toBe(wordings);
  });

  it('is restored by resuming, and gone after the end and in the waiting room', () => {
    const m = enter(info('off', null, { wordings }));
    const seat = { participant_id: 'me', secret: 's', role: 'doctor', session: {} as SessionInfo } as const;
    const inCall = { slots: [], participants: people, chat: [] };
    const back = apply(
      m,
      { type: 'resumed', ...seat, state: 'in_call', ...inCall, recording: info('recording') },
      5_000,
    );
    expect(back.recording).toMatchObject({ state: 'recording', wordings, at: 5_000 });
    expect(end(back, 'doctor', 1).recording).toBeNull();
    const out = apply(
      back,
      { type: 'waiting', ...seat, waiting: { why: 'queue', position: 1, estimate: null } },
      0,
    );
    expect(out.recording).toBeNull();
  });
});

it('counts while it records, and stands still otherwise', () => {
  const at = (state: RecordingInfo['state']) =>
    take(null, info(state, null, { recorded_seconds: 60 }), 10_000);
  expect(recordedFor(at('recording'), 12_500)).toBe(62_500);
  expect(recordedFor(at('recording'), 9_000)).toBe(60_000);
  expect(recordedFor(at('paused'), 99_000)).toBe(60_000);
  expect(recordedFor(take(null, info('waiting'), 0), 5)).toBe(0);
});

it('is started as long as it may record by itself', () => {
  const states = ['off', 'waiting', 'recording', 'paused', 'failed'] as const;
  expect(states.filter((s) => started(take(null, info(s), 0)))).toEqual(['waiting', 'recording', 'paused']);
  expect(started(null)).toBe(false);
});

describe('the text', () => {
  it.each([
    [['fr', 'ar'], 'fr'],
    [['de', 'ar-MA'], 'ar'],
    [['FR_ca'], 'fr'],
    [['de', undefined], 'en'],
    [[], 'en'],
  ])('for %j is in %s', (wishes, language) => {
    expect(wordingFor(wordings, wishes)?.language).toBe(language);
  });

  it('is whatever there is, or none', () => {
    expect(wordingFor(wordings.slice(1, 2), ['de'])?.language).toBe('fr');
    expect(wordingFor([], ['en'])).toBeNull();
  });
});

describe('for the doctor', () => {
  it('lists everyone who is asked, and no device', () => {
    const m = enter(info('waiting', null, { others: { pat: 'declined' }, waiting_for: ['me', 'pat'] }));
    expect(answers(m).map((a) => [a.person.id, a.decision])).toEqual([
      ['me', null],
      ['pat', 'declined'],
    ]);
  });

  it('tells a refusal and a withdrawal once, and no grant', () => {
    const said = (pat: Decision | null) => info('waiting', 'granted', { others: { pat } });
    const m = enter(said(null));
    const declined = push(m, said('declined'));
    expect(refusals(m, declined).map((r) => [r.person.id, r.decision])).toEqual([['pat', 'declined']]);
    expect(refusals(declined, push(declined, said('declined')))).toEqual([]);
    expect(refusals(m, push(m, said('granted')))).toEqual([]);
    expect(refusals(outside, declined)).toEqual([]);
  });
});

describe('aloud', () => {
  const said = (from: RecordingInfo | null, to: RecordingInfo) =>
    recordingNews(from ? enter(from) : outside, from ? push(enter(from), to) : enter(to));

  it.each([
    ['off', 'recording', 'rec.said.started', 'up'],
    ['waiting', 'recording', 'rec.said.started', 'up'],
    ['paused', 'recording', 'rec.said.resumed', 'up'],
    ['failed', 'recording', 'rec.said.started', 'up'],
    ['recording', 'paused', 'rec.said.paused', 'down'],
    ['recording', 'off', 'rec.said.stopped', 'down'],
    ['paused', 'off', 'rec.said.stopped', 'down'],
    ['recording', 'failed', 'rec.said.failed', 'down'],
  ] as const)('from %s to %s is %s', (from, to, say, tone) => {
    expect(said(info(from), info(to))).toEqual({ say, tone });
  });

  it.each([
    ['off', 'waiting'],
    ['waiting', 'off'],
    ['off', 'off'],
    ['recording', 'recording'],
  ] as const)('from %s to %s is nothing', (from, to) => {
    expect(said(info(from), info(to))).toBeNull();
  });

  it('says to whoever comes in, or back, that it records', () => {
    expect(said(null, info('recording'))?.say).toBe('rec.said.started');
    expect(said(null, info('paused'))).toBeNull();
    expect(said(null, info('failed'))).toBeNull();
  });

  it('confirms one’s own withdrawal as such', () => {
    expect(said(info('recording'), info('paused', 'withdrawn'))?.say).toBe('rec.said.withdrawn');
    expect(said(info('off'), info('off', 'withdrawn'))?.say).toBe('rec.said.withdrawnEarly');
  });

  it('says at the end that it has stopped, and not to whoever only leaves', () => {
    const m = enter(info('recording'));
    expect(recordingNews(m, end(m, 'doctor', 1))?.say).toBe('rec.said.stopped');
    expect(recordingNews(m, end(m, 'left', 1))).toBeNull();
    expect(recordingNews(enter(info('paused')), end(enter(info('paused')), 'doctor', 1))).toBeNull();
  });
});

it('gives both answers names of about the same weight in every language', () => {
  for (const c of Object.values(catalogues)) {
    const [yes, no] = [c['rec.grant'], c['rec.deny']];
    expect(Math.abs(yes.length - no.length)).toBeLessThanOrEqual(6);
  }
});
