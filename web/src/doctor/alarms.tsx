import { t } from '../i18n';
import { alarming, type QueueTicket } from '../signal/messages';
import { Urgency } from '../ui/ticket-card';
import { Action } from './ticket-actions';
import type { Desk } from './desk';

/**
 * Those who may be in danger, above the queue, whose order stays as it is: the
 * doctor decides.
 */
export function Alarms({ desk }: { desk: Desk }) {
  const red = desk.tickets.value.filter(alarming);
  if (red.length === 0) return null;
  return (
    <section class="card alarms" aria-labelledby="alarms-title" data-testid="alarms">
      <h2 id="alarms-title">{t('desk.alarmTitle', { count: red.length })}</h2>
      <ul>
        {red.map((ticket) => (
          <Alarm key={ticket.ticket_id} desk={desk} ticket={ticket} />
        ))}
      </ul>
      <p class="hint">{t('desk.alarmHint')}</p>
    </section>
  );
}

function Alarm({ desk, ticket }: { desk: Desk; ticket: QueueTicket }) {
  const name = ticket.patient_name || t('queue.unnamed');
  return (
    <li class="alarm-row">
      <span class="alarm-who">
        <bdi>{name}</bdi>
        <Urgency urgency={ticket.urgency} />
        <span class="hint">{t('desk.alarmPlace', { position: ticket.position })}</span>
      </span>
      <span class="ticket-actions">
        <Action
          icon="cam"
          text={t('queue.admit')}
          label={t('queue.admitName', { name })}
          testId={`alarm-admit-${ticket.ticket_id}`}
          onClick={() => void desk.admit(ticket.ticket_id)}
        />
        {ticket.position > 1 && (
          <Action
            icon="up"
            text={t('desk.toFirst')}
            label={t('desk.toFirstName', { name })}
            testId={`alarm-first-${ticket.ticket_id}`}
            onClick={() => void desk.move(ticket, 1)}
          />
        )}
      </span>
    </li>
  );
}
