import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n';
import { Icon } from '../ui/icons';
import type { QueueTicket } from '../signal/messages';
import type { Desk } from './desk';

/** The bounds of docs/signaling.md. */
const MAX_MESSAGE = 1_000;
const MAX_REASON = 500;

/** What the doctor is about to do with a patient, or with all. */
export type Task =
  { kind: 'message_all' } | { kind: 'message' | 'transfer' | 'decline'; ticket: QueueTicket };

interface Props {
  desk: Desk;
  task: Task;
  onClose: () => void;
}

/** Asks for what an action needs. It closes once the server has done it. */
export function DeskDialog({ desk, task, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);
  const submit = async (fields: FormData) => {
    setBusy(true);
    const done = await perform(desk, task, (name) => {
      const value = fields.get(name);
      return typeof value === 'string' ? value.trim() : '';
    });
    if (done) dialog.current?.close();
    else setBusy(false);
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="task-title" onClose={onClose}>
      <form method="dialog" class="dialog-head">
        <h2 id="task-title">{title(task)}</h2>
        <button class="icon-button" aria-label={t('app.close')}>
          <Icon name="close" />
        </button>
      </form>
      <form
        class="fields"
        onSubmit={(e) => {
          e.preventDefault();
          void submit(new FormData(e.currentTarget));
        }}
      >
        {desk.taskFailed.value !== null && (
          <p class="inline-banner" role="alert">
            <Icon name="warning" />
            {t(desk.taskFailed.value)}
          </p>
        )}
        <Fields task={task} />
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={() => dialog.current?.close()}>
            {t('desk.cancel')}
          </button>
          <button
            class={task.kind === 'decline' ? 'button danger' : 'button primary'}
            data-testid="task-submit"
            disabled={busy}
          >
            {submitText(task)}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Fields({ task }: { task: Task }) {
  switch (task.kind) {
    case 'message':
    case 'message_all':
      return (
        <>
          <p class="hint">{t('desk.messageHint')}</p>
          <Text name="text" label={t('desk.messageText')} max={MAX_MESSAGE} required />
        </>
      );
    case 'decline':
      return (
        <>
          <p class="hint">{t('desk.declineHint')}</p>
          <Text name="reason" label={t('desk.declineReason')} max={MAX_REASON} />
        </>
      );
    case 'transfer':
      return (
        <>
          <p class="hint">{t('desk.transferHint')}</p>
          <Line name="doctor_id" label={t('desk.doctorId')} max={128} required />
          <Line name="doctor_name" label={t('desk.otherName')} max={120} />
        </>
      );
  }
}

interface FieldProps {
  name: string;
  label: string;
  max: number;
  required?: boolean;
}

function Text({ name, label, max, required = false }: FieldProps) {
  return (
    <label class="field">
      <span class="field-label">{label}</span>
      <textarea
        name={name}
        data-testid={`task-${name}`}
        rows={4}
        dir="auto"
        maxLength={max}
        required={required}
      />
    </label>
  );
}

function Line({ name, label, max, required = false }: FieldProps) {
  return (
    <label class="field">
      <span class="field-label">{label}</span>
      <input
        type="text"
        name={name}
        data-testid={`task-${name}`}
        dir="auto"
        maxLength={max}
        required={required}
        autocomplete="off"
      />
    </label>
  );
}

function nameOf(ticket: QueueTicket): string {
  return ticket.patient_name || t('queue.unnamed');
}

function title(task: Task): string {
  if (task.kind === 'message_all') return t('desk.messageAll');
  const name = nameOf(task.ticket);
  switch (task.kind) {
    case 'message':
      return t('desk.messageTo', { name });
    case 'transfer':
      return t('desk.transferName', { name });
    case 'decline':
      return t('desk.declineName', { name });
  }
}

function submitText(task: Task): string {
  switch (task.kind) {
    case 'message':
    case 'message_all':
      return t('chat.send');
    case 'transfer':
      return t('desk.transfer');
    case 'decline':
      return t('desk.decline');
  }
}

function perform(desk: Desk, task: Task, field: (name: string) => string): Promise<boolean> {
  switch (task.kind) {
    case 'message_all':
      return desk.messageAll(field('text'));
    case 'message':
      return desk.message(task.ticket, field('text'));
    case 'transfer':
      return desk.transfer(task.ticket, field('doctor_id'), field('doctor_name'));
    case 'decline':
      return desk.decline(task.ticket, field('reason'));
  }
}
