import { describe, expect, it } from 'vitest';
import type { Participant, ServerMessage, Waiting, SessionInfo, Slot } from '../signal/messages';
import { apply, comings, end, initials, newestNote, outside, slotsNeeded, tiles, type Model } from './model';

const session: SessionInfo = {
  session_id: 'vs_1',
  status: 'waiting',
  reason: '',
  doctor_name: 'Dr. Haddad',
  patient_name: 'Jeanne Martin',
  language: 'fr',
  scheduled_at: null,
  opens_at: '2030-01-01T10:00:00Z',
  started_at: null,
  expires_at: '2030-01-01T11:30:00Z',
  recording_enabled: false,
};
const seat = { participant_id: 'p1', secret: 's', role: 'patient', session } as const;

function person(id: string, more: Partial<Participant> = {}): Participant {
  return { id, role: 'guest', name: id, state: 'connected', self: false, sources: {}, ...more };
}

const slot = (n: number, id: string | null, source: Slot['source']): Slot => ({
  slot: n,
  audio_mid: `${n * 2}`,
  video_mid: `${n * 2 + 1}`,
  participant_id: id,
  source,
});

function play(...messages: ServerMessage[]): Model {
  return messages.reduce((m, msg) => apply(m, msg, 1_000), outside);
}

const waiting: Waiting = {
  type: 'waiting',
  ...seat,
  waiting: { why: 'queue', ticket_id: 'wt_1', position: 2, estimate: null },
};
const admitted: ServerMessage = { type: 'admitted', answer: 'sdp', slots: [], participants: [], chat: [] };

describe('apply', () => {
  it('keeps the emergency number when the waiting ends, and not when the doctor is there', () => {
    const emergency = { urgency: 'critical' as const, country: null, numbers: ['112'], crisis_line: null };
    const red: ServerMessage = { ...waiting, waiting: { ...waiting.waiting, emergency } };
    expect(end(play(red), 'declined', 1).emergency).toBe(emergency);
    expect(end(play(red, admitted), 'doctor', 1).emergency).toBeNull();
    expect(end(play(waiting), 'left_waiting', 1).emergency).toBeNull();
  });

  it('knows the newest thing the doctor wrote', () => {
    const note = (id: string) => ({ id, name: 'D', text: 'x', sent_at: '2030-01-01T10:00:00Z' });
    expect(newestNote(play(waiting))).toBeUndefined();
    const told = play({
      type: 'waiting',
      ...seat,
      waiting: { why: 'queue', position: 1, estimate: null, messages: [note('m1'), note('m2')] },
    });
    expect(newestNote(told)).toBe('m2');
    expect(newestNote(apply(told, admitted, 0))).toBeUndefined();
  });

  it('goes from waiting into the call, keeping the seat', () => {
    const m = play(waiting);
    expect(m).toMatchObject({ stage: 'waiting', selfId: 'p1', waiting: { position: 2 } });
    expect(apply(m, admitted, 0)).toMatchObject({ stage: 'call', selfId: 'p1', secret: 's', waiting: null });
  });

  it('resumes to where the server says it is', () => {
    const back = apply(
      play(waiting, admitted),
      { type: 'resumed', ...seat, state: 'waiting', waiting: { why: 'queue', position: 1, estimate: null } },
      0,
    );
    expect(back.stage).toBe('waiting');
    const inCall = apply(
      play(waiting),
      {
        type: 'resumed',
        ...seat,
        state: 'in_call',
        slots: [slot(0, 'd', 'camera')],
        participants: [],
        chat: [],
      },
      0,
    );
    expect(inCall).toMatchObject({ stage: 'call', waiting: null, slots: [{ participant_id: 'd' }] });
  });

  it('takes each chat message once', () => {
    const message = {
      id: 'm1',
      participant_id: 'p',
      role: 'doctor',
      name: 'D',
      text: 'x',
      sent_at: '',
    } as const;
    const m = play(waiting, admitted, { type: 'chat', message }, { type: 'chat', message });
    expect(m.chat).toHaveLength(1);
  });

  it('keeps the queue when a message says nothing of it', () => {
    const tickets = [{ ticket_id: 'wt_9' }] as Extract<ServerMessage, { type: 'queue' }>['tickets'];
    expect(play({ type: 'queue', tickets }, admitted).queue).toBe(tickets);
  });

  it('remembers what it ended from, and ends once', () => {
    const m = play(waiting, admitted, { type: 'ended', reason: 'doctor' });
    expect(m).toMatchObject({ stage: 'ended', endedFrom: 'call', ending: 'doctor', endedAt: 1_000 });
    expect(end(m, 'left', 2_000)).toBe(m);
  });

  it('ignores what it does not know', () => {
    const m = play(waiting);
    expect(apply(m, { type: 'weather' } as unknown as ServerMessage, 0)).toBe(m);
  });
});

describe('tiles', () => {
  const on = { microphone: { muted: false }, camera: { muted: false } };
  it('shows screens first, then the doctor, and never oneself', () => {
    const participants = [
      person('me', { self: true, sources: on }),
      person('guest', { sources: on }),
      person('doc', { role: 'doctor', sources: { ...on, screen: { muted: false } } }),
    ];
    const slots = [slot(0, 'guest', 'camera'), slot(1, 'doc', 'camera'), slot(2, 'doc', 'screen')];
    expect(tiles({ participants, slots }).map((t) => [t.key, t.videoMid])).toEqual([
      ['doc/screen', '5'],
      ['doc/camera', '3'],
      ['guest/camera', '1'],
    ]);
  });

  it('shows initials for whoever has no picture, and the state of the microphone', () => {
    const participants = [
      person('off', { sources: { microphone: { muted: false }, camera: { muted: true } } }),
      person('bare'),
      person('stopped', { sources: { ...on, screen: { muted: true } } }),
    ];
    const shown = tiles({ participants, slots: [slot(0, 'off', 'camera'), slot(1, 'stopped', 'camera')] });
    expect(shown.map((t) => [t.key, t.picture, t.micMuted, t.videoMid])).toEqual([
      ['off/camera', false, false, '1'],
      ['bare/camera', false, true, null],
      ['stopped/camera', true, false, '3'],
    ]);
  });

  it('counts the slots that everything takes', () => {
    const participants = [
      person('me', { self: true, sources: on }),
      person('a', { sources: { ...on, screen: { muted: false } } }),
      person('b', { sources: { microphone: { muted: true } } }),
      person('watcher'),
    ];
    expect(slotsNeeded(participants)).toBe(3);
  });
});

it('knows who came and who went', () => {
  const me = person('me', { self: true });
  const { joined, left } = comings([me, person('a')], [person('b')]);
  expect(joined.map((p) => p.id)).toEqual(['b']);
  expect(left.map((p) => p.id)).toEqual(['a']);
});

it.each([
  ['Jeanne Martin', 'JM'],
  ['Dr. Amal Haddad', 'AH'],
  ['أمل حداد', 'أح'],
  ['d', 'D'],
  ['Émile  de la Tour', 'ÉT'],
  ['', ''],
  ['42', ''],
])('abbreviates %s to %s', (name, short) => expect(initials(name)).toBe(short));
