import type { ReadonlySignal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { asKey, t } from '../i18n';
import { Spinner } from '../ui/banners';
import { Icon } from '../ui/icons';
import { Explain } from '../ui/outcome';
import { Page, Statement } from '../ui/page';
import { TicketCard } from '../ui/ticket-card';
import { presences } from '../signal/messages';
import { Alarms } from './alarms';
import type { Desk, DeskPhase } from './desk';
import { DeskDialog, type Task } from './desk-dialog';
import { Action, TicketActions } from './ticket-actions';

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
  const alarm = desk.alarm.value;
  const [task, setTask] = useState<Task | null>(null);
  const begin = (next: Task) => {
    desk.taskFailed.value = null;
    setTask(next);
  };
  return (
    <>
      <div class="desk-head">
        <div class="page-title">
          <h1>{name ? t('desk.of', { name }) : t('desk.title')}</h1>
          {tickets.length > 0 && (
            <p class="lead" data-testid="queue-count">
              {t('desk.count', { count: tickets.length })}
            </p>
          )}
        </div>
        <PresenceSwitch desk={desk} />
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
      <p
        class={desk.done.value === '' ? 'visually-hidden' : 'inline-banner done'}
        role="status"
        data-testid="desk-done"
      >
        {desk.done.value !== '' && <Icon name="check" />}
        {desk.done.value}
      </p>
      <p class="visually-hidden" role="alert" data-testid="desk-alarm">
        {alarm && t('desk.alarm', { name: alarm.patient_name || t('queue.unnamed') })}
      </p>
      <Alarms desk={desk} />
      <Admitted desk={desk} />
      {tickets.length === 0 ? (
        <div class="card empty">
          <span class="empty-mark">
            <Icon name="clock" />
          </span>
          <h2>{t('desk.empty')}</h2>
          <p class="lead">{t('desk.emptyHint')}</p>
        </div>
      ) : (
        <>
          <ol class="tickets">
            {tickets.map((ticket, i) => (
              <li key={ticket.ticket_id}>
                <TicketCard
                  ticket={ticket}
                  placed
                  busy={desk.admitting.value.has(ticket.ticket_id)}
                  onAdmit={() => void desk.admit(ticket.ticket_id)}
                >
                  <TicketActions desk={desk} ticket={ticket} last={i === tickets.length - 1} onTask={begin} />
                </TicketCard>
              </li>
            ))}
          </ol>
          <p>
            <Action
              icon="chat"
              text={t('desk.messageAll')}
              label={t('desk.messageAll')}
              testId="message-all"
              onClick={() => begin({ kind: 'message_all' })}
            />
          </p>
        </>
      )}
      {task && <DeskDialog desk={desk} task={task} onClose={() => setTask(null)} />}
    </>
  );
}

/** Whether the doctor can see patients, as their waiting pages tell them. */
function PresenceSwitch({ desk }: { desk: Desk }) {
  return (
    <fieldset class="presence" data-testid="presence">
      <legend>{t('desk.presence')}</legend>
      <div class="presence-choices">
        {presences.map((p) => (
          <label key={p} class={`presence-choice ${p}`}>
            <input
              type="radio"
              name="presence"
              value={p}
              data-testid={`presence-${p}`}
              checked={desk.presence.value === p}
              onChange={() => void desk.setPresence(p)}
            />
            <span>{t(`desk.presence.${p}`)}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

/** Those who were let in and whose call has not begun: the way back to them, or theirs back. */
function Admitted({ desk }: { desk: Desk }) {
  const admitted = desk.admitted.value;
  if (admitted.length === 0) return null;
  return (
    <section class="card admitted" aria-labelledby="admitted-title">
      <h2 id="admitted-title">{t('desk.admittedTitle')}</h2>
      <ul>
        {admitted.map((ticket) => {
          const name = ticket.patient_name || t('queue.unnamed');
          return (
            <li key={ticket.ticket_id} class="admitted-row">
              <bdi>{name}</bdi>
              <span class="ticket-actions">
                <Action
                  icon="cam"
                  text={t('desk.open')}
                  label={t('desk.openName', { name })}
                  testId={`open-${ticket.ticket_id}`}
                  onClick={() => void desk.admit(ticket.ticket_id)}
                />
                <Action
                  icon="back"
                  text={t('desk.sendBack')}
                  label={t('desk.sendBackName', { name })}
                  testId={`send-back-${ticket.ticket_id}`}
                  onClick={() => void desk.sendBack(ticket)}
                />
              </span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
