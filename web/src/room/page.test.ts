// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hintsOf, newInstance, PageMemory, parentOrigin, takeToken, tokenIn } from './page';

interface FakeWindow {
  hash: string;
  state: unknown;
  referrer?: string;
  ancestors?: string[];
  embedded?: boolean;
}

/** Just enough of a window, with a parent when embedded. */
function fakeWindow(f: FakeWindow) {
  const target = new EventTarget();
  const posted: unknown[] = [];
  const parent = { postMessage: (m: unknown) => posted.push(m) };
  const replaced: string[] = [];
  const win = {
    location: {
      pathname: '/room/vs_1',
      search: '?role=doctor',
      hash: f.hash,
      ...(f.ancestors ? { ancestorOrigins: f.ancestors } : {}),
    },
    history: {
      state: f.state,
      replaceState(state: unknown, _: string, url: string) {
        win.history.state = state;
        replaced.push(url);
      },
    },
    document: { referrer: f.referrer ?? '' },
    parent: undefined as unknown,
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
  };
  win.parent = f.embedded ? parent : win;
  const say = (data: unknown, origin: string, source: unknown = parent) => {
    const e = new Event('message');
    Object.assign(e, { data, origin, source });
    target.dispatchEvent(e);
  };
  return { win: win as unknown as Window, say, posted, replaced, history: win.history };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const memoryOf = (win: Window) => new PageMemory(win, { instance: 'new' });

describe('takeToken', () => {
  it('moves the token from the address into the history', async () => {
    const { win, replaced, history } = fakeWindow({ hash: '#token=a.b.c', state: null });
    await expect(takeToken(win, memoryOf(win), 10)).resolves.toBe('a.b.c');
    expect(replaced).toEqual(['/room/vs_1?role=doctor']);
    expect(history.state).toMatchObject({ chatmed: { token: 'a.b.c', instance: 'new' } });
  });

  it('comes back after a reload, as the same page', async () => {
    const { win } = fakeWindow({
      hash: '',
      state: { chatmed: { token: 't', instance: 'old', inside: true } },
    });
    const memory = memoryOf(win);
    await expect(takeToken(win, memory, 10)).resolves.toBe('t');
    expect(memory.get()).toMatchObject({ instance: 'old', inside: true });
  });

  it('starts anew with another link', async () => {
    const { win } = fakeWindow({
      hash: '#token=u',
      state: { chatmed: { token: 't', instance: 'old', inside: true } },
    });
    const memory = memoryOf(win);
    await takeToken(win, memory, 10);
    expect(memory.get()).toMatchObject({ token: 'u', inside: false });
  });

  it('writes other changes a little later, or when the page goes', () => {
    const { win, history } = fakeWindow({ hash: '', state: null });
    const memory = memoryOf(win);
    memory.set({ name: 'Jeanne' });
    memory.set({ inside: true });
    expect(history.state).toBeNull();
    vi.advanceTimersByTime(1_000);
    expect(history.state).toMatchObject({ chatmed: { name: 'Jeanne', inside: true } });
    memory.set({ inside: false });
    win.dispatchEvent(new Event('pagehide'));
    expect(history.state).toMatchObject({ chatmed: { inside: false } });
  });

  it('has nobody to wait for at the top', async () => {
    const { win } = fakeWindow({ hash: '', state: null });
    await expect(takeToken(win, memoryOf(win), 10)).resolves.toBeNull();
  });

  it('takes the token of the embedding page, from its origin alone', async () => {
    const f = fakeWindow({ hash: '', state: null, embedded: true, referrer: 'https://clinic.example/visit' });
    const got = takeToken(f.win, memoryOf(f.win), 3_000);
    expect(f.posted).toEqual([{ type: 'chatmed:hello' }]);
    f.say({ type: 'chatmed:token', token: 'evil' }, 'https://evil.example');
    f.say({ type: 'chatmed:token', token: 'evil' }, 'https://clinic.example', { another: 'window' });
    f.say({ type: 'other', token: 'x' }, 'https://clinic.example');
    f.say({ type: 'chatmed:token', token: 'good' }, 'https://clinic.example');
    await expect(got).resolves.toBe('good');
    expect(f.history.state).toMatchObject({ chatmed: { token: 'good' } });
  });

  it('gives up after a while', async () => {
    const f = fakeWindow({ hash: '', state: null, embedded: true, referrer: 'https://clinic.example/' });
    const got = takeToken(f.win, memoryOf(f.win), 3_000);
    await vi.advanceTimersByTimeAsync(3_000);
    await expect(got).resolves.toBeNull();
  });
});

it('trusts the ancestor over the referrer', () => {
  const { win } = fakeWindow({
    hash: '',
    state: null,
    ancestors: ['https://clinic.example'],
    referrer: 'https://old.example/',
  });
  expect(parentOrigin(win)).toBe('https://clinic.example');
  expect(parentOrigin(fakeWindow({ hash: '', state: null }).win)).toBeNull();
});

it('reads hints from a token without trusting its form', () => {
  const claims = { role: 'doctor', name: 'Zoé', lang: 'fr', grants: { publish: ['camera', 'rocket'] } };
  const bytes = new TextEncoder().encode(JSON.stringify(claims));
  const part = btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=/g, '');
  expect(hintsOf(`x.${part}.y`)).toEqual({
    role: 'doctor',
    name: 'Zoé',
    language: 'fr',
    publish: ['camera'],
  });
  expect(hintsOf('x.e30.y').publish).toBeNull();
  const none = { role: null, name: null, language: null, publish: null };
  for (const bad of ['', 'x', 'x.%%.y', 'x.bnVsbA.y']) expect(hintsOf(bad)).toEqual(none);
});

it('finds the token in a fragment', () => {
  expect(tokenIn('#token=a.b-c_d')).toBe('a.b-c_d');
  expect(tokenIn('#token=')).toBeNull();
  expect(tokenIn('')).toBeNull();
});

it('makes an instance that fits the protocol', () => {
  expect(newInstance()).toMatch(/^[0-9a-f]{32}$/);
});
