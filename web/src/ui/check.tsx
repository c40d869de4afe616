import { useState } from 'preact/hooks';
import { t } from '../i18n';
import { useRoom } from './context';
import { DeviceFields, DeviceProblems, PreviewToggles } from './devices';
import { Icon } from './icons';
import { MediaView } from './media-view';

/** Can I be seen and heard? Then in. */
export function Check({ name, doctor }: { name: string; doctor: boolean }) {
  const room = useRoom();
  return (
    <>
      <div class="page-title">
        <h1>{doctor ? t('check.titleDoctor') : t('check.title')}</h1>
        <p class="lead">{room.observer ? t('check.observer') : t('check.lead')}</p>
      </div>
      <div class={room.observer ? 'check narrow' : 'check'}>
        {!room.observer && (
          <div class="check-media">
            <Preview />
            <Level />
            <DeviceProblems />
          </div>
        )}
        <JoinForm name={name} />
        {!room.observer && (
          <section class="card check-devices" aria-labelledby="check-devices">
            <h2 id="check-devices">{t('call.settings')}</h2>
            <DeviceFields />
          </section>
        )}
      </div>
    </>
  );
}

export function Preview() {
  const { local } = useRoom();
  const { live, on, starting, problems } = local.value;
  return (
    <div class="preview">
      {live.camera && <MediaView view="self" own mirrored testId="local-video" label={t('check.preview')} />}
      {!live.camera && (
        <div class="preview-empty">
          <Icon name={on.camera && starting ? 'cam' : 'camOff'} />
          <p>{on.camera && starting ? t('check.cameraStarting') : t('check.cameraOff')}</p>
          {starting && !problems.camera && <p class="quiet">{t('check.askPermission')}</p>}
        </div>
      )}
      <PreviewToggles />
    </div>
  );
}

function Level() {
  const room = useRoom();
  const { on, live } = room.local.value;
  const active = on.microphone && live.microphone;
  const hint = !active ? t('check.micOff') : room.heard.value ? t('check.heard') : t('check.levelHint');
  return (
    <div class="level">
      <Icon name={active ? 'mic' : 'micOff'} />
      <Bar />
      <p class="level-hint" role="status">
        {active && room.heard.value && <Icon name="check" />}
        {hint}
      </p>
    </div>
  );
}

/** Alone, because it redraws many times a second. */
function Bar() {
  const level = useRoom().level.value;
  return (
    <div
      class="level-bar"
      role="meter"
      aria-label={t('check.level')}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(level * 100)}
    >
      <div class="level-fill" style={{ inlineSize: `${Math.round(level * 100)}%` }} />
    </div>
  );
}

function JoinForm({ name }: { name: string }) {
  const room = useRoom();
  const [typed, setTyped] = useState(name);
  const joining = room.joining.value;
  return (
    <form
      class="card join"
      onSubmit={(e) => {
        e.preventDefault();
        void room.join(typed.trim());
      }}
    >
      <label class="field">
        <span class="field-label">{t('check.name')}</span>
        <input
          data-testid="display-name"
          type="text"
          autocomplete="name"
          maxLength={120}
          value={typed}
          onInput={(e) => setTyped(e.currentTarget.value)}
          aria-describedby="name-hint"
        />
        <span class="hint" id="name-hint">
          {t('check.nameHint')}
        </span>
      </label>
      <div class="join-action">
        {joining && room.down.value && (
          <p class="inline-banner" role="alert" data-testid="error-banner">
            {t('banner.unreachable')}
          </p>
        )}
        <button type="submit" class="button primary large" data-testid="join-button" disabled={joining}>
          {joining ? t('check.joining') : joinLabel(room)}
        </button>
        <p class="hint center">{t('check.privacy')}</p>
      </div>
    </form>
  );
}

/** Says what one joins with, so that a missing camera is no surprise. */
function joinLabel(room: ReturnType<typeof useRoom>): string {
  const { on, live, starting } = room.local.value;
  if (room.observer || starting) return t('check.join');
  const sound = on.microphone && live.microphone;
  const picture = on.camera && live.camera;
  if (sound && picture) return t('check.join');
  if (sound) return t('check.joinAudio');
  return picture ? t('check.joinVideo') : t('check.joinNothing');
}
