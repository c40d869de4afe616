import '../styles/base.css';
import '../styles/controls.css';
import '../styles/page.css';
import '../styles/desk.css';
import '../styles/emergency.css';
import { effect, signal } from '@preact/signals';
import { render } from 'preact';
import { Desk, type DeskPhase } from '../doctor/desk';
import { DeskApp } from '../doctor/desk-app';
import { t } from '../i18n';
import { number } from '../i18n/format';
import { hintsOf, newInstance, PageMemory, takeToken, tokenIn } from '../room/page';
import { signalURL } from '../signal/link';
import { followLanguage, presetLanguage } from '../ui/effects';

const TOKEN_WITHIN = 3_000;

const memory = new PageMemory(window, { instance: newInstance() });
const query = new URLSearchParams(location.search);
const desk = signal<Desk | null>(null);
const phase = signal<DeskPhase>('loading');

async function start(): Promise<void> {
  presetLanguage(memory.get().language, query.get('lang'));
  followLanguage();
  effect(() => {
    if (desk.value) phase.value = desk.value.phase.value;
    if (phase.value === 'loading') delete document.body.dataset['state'];
    else document.body.dataset['state'] = phase.value;
  });
  effect(() => {
    const waiting = desk.value?.tickets.value.length ?? 0;
    document.title = `${waiting > 0 ? `(${number(waiting)}) ` : ''}${t('desk.pageTitle')} · ${t('app.name')}`;
  });
  const app = document.getElementById('app');
  const choose = (lang: string) => memory.set({ language: lang });
  if (app) render(<DeskApp desk={desk} phase={phase} onLanguage={choose} />, app);
  const token = await takeToken(window, memory, TOKEN_WITHIN);
  if (token === null) {
    phase.value = 'explain';
    return;
  }
  presetLanguage(memory.get().language, query.get('lang'), hintsOf(token).language);
  desk.value = new Desk(signalURL(location), token, (url) => location.assign(url));
  desk.value.start();
}

addEventListener('hashchange', () => {
  if (tokenIn(location.hash) !== null) location.reload();
});
// Back from the room by the browser's own button: the old page is a picture of the past.
addEventListener('pageshow', (e) => {
  if (e.persisted) location.reload();
});

void start();
