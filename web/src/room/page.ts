import { sources, type Source } from '../signal/messages';

/**
 * What the page keeps over a reload. It lives in `history.state`, which needs
 * no storage, belongs to this tab alone, and works in an iframe whose storage
 * is blocked.
 */
export interface Kept {
  token?: string;
  /** Random per page, kept over reloads: tells the server it is the same one. */
  instance: string;
  name?: string;
  /** A language the person chose, over the session's. */
  language?: string;
  /** In the waiting room or the call: a reload goes straight back. */
  inside?: boolean;
  on?: { microphone: boolean; camera: boolean };
  choice?: { camera: string; microphone: string; speaker: string };
}

const FIELD = 'chatmed';

/**
 * How long a change may wait until it is written: the browser takes tens of
 * milliseconds for it on a slow machine, which a join should not wait for.
 */
const WRITE_WITHIN = 1_000;

export class PageMemory {
  private kept: Kept;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly win: Window,
    fallback: Kept,
  ) {
    const state: unknown = win.history.state;
    const stored = isRecord(state) ? state[FIELD] : undefined;
    this.kept = isRecord(stored) ? { ...fallback, ...(stored as Partial<Kept>) } : fallback;
    win.addEventListener('pagehide', () => this.timer !== undefined && this.write());
  }

  get(): Readonly<Kept> {
    return this.kept;
  }

  /** A token is written at once, which also takes it out of the address. */
  set(change: Partial<Kept>): void {
    this.kept = { ...this.kept, ...change };
    if (change.token !== undefined) this.write();
    else this.timer ??= setTimeout(() => this.write(), WRITE_WITHIN);
  }

  private write(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const { pathname, search } = this.win.location;
    this.win.history.replaceState({ [FIELD]: this.kept }, '', pathname + search);
  }
}

/** The token in a URL fragment such as `#token=…`, or null. */
export function tokenIn(hash: string): string | null {
  const token = new URLSearchParams(hash.replace(/^#/, '')).get('token');
  return token === '' ? null : token;
}

/**
 * The token of this page: from the fragment, from before a reload, or, when
 * embedded, from the page around us within `waitMs`. Null when there is none.
 */
export async function takeToken(win: Window, memory: PageMemory, waitMs: number): Promise<string | null> {
  const fresh = tokenIn(win.location.hash);
  if (fresh !== null) {
    // A link opened anew starts anew: at the device check, as nobody yet.
    const same = fresh === memory.get().token;
    memory.set(same ? { token: fresh } : { token: fresh, inside: false });
    return fresh;
  }
  const kept = memory.get().token;
  if (kept !== undefined) return kept;
  if (win.parent === win) return null;
  const given = await tokenFromParent(win, waitMs);
  if (given !== null) memory.set({ token: given });
  return given;
}

/**
 * Waits for `{type: 'chatmed:token', token}`. Only the page directly around us
 * is heard, and only from the origin the browser says it has. Which pages may
 * embed us at all is decided by the server's frame-ancestors.
 */
function tokenFromParent(win: Window, waitMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const origin = parentOrigin(win);
    const finish = (token: string | null) => {
      clearTimeout(timer);
      win.removeEventListener('message', hear);
      resolve(token);
    };
    const hear = (e: MessageEvent<unknown>) => {
      if (e.source !== win.parent || origin === null || e.origin !== origin) return;
      const { data } = e;
      if (isRecord(data) && data['type'] === 'chatmed:token' && typeof data['token'] === 'string')
        finish(data['token']);
    };
    const timer = setTimeout(() => finish(null), waitMs);
    win.addEventListener('message', hear);
    // Tells an embedding page that was there first that it can send now. It
    // carries nothing, so it may go to any origin.
    win.parent.postMessage({ type: 'chatmed:hello' }, '*');
  });
}

/** The origin of the embedding page; null when the browser does not say. */
export function parentOrigin(win: Window): string | null {
  const ancestor = (win.location as Partial<Location>).ancestorOrigins?.[0];
  if (ancestor !== undefined) return ancestor;
  try {
    return new URL(win.document.referrer).origin;
  } catch {
    return null;
  }
}

/** What a token says about itself, read without checking: good enough to preset a form. */
export interface TokenHints {
  role: string | null;
  name: string | null;
  language: string | null;
  /** The sources it may send; null where it does not say. */
  publish: Source[] | null;
}

export function hintsOf(token: string): TokenHints {
  const claims = payload(token);
  const text = (name: string) => {
    const v = claims[name];
    return typeof v === 'string' && v !== '' ? v : null;
  };
  return {
    role: text('role'),
    name: text('name'),
    language: text('lang'),
    publish: publishOf(claims['grants']),
  };
}

function publishOf(grants: unknown): Source[] | null {
  if (!isRecord(grants)) return null;
  const { publish } = grants;
  // The server leaves an empty list out.
  return Array.isArray(publish) ? sources.filter((s) => publish.includes(s)) : [];
}

function payload(token: string): Record<string, unknown> {
  try {
    const part = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(part), (c) => c.charCodeAt(0));
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

export function newInstance(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join(
    '',
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
