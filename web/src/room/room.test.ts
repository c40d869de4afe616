// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sources, type ServerMessage } from '../signal/messages';
import { PageMemory } from './page';
import { Room } from './room';

/** The server's end of the socket that the room has open. */
class FakeWebSocket {
  static readonly OPEN = 1;
  static all: FakeWebSocket[] = [];
  readyState = 1;
  sent: (Record<string, unknown> & { type: string; id?: string })[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  constructor() {
    FakeWebSocket.all.push(this);
    queueMicrotask(() => this.onopen?.());
  }
  send(text: string) {
    this.sent.push(JSON.parse(text) as never);
  }
  close() {
    this.readyState = 3;
  }
  push(m: ServerMessage) {
    this.onmessage?.({ data: JSON.stringify(m) });
  }
  reply(type: string, m: ServerMessage) {
    const request = this.sent.findLast((r) => r.type === type);
    this.push({ ...m, id: request?.id } as ServerMessage);
  }
  drop(code: number) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

/** As much of a PeerConnection as offering and applying an answer takes. */
class FakePeerConnection {
  static all: FakePeerConnection[] = [];
  connectionState = 'new';
  signalingState = 'stable';
  remoteDescription: unknown = null;
  localDescription: { sdp: string } | null = null;
  onconnectionstatechange: (() => void) | null = null;
  private readonly transceivers: { mid: string | null; sender: unknown; receiver: unknown }[] = [];
  constructor() {
    FakePeerConnection.all.push(this);
  }
  addTransceiver() {
    const t = { mid: null, sender: { replaceTrack: () => Promise.resolve() }, receiver: { track: null } };
    this.transceivers.push(t);
    return t;
  }
  getTransceivers() {
    return this.transceivers;
  }
  createOffer() {
    return Promise.resolve({ sdp: `offer ${FakePeerConnection.all.indexOf(this)}` });
  }
  setLocalDescription(d: { sdp: string }) {
    this.localDescription = d;
    this.transceivers.forEach((t, i) => (t.mid = String(i)));
    return Promise.resolve();
  }
  setRemoteDescription(d: unknown) {
    this.remoteDescription = d;
    return Promise.resolve();
  }
  getStats() {
    return Promise.resolve(new Map());
  }
  close() {
    this.signalingState = 'closed';
  }
  become(state: string) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

const session = {
  session_id: 'vs_1',
  status: 'waiting',
  reason: '',
  doctor_name: 'D',
  patient_name: 'P',
  language: 'en',
  scheduled_at: null,
  opens_at: '',
  started_at: null,
  expires_at: '',
  recording_enabled: false,
} as const;
const seat = { participant_id: 'p1', secret: 's1', role: 'patient', session } as const;
const inCall = { slots: [], participants: [], chat: [] };
const waiting: ServerMessage = {
  type: 'waiting',
  ...seat,
  waiting: { why: 'queue', position: 1, estimate: null },
};
const refusal = (reason: string, fatal = true): ServerMessage => ({
  type: 'error',
  error: 'unauthorized',
  reason,
  message: '',
  code: 401,
  fatal,
});

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
const socket = () => FakeWebSocket.all.at(-1)!;
const peer = () => FakePeerConnection.all.at(-1)!;
const types = () =>
  socket()
    .sent.map((m) => m.type)
    .filter((t) => t !== 'ping');

async function open() {
  const memory = new PageMemory(window, { instance: 'i1' });
  const room = new Room(
    { url: 'ws://x', sessionId: 'vs_1', token: 'tok', role: undefined, sources, codec: undefined },
    memory,
  );
  room.begin();
  void room.join('Ada');
  await settle();
  return { room, memory };
}

beforeEach(() => {
  vi.useFakeTimers();
  history.replaceState(null, '', '/room/vs_1');
  FakeWebSocket.all = [];
  FakePeerConnection.all = [];
  vi.stubGlobal('WebSocket', FakeWebSocket);
  vi.stubGlobal('RTCPeerConnection', FakePeerConnection);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('Room', () => {
  it('joins with an offer, waits, and applies the answer that admits', async () => {
    const { room, memory } = await open();
    expect(socket().sent[0]).toMatchObject({
      type: 'join',
      protocol: 1,
      token: 'tok',
      session_id: 'vs_1',
      instance: 'i1',
      display_name: 'Ada',
      offer: 'offer 0',
      publications: [
        { mid: '0', source: 'microphone', muted: true },
        { mid: '1', source: 'camera', muted: true },
      ],
    });
    socket().reply('join', waiting);
    await settle();
    expect(room.phase.value).toBe('waiting');
    expect(memory.get().inside).toBe(true);
    expect(peer().remoteDescription).toBeNull();
    socket().push({ type: 'admitted', answer: 'sdp', ...inCall });
    await settle();
    expect(room.phase.value).toBe('call');
    expect(peer().remoteDescription).toEqual({ type: 'answer', sdp: 'sdp' });
    expect(types()).toEqual(['join', 'ready']);
  });

  it('resumes after a drop without touching the media, and repeats what was muted', async () => {
    const { room } = await open();
    socket().reply('join', { type: 'joined', ...seat, answer: 'sdp', ...inCall });
    await settle();
    peer().become('connected');
    socket().drop(1006);
    expect(room.down.value).toBe(true);
    await settle(500);
    expect(socket().sent[0]).toMatchObject({ type: 'resume', participant_id: 'p1', secret: 's1' });
    socket().reply('resume', { type: 'resumed', ...seat, state: 'in_call', ...inCall });
    await settle();
    expect(room.down.value).toBe(false);
    expect(FakePeerConnection.all).toHaveLength(1);
    expect(types()).toEqual(['resume', 'media', 'media']);
  });

  it('joins anew when the server no longer knows it', async () => {
    const { room } = await open();
    socket().reply('join', waiting);
    await settle();
    socket().drop(1001);
    await settle(500);
    socket().reply('resume', refusal('resume_unknown', false));
    await settle();
    expect(types()).toEqual(['resume', 'join']);
    expect(room.phase.value).toBe('waiting');
    socket().reply('join', waiting);
    await settle();
    expect(room.down.value).toBe(false);
  });

  it('asks for a new answer when it was admitted while away', async () => {
    await open();
    socket().reply('join', waiting);
    await settle();
    socket().drop(1006);
    await settle(500);
    socket().reply('resume', { type: 'resumed', ...seat, state: 'in_call', ...inCall });
    await settle(100);
    expect(socket().sent.find((m) => m.type === 'offer')).toMatchObject({ offer: 'offer 1', replace: true });
    socket().reply('offer', { type: 'answer', answer: 'sdp', slots: [] });
    await settle();
    expect(peer().remoteDescription).toEqual({ type: 'answer', sdp: 'sdp' });
    expect(types().at(-1)).toBe('ready');
  });

  it('replaces a connection that has failed', async () => {
    const { room } = await open();
    socket().reply('join', { type: 'joined', ...seat, answer: 'sdp', ...inCall });
    await settle();
    peer().become('connected');
    peer().become('failed');
    await settle(10);
    expect(room.interrupted.value).toBe(true);
    socket().reply('offer', { type: 'answer', answer: 'sdp2', slots: [] });
    await settle();
    peer().become('connected');
    expect(room.interrupted.value).toBe(false);
    expect(FakePeerConnection.all.map((p) => p.signalingState)).toEqual(['closed', 'stable']);
  });

  it('says why it was refused, and can take over from another device', async () => {
    const { room } = await open();
    socket().reply('join', refusal('already_connected'));
    await settle();
    expect([room.phase.value, room.failure.value]).toEqual(['error', 'already_connected']);
    void room.rejoin(true);
    await settle();
    expect(socket().sent[0]).toMatchObject({ type: 'join', take_over: true });
    socket().reply('join', waiting);
    await settle();
    expect(room.phase.value).toBe('waiting');
  });

  it('waits out a server that is restarting', async () => {
    const { room } = await open();
    socket().reply('join', refusal('draining', false));
    await settle(1_000);
    expect(FakeWebSocket.all).toHaveLength(2);
    expect(room.failure.value).toBeNull();
    expect(types()).toEqual(['join']);
  });

  it('ends, leaves, and lets go of everything', async () => {
    const { room, memory } = await open();
    socket().reply('join', { type: 'joined', ...seat, answer: 'sdp', ...inCall });
    await settle();
    socket().push({ type: 'ended', reason: 'doctor' });
    expect(room.model.value).toMatchObject({ stage: 'ended', ending: 'doctor', secret: null });
    expect(peer().signalingState).toBe('closed');
    expect(memory.get().inside).toBe(false);
    socket().drop(1000);
    await settle(60_000);
    expect(FakeWebSocket.all).toHaveLength(1);
  });

  it('joins anew with a new offer when it is sent back to the waiting room', async () => {
    const { room } = await open();
    socket().reply('join', waiting);
    await settle();
    socket().push({ type: 'admitted', answer: 'sdp', ...inCall });
    await settle();
    socket().push(waiting);
    await settle();
    expect(FakeWebSocket.all).toHaveLength(2);
    expect(socket().sent[0]).toMatchObject({ type: 'join', instance: 'i1', offer: 'offer 1' });
    expect(FakePeerConnection.all.map((p) => p.signalingState)).toEqual(['closed', 'stable']);
    socket().reply('join', waiting);
    await settle();
    expect(room.phase.value).toBe('waiting');
    socket().push({ type: 'admitted', answer: 'sdp2', ...inCall });
    await settle();
    expect(peer().remoteDescription).toEqual({ type: 'answer', sdp: 'sdp2' });
  });

  it('keeps what the doctor gave as the reason, then and in a page opened later', async () => {
    const first = (await open()).room;
    socket().reply('join', waiting);
    await settle();
    socket().push({ type: 'ended', reason: 'declined', note: 'Call 112.' });
    expect(first.model.value).toMatchObject({ ending: 'declined', note: 'Call 112.' });
    const later = (await open()).room;
    socket().reply('join', { ...refusal('consultation_cancelled'), note: 'Call 112.' } as ServerMessage);
    await settle();
    expect(later.failure.value).toBe('consultation_cancelled');
    expect(later.model.value.note).toBe('Call 112.');
  });

  it('says a withdrawal again that was lost with the connection', async () => {
    const { room } = await open();
    const recording = { state: 'recording', waiting_for: [], you: { decision: 'granted' } } as const;
    const call = { ...inCall, recording: { ...recording, waiting_for: [] } };
    socket().reply('join', { type: 'joined', ...seat, answer: 'sdp', ...call });
    await settle();
    void room.recorder.decide('withdrawn');
    expect(socket().sent.at(-1)).toMatchObject({ type: 'consent', decision: 'withdrawn' });
    socket().drop(1006);
    await settle(500);
    expect(room.notice.value).toBe('rec.notArrived');
    socket().reply('resume', { type: 'resumed', ...seat, state: 'in_call', ...call });
    await settle();
    expect(socket().sent.find((m) => m.type === 'consent')).toMatchObject({ decision: 'withdrawn' });
    socket().reply('consent', { type: 'ack' });
    await settle();
    expect(room.notice.value).toBe('rec.arrived');
  });

  it('ends for everyone only after a moment to think again', async () => {
    const { room } = await open();
    socket().reply('join', { type: 'joined', ...seat, role: 'doctor', answer: 'sdp', ...inCall });
    await settle();
    room.farewell.start();
    await settle(2_000);
    room.farewell.cancel();
    await settle(5_000);
    expect(types()).not.toContain('end');
    room.farewell.start();
    await settle(3_000);
    expect(types()).toContain('end');
  });
});
