import { useRef } from 'preact/hooks';
import { t } from '../i18n';
import { number } from '../i18n/format';
import { started } from '../room/recording';
import { useRoom } from './context';
import { DeviceFields } from './devices';
import { Icon, type IconName } from './icons';

export function Controls() {
  const room = useRoom();
  const { on, live, starting, sharing } = room.local.value;
  const microphone = on.microphone && (live.microphone || starting);
  const camera = on.camera && (live.camera || starting);
  const unread = room.unread.value;
  const doctor = room.model.value.role === 'doctor';
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <nav
      class={doctor && room.canShare && room.model.value.recording ? 'controls many' : 'controls'}
      aria-label={t('call.controls')}
    >
      {!room.observer && (
        <>
          <Control
            testId="mic-toggle"
            icon={microphone ? 'mic' : 'micOff'}
            text={t('call.mic')}
            label={microphone ? t('call.micOff') : t('call.micOn')}
            off={!microphone}
            onClick={() => void room.own.setMicrophone(!microphone)}
          />
          <Control
            testId="cam-toggle"
            icon={camera ? 'cam' : 'camOff'}
            text={t('call.cam')}
            label={camera ? t('call.camOff') : t('call.camOn')}
            off={!camera}
            onClick={() => void room.own.setCamera(!camera)}
          />
        </>
      )}
      {room.canShare && (
        <Control
          testId="screen-toggle"
          icon="share"
          text={t('call.share')}
          label={sharing ? t('call.shareOff') : t('call.shareOn')}
          active={sharing}
          onClick={() => void room.setScreen(!sharing)}
        />
      )}
      {doctor && room.model.value.recording && <RecordControl />}
      <Control
        testId="chat-toggle"
        icon="chat"
        text={t('call.chat')}
        label={room.chatOpen.value ? t('call.chatClose') : t('call.chatOpen')}
        active={room.chatOpen.value}
        badge={unread}
        badgeText={t('chat.unread', { count: unread })}
        onClick={() => room.showChat(!room.chatOpen.value)}
      />
      {!room.observer && (
        <Control
          testId="settings-toggle"
          icon="gear"
          text={t('call.settings')}
          label={t('call.settingsOpen')}
          onClick={() => dialog.current?.showModal()}
        />
      )}
      <Control
        testId="leave-button"
        icon="leave"
        text={t('call.leave')}
        label={t('call.leaveLong')}
        danger={!doctor}
        onClick={() => room.leave()}
      />
      {doctor && (
        <Control
          testId="end-button"
          icon="end"
          text={t('call.end')}
          label={t('call.endLong')}
          danger
          onClick={() => room.farewell.start()}
        />
      )}
      <dialog ref={dialog} class="dialog" aria-labelledby="devices-title">
        <form method="dialog" class="dialog-head">
          <h2 id="devices-title">{t('call.settings')}</h2>
          <button class="icon-button" aria-label={t('app.close')}>
            <Icon name="close" />
          </button>
        </form>
        <DeviceFields />
      </dialog>
    </nav>
  );
}

/** Starts and stops; while it waits for people, how many. */
function RecordControl() {
  const { model, recorder } = useRoom();
  const { recording } = model.value;
  const on = started(recording);
  const waits = on ? (recording?.waiting_for.length ?? 0) : 0;
  const label = on ? t('rec.stopLong') : t('rec.startLong');
  return (
    <Control
      testId="record-toggle"
      icon={on ? 'stop' : 'record'}
      text={on ? t('rec.stop') : t('rec.start')}
      label={label}
      active={on}
      badge={waits}
      badgeText={waits > 0 ? t('rec.waits', { count: waits }) : ''}
      busy={recorder.switching.value}
      onClick={() => void recorder.record(!on)}
    />
  );
}

interface ControlProps {
  testId: string;
  icon: IconName;
  /** Short, below the icon. */
  text: string;
  /** What a press does, for screen readers and as a tooltip. */
  label: string;
  off?: boolean;
  active?: boolean;
  danger?: boolean;
  badge?: number;
  /** What the badge counts. */
  badgeText?: string;
  busy?: boolean;
  onClick: () => void;
}

function Control(props: ControlProps) {
  const { testId, icon, text, label, off, active, danger, badge = 0, badgeText, busy, onClick } = props;
  const name = badge > 0 ? `${label} (${badgeText ?? ''})` : label;
  const kind = danger ? ' danger' : off ? ' off' : active ? ' active' : '';
  return (
    <button
      type="button"
      class={`control${kind}`}
      data-testid={testId}
      aria-label={name}
      title={label}
      aria-disabled={busy}
      onClick={onClick}
    >
      <span class="control-icon">
        <Icon name={icon} />
        {badge > 0 && <span class="badge">{number(Math.min(badge, 99))}</span>}
      </span>
      <span class="control-text">{text}</span>
    </button>
  );
}
