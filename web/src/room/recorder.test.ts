// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { language } from '../i18n';
import { NO_REPLY, SignalError, type Ack, type RecordingInfo, type SessionInfo } from '../signal/messages';
import { apply, type Model } from './model';
import { Recorder } from './recorder';
import { RoomState } from './state';

const wordings = ['en', 'fr', 'ar'].map((l) => ({ id: 'recording-1', language: l, text: l }));

/** A room whose server answers as told. */
function setUp(recording: Partial<RecordingInfo> = {}) {
  const state = new RoomState();
  const sent: Record<string, unknown>[] = [];
  const answer: { error: SignalError | null } = { error: null };
  const recorder = new Recorder(state, (m) => {
    sent.push({ ...m });
    return answer.error ? Promise.reject(answer.error) : Promise.resolve<Ack>({ type: 'ack' });
  });
  const see = (now: Model) => {
    const before = state.model.value;
    state.model.value = now;
    recorder.changed(before, now);
  };
  const push = (r: Partial<RecordingInfo>) => {
    const base: RecordingInfo = { state: 'off', waiting_for: [], you: { decision: null } };
    see(apply(state.model.value, { type: 'recording', ...base, ...r }, 0));
  };
  see(
    apply(
      state.model.value,
      {
        type: 'joined',
        participant_id: 'me',
        secret: 's',
        role: 'patient',
        session: { language: 'ar' } as SessionInfo,
        slots: [],
        participants: [],
        chat: [],
      },
      0,
    ),
  );
  push({ wordings, ...recording });
  return { state, recorder, sent, answer, push };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  language.value = 'en';
});

describe('the question', () => {
  it('is there until it is answered or put aside, and again when recording is started', () => {
    const { recorder, push } = setUp();
    expect([recorder.shown, recorder.asking]).toEqual([true, true]);
    recorder.close();
    expect(recorder.shown).toBe(false);
    push({ state: 'waiting', waiting_for: ['me'] });
    expect(recorder.shown).toBe(true);
  });

  it('is not there for whoever has answered, nor for a device', () => {
    const said = setUp({ you: { decision: 'declined' } });
    expect(said.recorder.shown).toBe(false);
    said.recorder.toggle();
    expect([said.recorder.shown, said.recorder.asking]).toEqual([true, false]);
    const device = setUp({ you: null });
    device.recorder.toggle();
    expect(device.recorder.shown).toBe(false);
  });
});

describe('an answer', () => {
  it('names the text that is shown, in the language of the page', async () => {
    language.value = 'fr';
    const { recorder, sent } = setUp();
    await recorder.decide('granted');
    expect(sent).toEqual([
      { type: 'consent', decision: 'granted', wording_id: 'recording-1', language: 'fr' },
    ]);
    expect(recorder.shown).toBe(false);
  });

  it('is in the language of the consultation where the page’s has no text', async () => {
    language.value = 'fr';
    const { recorder, sent } = setUp({ wordings: wordings.filter((w) => w.language !== 'fr') });
    expect(recorder.wording?.text).toBe('ar');
    await recorder.decide('declined');
    expect(sent[0]).toMatchObject({ decision: 'declined', language: 'ar' });
  });

  it('is no grant without a text', async () => {
    const { recorder, sent } = setUp({ wordings: [] });
    await recorder.decide('granted');
    expect(sent).toEqual([]);
    await recorder.decide('declined');
    expect(sent).toEqual([{ type: 'consent', decision: 'declined' }]);
  });

  it('that could not be stored is asked for again if it was a grant', async () => {
    const { recorder, state, answer } = setUp();
    answer.error = new SignalError('dependency', false);
    await recorder.decide('granted');
    expect([state.notice.value, recorder.shown]).toEqual(['rec.grantFailed', true]);
  });

  it('that could not be stored is in force if it was a withdrawal', async () => {
    const { recorder, state, answer, sent } = setUp({ you: { decision: 'granted' } });
    answer.error = new SignalError('dependency', false);
    await recorder.decide('withdrawn');
    expect(state.notice.value).toBe('rec.withdrawnUnstored');
    recorder.again();
    expect(sent).toHaveLength(1);
  });

  it('that did not arrive is said again, refusals only', async () => {
    const { recorder, state, answer, sent } = setUp({ you: { decision: 'granted' } });
    answer.error = new SignalError(NO_REPLY, false);
    await recorder.decide('withdrawn');
    expect(state.notice.value).toBe('rec.notArrived');
    recorder.again();
    await vi.advanceTimersByTimeAsync(0);
    expect(state.notice.value).toBe('rec.notArrived');
    answer.error = null;
    recorder.again();
    await vi.advanceTimersByTimeAsync(0);
    expect(state.notice.value).toBe('rec.arrived');
    recorder.again();
    expect(sent.map((m) => m['decision'])).toEqual(['withdrawn', 'withdrawn', 'withdrawn']);
    answer.error = new SignalError(NO_REPLY, false);
    await recorder.decide('granted');
    recorder.again();
    expect(sent).toHaveLength(4);
  });
});

describe('for the doctor', () => {
  it('starting says what went wrong, and the call goes on', async () => {
    const { recorder, state, answer, sent } = setUp();
    await recorder.record(true);
    expect(sent).toEqual([{ type: 'record', on: true }]);
    answer.error = new SignalError('recording_disabled', false);
    await recorder.record(true);
    expect(state.notice.value).toBe('rec.disabled');
    answer.error = new SignalError('dependency', false);
    await recorder.record(true);
    expect(state.notice.value).toBe('rec.startFailed');
  });

  it('a word about a refusal goes when everyone agrees', () => {
    const { state, push } = setUp();
    state.inform('rec.someDeclined', 'Jeanne');
    push({ state: 'waiting' });
    expect(state.word.value).not.toBeNull();
    push({ state: 'recording' });
    expect(state.word.value).toBeNull();
  });

  it('a fault stays in a banner until it is closed', () => {
    const { state, push } = setUp({ state: 'recording', you: { decision: 'granted' } });
    expect(state.announcement.value).toEqual({ key: 'rec.said.started' });
    push({ state: 'failed', reason: 'storage', you: { decision: 'granted' } });
    vi.advanceTimersByTime(60_000);
    expect(state.notice.value).toBe('rec.said.failed');
  });
});
