import type { ReadonlySignal } from '@preact/signals';
import { asKey, t } from '../i18n';
import { Spinner } from '../ui/banners';
import { Icon } from '../ui/icons';
import { Explain } from '../ui/outcome';
import { Page, Statement } from '../ui/page';
import { TicketCard } from '../ui/ticket-card';
import type { Desk, DeskPhase } from './desk';

interface Props {
  desk: ReadonlySignal<Desk | null>;
  phase: ReadonlySignal<DeskPhase>;
  onLanguage: (lang: string) => void;
}

export function DeskApp({ desk, phase, onLanguage }: Props) {
  const now = desk.value;
  return (
    <Page
      onLanguage={onLanguage}
      wide={phase.value === 'desk'}
      tools={now && phase.value === 'desk' ? <SoundSwitch desk={now} /> : undefined}
    >
      {phase.value === 'explain' && <Explain desk />}
      {phase.value === 'loading' && (
        <p class="loading" role="status">
          <Spinner />
          {t('app.loading')}
        </p>
      )}
      {now && phase.value === 'error' && <Refused reason={now.failure.value ?? 'internal'} />}
      {now && phase.value === 'desk' && <List desk={now} />}
    </Page>
  );
}

function Refused({ reason }: { reason: string }) {
  const key = asKey(`error.${reason}`) ?? 'error.internal';
  return (
    <Statement
      title={key === 'error.internal' ? t('error.technicalTitle') : t('error.title')}
      text={t(key)}
      testId="error-banner"
      reason={reason}
      alert
    >
      {key === 'error.internal' && (
        <button type="button" class="button primary large" onClick={() => window.location.reload()}>
          {t('app.reload')}
        </button>
      )}
    </Statement>
  );
}

function SoundSwitch({ desk }: { desk: Desk }) {
  const on = desk.sound.value;
  return (
    <button
      type="button"
      class="button quiet-button"
      data-testid="sound-toggle"
      aria-pressed={on}
      title={t('desk.sound')}
      onClick={() => void desk.toggleSound()}
    >
      <Icon name={on ? 'sound' : 'soundOff'} />
      <span class="wide-only">{on ? t('desk.soundOn') : t('desk.soundOff')}</span>
    </button>
  );
}

function List({ desk }: { desk: Desk }) {
  const tickets = desk.tickets.value;
  const name = desk.doctorName.value;
  const arrived = desk.arrived.value;
  return (
    <>
      <div class="page-title">
        <h1>{name ? t('desk.of', { name }) : t('desk.title')}</h1>
        {tickets.length > 0 && (
          <p class="lead" data-testid="queue-count">
            {t('desk.count', { count: tickets.length })}
          </p>
        )}
      </div>
      {desk.down.value && (
        <p class="inline-banner" role="alert" data-testid="error-banner" data-reason="reconnecting">
          <Spinner />
          {t('banner.reconnecting')}
        </p>
      )}
      {desk.notice.value !== null && (
        <p class="inline-banner" role="alert" data-testid="error-banner">
          <Icon name="warning" />
          {t(desk.notice.value)}
        </p>
      )}
      <p class="visually-hidden" role="status">
        {arrived && t('desk.arrived', { name: arrived.patient_name || t('queue.unnamed') })}
      </p>
      {tickets.length === 0 ? (
        <div class="card empty">
          <span class="empty-mark">
            <Icon name="clock" />
          </span>
          <h2>{t('desk.empty')}</h2>
          <p class="lead">{t('desk.emptyHint')}</p>
        </div>
      ) : (
        <ol class="tickets">
          {tickets.map((ticket) => (
            <li key={ticket.ticket_id}>
              <TicketCard
                ticket={ticket}
                placed
                busy={desk.admitting.value.has(ticket.ticket_id)}
                onAdmit={() => void desk.admit(ticket.ticket_id)}
              />
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
