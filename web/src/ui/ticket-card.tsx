import type { ComponentChildren } from 'preact';
import { t } from '../i18n';
import { number, waited } from '../i18n/format';
import { alarming, type QueueTicket } from '../signal/messages';
import { useNow } from './context';
import { Icon } from './icons';

interface Props {
  ticket: QueueTicket;
  busy: boolean;
  /** Shows the place in the queue, in the list of all. */
  placed?: boolean;
  onAdmit: () => void;
  /** What else can be done with it. */
  children?: ComponentChildren;
}

/** The red mark, in words too; nothing for what is no emergency. */
export function Urgency({ urgency }: { urgency: QueueTicket['urgency'] }) {
  if (urgency !== 'critical' && urgency !== 'high') return null;
  return (
    <span class={`urgency urgency-${urgency}`} data-testid="urgency" data-urgency={urgency}>
      <Icon name="warning" />
      {t(`queue.urgency.${urgency}`)}
    </span>
  );
}

/** A waiting patient as the doctor sees them. */
export function TicketCard({ ticket, busy, placed = false, onAdmit, children }: Props) {
  const now = useNow(10_000);
  const name = ticket.patient_name || t('queue.unnamed');
  const since = now - Date.parse(ticket.waiting_since ?? ticket.joined_at);
  return (
    <article
      class={`ticket ticket-${ticket.status}${alarming(ticket) ? ' ticket-red' : ''}`}
      data-ticket={ticket.ticket_id}
      aria-label={name}
    >
      {placed && (
        <span class="ticket-place">
          <span class="visually-hidden">{t('queue.position')} </span>
          {number(ticket.position)}
        </span>
      )}
      <div class="ticket-who">
        <h3>
          <bdi>{name}</bdi>
        </h3>
        <Urgency urgency={ticket.urgency} />
        <p class="ticket-reason">
          <span class="visually-hidden">{t('queue.reason')}: </span>
          {ticket.reason ? (
            <bdi dir="auto">{ticket.reason}</bdi>
          ) : (
            <span class="quiet">{t('queue.noReason')}</span>
          )}
        </p>
      </div>
      <ul class="ticket-facts">
        <li class={`status status-${ticket.status}`}>{t(`queue.status.${ticket.status}`)}</li>
        <li>
          <Icon name="clock" />
          <span>
            {t('queue.waiting')} <strong>{waited(since)}</strong>
          </span>
        </li>
      </ul>
      <button
        type="button"
        class="button primary"
        data-testid={`admit-${ticket.ticket_id}`}
        disabled={busy}
        aria-label={t('queue.admitName', { name })}
        onClick={onAdmit}
      >
        {busy ? t('queue.admitting') : t('queue.admit')}
      </button>
      {children}
    </article>
  );
}
