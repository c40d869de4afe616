// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { alarms, type QueueTicket, type ServerMessage } from '../signal/messages';
import { arrivals, Desk } from './desk';

const ticket = (id: string, status: QueueTicket['status'], position = 1): QueueTicket => ({
  ticket_id: id,
  session_id: 'vs',
  patient_id: 'p',
  patient_name: 'Ada',
  reason: '',
  language: 'en',
  status,
  position,
  joined_at: '',
  waiting_since: null,
  urgency: null,
});
const ids = (before: QueueTicket[], after: QueueTicket[]) => arrivals(before, after).map((t) => t.ticket_id);

it('announces who has come to the page, not who was only entered', () => {
  expect(ids([], [ticket('a', 'queued')])).toEqual([]);
  expect(ids([ticket('a', 'queued')], [ticket('a', 'ready')])).toEqual(['a']);
  expect(ids([ticket('a', 'ready')], [ticket('a', 'ready'), ticket('b', 'ready')])).toEqual(['b']);
  expect(ids([ticket('a', 'away')], [ticket('a', 'ready')])).toEqual(['a']);
  expect(ids([ticket('a', 'ready')], [])).toEqual([]);
});

it('raises the alarm once, and again when it has become worse', () => {
  const red = (id: string, urgency: QueueTicket['urgency']) => ({ ...ticket(id, 'ready'), urgency });
  const raised = (before: QueueTicket[], after: QueueTicket[]) =>
    alarms(before, after).map((t) => t.ticket_id);
  expect(raised([], [red('a', 'moderate'), red('b', null)])).toEqual([]);
  expect(raised([], [red('a', 'high')])).toEqual(['a']);
  expect(raised([red('a', 'low')], [red('a', 'critical')])).toEqual(['a']);
  expect(raised([red('a', 'high')], [red('a', 'high')])).toEqual([]);
  expect(raised([red('a', 'high')], [red('a', 'critical')])).toEqual(['a']);
  expect(raised([red('a', 'critical')], [])).toEqual([]);
});

/** The server's end: it answers each request with what `answers` says for its type. */
class FakeWebSocket {
  static readonly OPEN = 1;
  static sent: Record<string, unknown>[] = [];
  static last: FakeWebSocket;
  static answers: Record<string, object> = {};
  readyState = 1;
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  constructor() {
    FakeWebSocket.last = this;
    queueMicrotask(() => this.onopen?.());
  }
  send(text: string) {
    const m = JSON.parse(text) as { type: string; id?: string };
    FakeWebSocket.sent.push(m);
    const answer = FakeWebSocket.answers[m.type] ?? { type: 'ack' };
    queueMicrotask(() => this.onmessage?.({ data: JSON.stringify({ ...answer, id: m.id }) }));
  }
  push(m: ServerMessage) {
    this.onmessage?.({ data: JSON.stringify(m) });
  }
  close() {
    this.readyState = 3;
  }
}

const refusal = (reason: string, fatal = false) => ({
  type: 'error',
  error: 'conflict',
  reason,
  message: '',
  code: 409,
  fatal,
});

const settle = () => vi.advanceTimersByTimeAsync(0);

async function open() {
  const desk = new Desk('ws://x', 'tok', () => undefined);
  desk.start();
  await settle();
  return desk;
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeWebSocket.sent = [];
  FakeWebSocket.answers = {
    watch: {
      type: 'watching',
      doctor_id: 'd',
      doctor_name: 'Dr. Bo',
      tickets: [ticket('wt_1', 'ready', 1), ticket('wt_2', 'ready', 2)],
      admitted: [{ ticket_id: 'wt_9', session_id: 'vs_9', patient_name: '', admitted_at: '' }],
      presence: 'away',
      online: true,
    },
  };
  vi.stubGlobal('WebSocket', FakeWebSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('shows who was let in, and the presence that other pages set', async () => {
  const desk = await open();
  expect(desk.admitted.value).toHaveLength(1);
  expect(desk.presence.value).toBe('away');
  FakeWebSocket.last.push({ type: 'presence', presence: 'busy', online: true });
  FakeWebSocket.last.push({ type: 'queue', tickets: [], admitted: [] });
  expect([desk.presence.value, desk.admitted.value, desk.tickets.value]).toEqual(['busy', [], []]);
});

it('asks the server for what the doctor does, and says that it is done', async () => {
  const desk = await open();
  const [first] = desk.tickets.value;
  FakeWebSocket.answers['message_all'] = { type: 'ack', count: 2 };
  expect(await desk.message(first!, 'hello')).toBe(true);
  expect(desk.done.value).toBe('The message is sent.');
  expect(await desk.messageAll('late')).toBe(true);
  expect(desk.done.value).toBe('2 patients have been told.');
  await desk.move(first!, 2);
  expect(desk.done.value).toContain('now at place 2');
  expect(await desk.transfer(first!, 'doc_2', '')).toBe(true);
  expect(await desk.decline(first!, '')).toBe(true);
  expect(await desk.decline(first!, 'no')).toBe(true);
  await desk.sendBack(desk.admitted.value[0]!);
  await desk.setPresence('available');
  expect(FakeWebSocket.sent.slice(1).map(({ id, ...m }) => (expect(id).toBeDefined(), m))).toEqual([
    { type: 'message', ticket_id: 'wt_1', text: 'hello' },
    { type: 'message_all', text: 'late' },
    { type: 'reorder', ticket_id: 'wt_1', position: 2 },
    { type: 'transfer', ticket_id: 'wt_1', doctor_id: 'doc_2' },
    { type: 'decline', ticket_id: 'wt_1' },
    { type: 'decline', ticket_id: 'wt_1', reason: 'no' },
    { type: 'send_back', ticket_id: 'wt_9' },
    { type: 'presence', presence: 'available' },
  ]);
});

it('says in the dialog why an action did not work, and takes a failed presence back', async () => {
  const desk = await open();
  const [first] = desk.tickets.value;
  for (const [reason, key] of [
    ['ticket_closed', 'desk.gone'],
    ['open_consultation', 'desk.there'],
    ['bad_message', 'desk.check'],
    ['something_new', 'banner.actionFailed'],
  ]) {
    FakeWebSocket.answers['transfer'] = refusal(reason!);
    expect(await desk.transfer(first!, 'doc_2', 'Bo')).toBe(false);
    expect([desk.taskFailed.value, desk.notice.value, desk.done.value]).toEqual([key, null, '']);
  }
  FakeWebSocket.answers['presence'] = refusal('too_fast');
  await desk.setPresence('busy');
  expect([desk.presence.value, desk.notice.value]).toEqual(['away', 'banner.actionFailed']);
});
