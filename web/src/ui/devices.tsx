import { t, type PlainKey } from '../i18n';
import type { Capture, Device, Problem } from '../media/devices';
import { useRoom } from './context';
import { Icon } from './icons';

const canChooseSpeaker = typeof HTMLMediaElement !== 'undefined' && 'setSinkId' in HTMLMediaElement.prototype;

/** The choice of camera, microphone and, where the browser can, speaker. */
export function DeviceFields() {
  const { local } = useRoom();
  const { devices } = local.value;
  return (
    <div class="fields">
      <DeviceSelect
        kind="camera"
        testId="camera-select"
        label={t('check.camera')}
        devices={devices.cameras}
      />
      <DeviceSelect
        kind="microphone"
        testId="microphone-select"
        label={t('check.microphone')}
        devices={devices.microphones}
      />
      {canChooseSpeaker && (
        <DeviceSelect
          kind="speaker"
          testId="speaker-select"
          label={t('check.speaker')}
          devices={devices.speakers}
        />
      )}
    </div>
  );
}

function DeviceSelect(props: {
  kind: 'camera' | 'microphone' | 'speaker';
  testId: string;
  label: string;
  devices: Device[];
}) {
  const room = useRoom();
  const { kind, devices, label } = props;
  const empty = devices.length === 0;
  const chosen = room.local.value.choice[kind];
  return (
    <label class="field">
      <span class="field-label">{label}</span>
      <select
        data-testid={props.testId}
        value={devices.some((d) => d.id === chosen) ? chosen : ''}
        disabled={empty && kind !== 'speaker'}
        onChange={(e) => void room.own.choose(kind, e.currentTarget.value)}
      >
        <option value="">{empty && kind !== 'speaker' ? t('check.none') : t('check.defaultDevice')}</option>
        {devices
          .filter((d) => d.id !== '')
          .map((d, i) => (
            <option key={d.id} value={d.id}>
              {d.label || t('check.deviceNumber', { kind: label, number: i + 1 })}
            </option>
          ))}
      </select>
    </label>
  );
}

/** Why camera or microphone can't be used, and what to do about it. */
export function DeviceProblems() {
  const room = useRoom();
  const { problems, on } = room.local.value;
  const camera = on.camera ? problems.camera : null;
  const microphone = on.microphone ? problems.microphone : null;
  if (!camera && !microphone) return null;
  const entries: { title: PlainKey; problem: Problem; key: Capture | 'both' }[] = [];
  if (camera && camera === microphone) {
    entries.push({ key: 'both', title: 'problem.cameraAndMicrophone', problem: camera });
  } else {
    if (microphone) entries.push({ key: 'microphone', title: 'problem.microphone', problem: microphone });
    if (camera) entries.push({ key: 'camera', title: 'problem.camera', problem: camera });
  }
  return (
    <div class="problem" role="alert" data-testid="error-banner">
      <Icon name="warning" />
      <div>
        {entries.map((e) => (
          <div key={e.key} data-reason={e.problem}>
            <h2>{t(e.title)}</h2>
            <p>{t(`problem.${e.problem}`)}</p>
          </div>
        ))}
        <p>{t('problem.stillJoin')}</p>
        <button type="button" class="button" onClick={() => room.retryDevices()}>
          {t('app.retry')}
        </button>
      </div>
    </div>
  );
}

/** Round switches for microphone and camera, laid over the preview. */
export function PreviewToggles() {
  const room = useRoom();
  const { on, live, starting } = room.local.value;
  // Wanted but not there counts as off: a press then tries again.
  const microphone = on.microphone && (live.microphone || starting);
  const camera = on.camera && (live.camera || starting);
  return (
    <div class="preview-toggles">
      <button
        type="button"
        class="round"
        data-testid="mic-toggle"
        aria-pressed={microphone}
        aria-label={microphone ? t('call.micOff') : t('call.micOn')}
        onClick={() => void room.own.setMicrophone(!microphone)}
      >
        <Icon name={microphone ? 'mic' : 'micOff'} />
      </button>
      <button
        type="button"
        class="round"
        data-testid="cam-toggle"
        aria-pressed={camera}
        aria-label={camera ? t('call.camOff') : t('call.camOn')}
        onClick={() => void room.own.setCamera(!camera)}
      >
        <Icon name={camera ? 'cam' : 'camOff'} />
      </button>
    </div>
  );
}
