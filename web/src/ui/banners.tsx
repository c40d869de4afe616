import { useEffect, useState } from 'preact/hooks';
import { t, type PlainKey } from '../i18n';
import { number } from '../i18n/format';
import { useRoom } from './context';
import { Icon } from './icons';

/** After this long without a connection, advice is added to patience. */
const LONG = 15_000;
/** A shorter gap is not worth a word. */
const SHORT = 700;

/** What is wrong at the moment, above everything else. */
export function Banners() {
  const room = useRoom();
  const down = useLasting(room.down.value, SHORT);
  const long = useLasting(room.down.value, LONG);
  const interrupted = useLasting(room.interrupted.value, SHORT);
  const { lost } = room.local.value;
  const notice = room.notice.value;
  return (
    <div class={room.model.value.recording ? 'banners below-chip' : 'banners'}>
      {down && (
        <p class="banner" role="alert" data-testid="error-banner" data-reason="reconnecting">
          <Spinner />
          {long ? t('banner.reconnectingLong') : t('banner.reconnecting')}
        </p>
      )}
      {!down && interrupted && (
        <p class="banner" role="alert" data-testid="error-banner" data-reason="media">
          <Spinner />
          {t('banner.media')}
        </p>
      )}
      {(['microphone', 'camera'] as const).map(
        (capture) =>
          lost[capture] && (
            <p class="banner" role="alert" data-testid="error-banner" key={capture}>
              <Icon name="warning" />
              {capture === 'microphone' ? t('call.micLost') : t('call.camLost')}
            </p>
          ),
      )}
      {!down && !interrupted && !room.silent.value && <Stalled />}
      {notice !== null && (
        <p class="banner" role="alert" data-testid="error-banner">
          <Icon name="warning" />
          {t(notice)}
          <button
            type="button"
            class="icon-button"
            aria-label={t('app.close')}
            onClick={() => room.dismissNotice()}
          >
            <Icon name="close" />
          </button>
        </p>
      )}
      {room.word.value !== null && (
        <p class="banner calm" role="status" data-testid="info-banner">
          {t(room.word.value.key, { name: room.word.value.name })}
          <button
            type="button"
            class="icon-button"
            aria-label={t('app.close')}
            onClick={() => room.dismissWord()}
          >
            <Icon name="close" />
          </button>
        </p>
      )}
      {room.farewell.left.value !== null && (
        <p class="banner ending" role="alert">
          <span class="ending-text">
            {t('call.ending')}
            <span class="ending-count" aria-hidden="true">
              {number(room.farewell.left.value)}
            </span>
          </span>
          <span class="ending-choice">
            <button
              type="button"
              class="button"
              data-testid="keep-going"
              onClick={() => room.farewell.cancel()}
            >
              {t('call.keepGoing')}
            </button>
            <button
              type="button"
              class="button danger"
              data-testid="end-confirm"
              onClick={() => void room.farewell.now()}
            >
              {t('call.endNow')}
            </button>
          </span>
        </p>
      )}
      <Announcer />
    </div>
  );
}

/** Something of ours that should be sent does not arrive. */
function Stalled() {
  const { model, local, adaptation } = useRoom();
  const own = model.value.participants.find((p) => p.self)?.sources;
  const { lost, live } = local.value;
  const words: PlainKey[] = [];
  if (own?.microphone?.stalled && !lost.microphone) words.push('call.micStalled');
  // The camera may be well, and the way too narrow for what it sees.
  if (own?.camera?.stalled && !lost.camera && live.camera)
    words.push(adaptation.filming.value ? 'call.camNotSent' : 'call.camStalled');
  return (
    <>
      {words.map((word) => (
        <p class="banner" role="status" data-testid="stalled-banner" data-why={word} key={word}>
          <Icon name="warning" />
          {t(word)}
        </p>
      ))}
    </>
  );
}

/** Who came and went, for screen readers; the eye sees it on the stage. */
function Announcer() {
  const room = useRoom();
  const a = room.announcement.value;
  return (
    <>
      <p class="visually-hidden" role="status">
        {a && ('name' in a ? t(a.key, { name: a.name }) : t(a.key))}
      </p>
      <p class="visually-hidden" role="status">
        {room.recorder.asking && t('rec.asked')}
      </p>
    </>
  );
}

export function Spinner() {
  return <span class="spinner" aria-hidden="true" />;
}

/** True once `is` has been true for `ms`. */
function useLasting(is: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!is) {
      setLasting(false);
      return;
    }
    const timer = setTimeout(() => setLasting(true), ms);
    return () => clearTimeout(timer);
  }, [is, ms]);
  return is && lasting;
}
