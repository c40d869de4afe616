import { t } from '../i18n';
import { clock, listOf } from '../i18n/format';
import { recordedFor, type Recording } from '../room/recording';
import { useNow, useRoom } from './context';
import { Icon } from './icons';

/** Whether one is recorded, always in sight; pressed, it opens what one has said to it. */
export function RecordingChip() {
  const { model, recorder } = useRoom();
  const { recording } = model.value;
  if (!recording) return null;
  const kind = `rec-chip rec-${recording.state}`;
  if (!recording.you)
    return (
      <p class={kind}>
        <Inside recording={recording} />
      </p>
    );
  const open = recorder.shown;
  return (
    <button
      type="button"
      id="recording-chip"
      class={kind}
      data-testid="recording-chip"
      aria-expanded={open}
      title={open ? t('rec.chip.close') : t('rec.chip.open')}
      onClick={() => recorder.toggle()}
    >
      <Inside recording={recording} />
      <Icon name={open ? 'less' : 'more'} />
    </button>
  );
}

function Inside({ recording }: { recording: Recording }) {
  const { state } = recording;
  const mark = (
    <>
      {state === 'paused' ? <Icon name="pause" /> : <span class="rec-dot" aria-hidden="true" />}
      <span class="rec-word">
        <Words recording={recording} />
      </span>
      {state === 'recording' && <Elapsed recording={recording} />}
    </>
  );
  if (state === 'off' || state === 'failed') return <span class="rec-inside">{mark}</span>;
  return (
    <span class="rec-inside" data-testid="recording-indicator" data-state={state}>
      {mark}
    </span>
  );
}

/** The doctor reads who it waits for; everyone else, that it does. */
function Words({ recording }: { recording: Recording }) {
  const { participants, role } = useRoom().model.value;
  const { state, waiting_for: ids } = recording;
  const waited = participants.filter((p) => ids.includes(p.id));
  if (role !== 'doctor' || waited.length === 0) return <>{t(`rec.chip.${state}`)}</>;
  const names = listOf(waited.map((p) => (p.self ? t('rec.chip.yourself') : p.name || t(`role.${p.role}`))));
  if (state === 'waiting') return <>{t('rec.chip.waitsFor', { names })}</>;
  if (state === 'paused') return <>{t('rec.chip.pausedFor', { names })}</>;
  return <>{t(`rec.chip.${state}`)}</>;
}

/** For the eye: a name that changes each second would be read out each second. */
function Elapsed({ recording }: { recording: Recording }) {
  const now = useNow(1_000);
  return (
    <span class="rec-time" aria-hidden="true">
      {clock(recordedFor(recording, now))}
    </span>
  );
}
