import type { ReadonlySignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { t } from '../i18n';
import type { Room } from '../room/room';
import type { Phase } from '../room/state';
import { Banners, Spinner } from './banners';
import { Call } from './call';
import { Check } from './check';
import { RoomContext } from './context';
import { Ended, Explain, Failed } from './outcome';
import { Page } from './page';
import { Waiting } from './waiting';

interface Props {
  room: ReadonlySignal<Room | null>;
  phase: ReadonlySignal<Phase>;
  preset: { name: string; doctor: boolean };
  onLanguage: (lang: string) => void;
}

export function RoomApp({ room, phase, preset, onLanguage }: Props) {
  const now = phase.value;
  const top = useRef<HTMLDivElement>(null);
  // A new state is a new page to whoever can't see it: start reading at its top.
  useEffect(() => {
    const heading = top.current?.querySelector('h1');
    heading?.setAttribute('tabindex', '-1');
    heading?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [now]);
  if (now === 'explain' || !room.value) {
    return (
      <div ref={top}>
        <Page onLanguage={onLanguage}>{now === 'explain' ? <Explain /> : <Loading />}</Page>
      </div>
    );
  }
  return (
    <RoomContext.Provider value={room.value}>
      <div ref={top}>
        {now === 'call' ? (
          <Call onLanguage={onLanguage} />
        ) : (
          <Page onLanguage={onLanguage} wide={now === 'check' || now === 'waiting'}>
            {now === 'loading' && <Loading />}
            {now === 'check' && <Check name={preset.name} doctor={preset.doctor} />}
            {now === 'waiting' && <Waiting />}
            {now === 'ended' && <Ended />}
            {now === 'error' && <Failed />}
          </Page>
        )}
      </div>
      {now !== 'check' && <Banners />}
    </RoomContext.Provider>
  );
}

function Loading() {
  return (
    <p class="loading" role="status">
      <Spinner />
      {t('app.loading')}
    </p>
  );
}
