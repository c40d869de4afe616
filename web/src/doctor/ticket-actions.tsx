import { t } from '../i18n';
import type { QueueTicket } from '../signal/messages';
import { Icon, type IconName } from '../ui/icons';
import type { Desk } from './desk';
import type { Task } from './desk-dialog';

interface Props {
  desk: Desk;
  ticket: QueueTicket;
  last: boolean;
  onTask: (task: Task) => void;
}

/** Everything a doctor can do with a waiting patient beside letting them in. */
export function TicketActions({ desk, ticket, last, onTask }: Props) {
  const name = ticket.patient_name || t('queue.unnamed');
  const move = (by: number) => void desk.move(ticket, ticket.position + by);
  return (
    <div class="ticket-actions" role="group" aria-label={t('desk.actions', { name })}>
      <Move
        icon="up"
        label={t('desk.up', { name })}
        id={ticket.ticket_id}
        off={ticket.position <= 1}
        onMove={() => move(-1)}
      />
      <Move
        icon="down"
        label={t('desk.down', { name })}
        id={ticket.ticket_id}
        off={last}
        onMove={() => move(1)}
      />
      <Action
        icon="chat"
        text={t('desk.message')}
        label={t('desk.messageTo', { name })}
        testId={`message-${ticket.ticket_id}`}
        onClick={() => onTask({ kind: 'message', ticket })}
      />
      <Action
        icon="transfer"
        text={t('desk.transfer')}
        label={t('desk.transferName', { name })}
        testId={`transfer-${ticket.ticket_id}`}
        onClick={() => onTask({ kind: 'transfer', ticket })}
      />
      <Action
        icon="close"
        text={t('desk.decline')}
        label={t('desk.declineName', { name })}
        testId={`decline-${ticket.ticket_id}`}
        onClick={() => onTask({ kind: 'decline', ticket })}
      />
    </div>
  );
}

interface MoveProps {
  icon: 'up' | 'down';
  label: string;
  id: string;
  off: boolean;
  onMove: () => void;
}

/** Stays focusable at the end of its way, so that the keyboard does not lose its place. */
function Move({ icon, label, id, off, onMove }: MoveProps) {
  return (
    <button
      type="button"
      class="icon-button"
      data-testid={`${icon}-${id}`}
      aria-label={label}
      title={label}
      aria-disabled={off}
      onClick={() => {
        if (!off) onMove();
      }}
    >
      <Icon name={icon} />
    </button>
  );
}

interface ActionProps {
  icon: IconName;
  text: string;
  label: string;
  testId: string;
  onClick: () => void;
}

export function Action({ icon, text, label, testId, onClick }: ActionProps) {
  return (
    <button type="button" class="button slim" data-testid={testId} aria-label={label} onClick={onClick}>
      <Icon name={icon} />
      {text}
    </button>
  );
}
