// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backoff, Link, signalURL } from './link';
import type { ServerMessage } from './messages';
import { Socket } from './socket';

class FakeWebSocket {
  static readonly OPEN = 1;
  static all: FakeWebSocket[] = [];
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;
  constructor(readonly url: string) {
    FakeWebSocket.all.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close() {
    this.readyState = 3;
  }
  open() {
    this.readyState = 1;
    this.onopen?.();
  }
  receive(message: unknown) {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
  drop(code: number) {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

const last = () => FakeWebSocket.all.at(-1)!;

beforeEach(() => {
  vi.useFakeTimers();
  FakeWebSocket.all = [];
  vi.stubGlobal('WebSocket', FakeWebSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('Socket', () => {
  function make() {
    const pushed: ServerMessage[] = [];
    const closed: number[] = [];
    const socket = new Socket('ws://x', {
      open: () => undefined,
      message: (m) => pushed.push(m),
      closed: (code) => closed.push(code),
    });
    last().open();
    return { socket, pushed, closed, ws: last() };
  }

  it('matches replies to requests and passes on the rest', async () => {
    const { socket, pushed, ws } = make();
    const a = socket.request({ type: 'chat', text: 'one' });
    const b = socket.request({ type: 'chat', text: 'two' });
    ws.receive({ type: 'slots', slots: [] });
    ws.receive({ type: 'ack', id: ws.sent[1]!['id'], message_id: 'm2' });
    ws.receive({ type: 'ack', id: ws.sent[0]!['id'], message_id: 'm1' });
    await expect(a).resolves.toMatchObject({ message_id: 'm1' });
    await expect(b).resolves.toMatchObject({ message_id: 'm2' });
    expect(pushed).toEqual([{ type: 'slots', slots: [] }]);
  });

  it('rejects with the reason of an error, and on silence', async () => {
    const { socket, ws } = make();
    const refused = expect(socket.request({ type: 'end' })).rejects.toMatchObject({
      reason: 'no_grant',
      fatal: false,
    });
    ws.receive({
      type: 'error',
      id: '1',
      error: 'forbidden',
      reason: 'no_grant',
      message: '',
      code: 403,
      fatal: false,
    });
    await refused;
    const unanswered = expect(socket.request({ type: 'end' })).rejects.toMatchObject({ reason: 'no_reply' });
    ws.receive({ type: 'pong' });
    await vi.advanceTimersByTimeAsync(4_000);
    ws.receive({ type: 'pong' });
    for (let i = 0; i < 4; i++) {
      await vi.advanceTimersByTimeAsync(4_000);
      ws.receive({ type: 'pong' });
    }
    await unanswered;
  });

  it('gives up a silent connection, but not one that answers', () => {
    const { closed, ws } = make();
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(5_000);
      ws.receive({ type: 'pong' });
    }
    expect(closed).toEqual([]);
    vi.advanceTimersByTime(15_000);
    expect(closed).toEqual([1006]);
  });

  it('ignores what is no message', () => {
    const { pushed, ws } = make();
    ws.receive('{');
    ws.receive('[]');
    ws.receive('{"type": 5}');
    expect(pushed).toEqual([]);
  });
});

describe('Link', () => {
  function make() {
    const log: string[] = [];
    const link = new Link('ws://x', {
      open: () => log.push('open'),
      message: (m) => log.push(m.type),
      down: () => log.push('down'),
      closed: (code) => log.push(`closed ${code}`),
    });
    link.start();
    return { link, log };
  }

  it('reconnects with growing pauses until the server takes us', () => {
    const { link, log } = make();
    last().open();
    last().drop(1006);
    expect(log).toEqual(['open', 'down']);
    vi.advanceTimersByTime(400);
    expect(FakeWebSocket.all).toHaveLength(2);
    last().drop(1006);
    vi.advanceTimersByTime(390);
    expect(FakeWebSocket.all).toHaveLength(2);
    vi.advanceTimersByTime(420);
    expect(FakeWebSocket.all).toHaveLength(3);
    link.stop();
  });

  it.each([1000, 1008, 1009, 4001])('stays closed after %i', (code) => {
    const { log } = make();
    last().open();
    last().drop(code);
    vi.advanceTimersByTime(60_000);
    expect(log).toEqual(['open', `closed ${code}`]);
    expect(FakeWebSocket.all).toHaveLength(1);
  });

  it('tries at once when the network is back', () => {
    const { link } = make();
    last().open();
    last().drop(1006);
    dispatchEvent(new Event('online'));
    expect(FakeWebSocket.all).toHaveLength(2);
    link.stop();
    dispatchEvent(new Event('online'));
    expect(FakeWebSocket.all).toHaveLength(2);
  });

  it('hears nothing from a socket it has replaced', () => {
    const { link, log } = make();
    const old = last();
    old.open();
    link.renew();
    vi.advanceTimersByTime(1_000);
    old.receive({ type: 'moved' });
    expect(log).toEqual(['open', 'down']);
    link.stop();
  });
});

it('backs off within bounds', () => {
  expect(backoff(0, 0)).toBe(200);
  expect(backoff(0, 1)).toBe(400);
  expect(backoff(20, 1)).toBe(8_000);
});

it('knows the address', () => {
  expect(signalURL({ protocol: 'https:', host: 'h:1' })).toBe('wss://h:1/signal/v1');
  expect(signalURL({ protocol: 'http:', host: 'h' })).toBe('ws://h/signal/v1');
});
