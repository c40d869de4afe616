import '../styles/base.css';
import '../styles/controls.css';
import '../styles/page.css';
import '../styles/check.css';
import '../styles/waiting.css';
import '../styles/desk.css';
import '../styles/emergency.css';
import '../styles/tiles.css';
import '../styles/call.css';
import '../styles/chat.css';
import '../styles/consent.css';
import '../styles/banners.css';
import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { language, matchLanguage, t } from '../i18n';
import { number } from '../i18n/format';
import { parseCodec } from '../media/codecs';
import { hintsOf, newInstance, PageMemory, takeToken, tokenIn } from '../room/page';
import { Room } from '../room/room';
import type { Phase } from '../room/state';
import { signalURL } from '../signal/link';
import { sources } from '../signal/messages';
import { drawWithFrames, followLanguage, keepAwake, presetLanguage } from '../ui/effects';
import { RoomApp } from '../ui/room-app';

/** How long a page without a key waits for one from the page around it. */
const TOKEN_WITHIN = 3_000;

drawWithFrames();
const memory = new PageMemory(window, { instance: newInstance() });
const query = new URLSearchParams(location.search);
const room = signal<Room | null>(null);
const phase = signal<Phase>('loading');
const preset = { name: '', doctor: false };

function chooseLanguage(lang: string): void {
  memory.set({ language: lang });
}

/** Makes the room for a token; the language of the session wins over the browser's. */
function open(token: string): Room {
  const hints = hintsOf(token);
  presetLanguage(memory.get().language, query.get('lang'), hints.language);
  const asked = query.get('role') === 'doctor' ? 'doctor' : 'patient';
  preset.name = memory.get().name ?? hints.name ?? '';
  preset.doctor = (hints.role === 'integrator' ? asked : hints.role) === 'doctor';
  return new Room(
    {
      url: signalURL(location),
      sessionId: decodeURIComponent(location.pathname.split('/').filter(Boolean).at(-1) ?? ''),
      token,
      role: hints.role === 'integrator' ? asked : undefined,
      sources: hints.publish ?? sources,
      codec: parseCodec(query.get('codec')),
    },
    memory,
  );
}

function pageTitle(): string {
  const { waiting } = room.value?.model.value ?? {};
  switch (phase.value) {
    case 'waiting':
      return waiting?.position !== undefined
        ? t('wait.pageTitle', { position: number(waiting.position) })
        : t('wait.pageTitlePlain');
    case 'call':
      return admittedUnseen.value ? t('wait.admittedTitle') : t('call.pageTitle');
    case 'ended':
      return t('ended.title');
    case 'error':
      return t('error.title');
    default:
      return t('call.plain');
  }
}

/** The doctor let the patient in while another tab was in front: the title says so. */
const admittedUnseen = signal(false);

function follow(): void {
  let before: Phase = 'loading';
  effect(() => {
    const now = room.value ? room.value.phase.value : phase.value;
    phase.value = now;
    if (before === 'waiting' && now === 'call') admittedUnseen.value = document.visibilityState === 'hidden';
    before = now;
    if (now === 'loading') delete document.body.dataset['state'];
    else document.body.dataset['state'] = now;
  });
  effect(() => {
    const { session } = room.value?.model.value ?? {};
    const { language: chosen } = memory.get();
    const wanted = matchLanguage(session?.language);
    if (chosen === undefined && query.get('lang') === null && wanted) language.value = wanted;
  });
  effect(() => {
    document.title = `${pageTitle().replace(/[\u2068\u2069]/g, '')} · ${t('app.name')}`;
  });
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') admittedUnseen.value = false;
  });
  keepAwake(() => phase.value === 'waiting' || phase.value === 'call');
}

async function start(): Promise<void> {
  presetLanguage(memory.get().language, query.get('lang'));
  followLanguage();
  follow();
  const app = document.getElementById('app');
  if (app) {
    render(<RoomApp room={room} phase={phase} preset={preset} onLanguage={chooseLanguage} />, app);
  }
  const token = await takeToken(window, memory, TOKEN_WITHIN);
  if (token === null) {
    phase.value = 'explain';
    return;
  }
  room.value = open(token);
  room.value.begin();
}

// The same page opened with another link changes only the fragment.
addEventListener('hashchange', () => {
  if (tokenIn(location.hash) !== null) location.reload();
});

void start();
