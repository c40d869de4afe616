import { expect, it } from 'vitest';
import type { QueueTicket } from '../signal/messages';
import { arrivals } from './desk';

const ticket = (id: string, status: QueueTicket['status']): QueueTicket => ({
  ticket_id: id,
  session_id: 'vs',
  patient_id: 'p',
  patient_name: '',
  reason: '',
  language: 'en',
  status,
  position: 1,
  joined_at: '',
  waiting_since: null,
});
const ids = (before: QueueTicket[], after: QueueTicket[]) => arrivals(before, after).map((t) => t.ticket_id);

it('announces who has come to the page, not who was only entered', () => {
  expect(ids([], [ticket('a', 'queued')])).toEqual([]);
  expect(ids([ticket('a', 'queued')], [ticket('a', 'ready')])).toEqual(['a']);
  expect(ids([ticket('a', 'ready')], [ticket('a', 'ready'), ticket('b', 'ready')])).toEqual(['b']);
  expect(ids([ticket('a', 'away')], [ticket('a', 'ready')])).toEqual(['a']);
  expect(ids([ticket('a', 'ready')], [])).toEqual([]);
});
