import { t } from '../i18n';
import { clock } from '../i18n/format';
import { slotView } from '../media/views';
import { cover } from '../room/advice';
import { initials, tiles, type Tile } from '../room/model';
import { Chat } from './chat';
import { Consent } from './consent';
import { useNow, useRoom } from './context';
import { Controls } from './controls';
import { DeviceProblems } from './devices';
import { Icon } from './icons';
import { LangSelect } from './lang-select';
import { MediaView } from './media-view';
import { QualityMark, QualityNote } from './quality-mark';
import { RecordingChip } from './recording-chip';
import { TicketCard } from './ticket-card';

export function Call({ onLanguage }: { onLanguage: (lang: string) => void }) {
  const room = useRoom();
  const { role } = room.model.value;
  const { shown } = room.recorder;
  const kind = `call${room.chatOpen.value ? ' with-chat' : ''}${shown ? ' with-consent' : ''}`;
  return (
    <main class={kind} aria-label={t('call.region')}>
      <TopBar onLanguage={onLanguage} />
      <div class="stage">
        <QualityNote />
        <Remotes />
        {role === 'doctor' && <Patients />}
        <SelfView />
        <Unlock />
      </div>
      {shown && <Consent />}
      <Controls />
      {room.chatOpen.value && <Chat />}
    </main>
  );
}

function TopBar({ onLanguage }: { onLanguage: (lang: string) => void }) {
  const { model } = useRoom();
  const { session, role, participants, recording } = model.value;
  const others = participants.filter((p) => !p.self);
  const other = role === 'doctor' ? session?.patient_name : session?.doctor_name;
  const name = (others.length === 1 ? others[0]?.name : undefined) ?? other;
  return (
    <header class={recording ? 'call-bar recordable' : 'call-bar'}>
      <RecordingChip />
      <h1 class="call-title">
        {name ? (
          <>
            <span class="visually-hidden">{t('call.with', { name })}</span>
            <bdi aria-hidden="true">{name}</bdi>
          </>
        ) : (
          t('call.plain')
        )}
      </h1>
      {session?.started_at && <Duration since={session.started_at} />}
      <span class="call-bar-end">
        <QualityMark />
        <LangSelect onChoose={onLanguage} />
      </span>
    </header>
  );
}

function Duration({ since }: { since: string }) {
  const now = useNow(1_000);
  return (
    <span class="call-duration" role="timer" aria-label={t('call.duration')} aria-live="off">
      {clock(now - Date.parse(since))}
    </span>
  );
}

function Remotes() {
  const { model, local } = useRoom();
  const all = tiles(model.value);
  const screens = all.filter((tile) => tile.kind === 'screen');
  if (all.length === 0) return <Alone />;
  // A shared screen takes the stage, and the faces move to its side.
  const side = screens.length > 0 ? all.filter((tile) => tile.kind === 'camera') : [];
  const main = screens.length > 0 ? screens : all;
  return (
    <>
      <div class="grid" data-count={Math.min(main.length, 9)}>
        {main.map((tile) => (
          <TileView key={tile.key} tile={tile} />
        ))}
      </div>
      {side.length > 0 && (
        <div class="strip">
          {side.map((tile) => (
            <TileView key={tile.key} tile={tile} />
          ))}
        </div>
      )}
      {local.value.sharing && (
        <p class="sharing-note" role="status">
          <Icon name="share" />
          {t('call.sharing')}
        </p>
      )}
    </>
  );
}

function Alone() {
  const { model } = useRoom();
  const { role, queue } = model.value;
  if (role === 'doctor' && queue.length > 0) return <div class="grid" data-count={0} />;
  return (
    <div class="alone" role="status">
      <span class="alone-mark">
        <Icon name="person" />
      </span>
      <h2>{t('call.alone')}</h2>
      <p>{role === 'doctor' ? t('call.aloneDoctor') : t('call.alonePatient')}</p>
    </div>
  );
}

function TileView({ tile }: { tile: Tile }) {
  const { model, adaptation } = useRoom();
  const { participants, speaker, quality } = model.value;
  const { participant, kind, videoMid, picture, micMuted } = tile;
  const roleName = t(`role.${participant.role}`);
  const name = participant.name || roleName;
  const label = kind === 'screen' ? t('call.screenOf', { name }) : t('call.tileOf', { name, role: roleName });
  const away = participant.state === 'away';
  const word = cover(tile, videoMid !== null && adaptation.still.value.has(videoMid), quality);
  const mute = tile.stalled.sound && !micMuted && !away;
  // Between two there is no doubt who speaks.
  const speaks = kind === 'camera' && participants.length > 2 && speaker === participant.id;
  return (
    <figure
      class={`tile tile-${kind}${away ? ' away' : ''}${speaks ? ' speaks' : ''}`}
      data-participant={participant.id}
    >
      {videoMid !== null && (
        <MediaView view={slotView(videoMid)} hidden={!picture} testId="remote-video" label={label} />
      )}
      {word !== null && (
        <div class="tile-cover" data-testid="tile-cover" data-why={word}>
          <span class="initials" aria-hidden="true">
            {initials(name)}
          </span>
          <span class="tile-note" role={picture ? 'status' : undefined}>
            {t(word)}
          </span>
        </div>
      )}
      {mute && word !== 'call.tileLost' && (
        <p class="tile-trouble" role="status" data-testid="tile-no-sound">
          <Icon name="warning" />
          {t('call.tileNoSound')}
        </p>
      )}
      {away && (
        <p class="tile-away" role="status">
          {t('call.away')}
        </p>
      )}
      <figcaption class="tile-name">
        {speaks && (
          <span class="tile-speaks" title={t('call.speaks')} data-testid="speaker">
            <Icon name="sound" />
            <span class="visually-hidden">{t('call.speaks')}</span>
          </span>
        )}
        {kind === 'camera' && micMuted && (
          <span class="tile-muted" title={t('call.muted')}>
            <Icon name="micOff" />
            <span class="visually-hidden">{t('call.muted')}</span>
          </span>
        )}
        <bdi>{kind === 'screen' ? label : name}</bdi>
        {kind === 'camera' && participant.name && <span class="tile-role">{roleName}</span>}
      </figcaption>
    </figure>
  );
}

function SelfView() {
  const room = useRoom();
  const { live, on, sharing } = room.local.value;
  if (room.observer) return null;
  const self = room.model.value.participants.find((p) => p.self);
  return (
    <figure class="self" aria-label={t('call.selfView')}>
      {live.camera ? (
        <MediaView view="self" own mirrored testId="local-video" label={t('call.selfView')} />
      ) : (
        <div class="tile-cover">
          <span class="initials" aria-hidden="true">
            {initials(self?.name ?? '') || <Icon name="camOff" />}
          </span>
        </div>
      )}
      {sharing && (
        <div class="self-screen">
          <MediaView view="screen" own testId="local-screen" label={t('call.sharing')} />
        </div>
      )}
      <figcaption class="tile-name">
        {!(on.microphone && live.microphone) && (
          <span class="tile-muted" title={t('call.youMuted')}>
            <Icon name="micOff" />
            <span class="visually-hidden">{t('call.youMuted')}</span>
          </span>
        )}
        {t('role.you')}
      </figcaption>
    </figure>
  );
}

/** For the doctor: who is waiting for this consultation, beside the call or while alone. */
function Patients() {
  const room = useRoom();
  const { queue } = room.model.value;
  if (queue.length === 0) return null;
  return (
    <section class="patients" aria-label={t('queue.patientWaiting')}>
      <h2>{t('queue.patientWaiting')}</h2>
      {queue.map((ticket) => (
        <TicketCard
          key={ticket.ticket_id}
          ticket={ticket}
          busy={room.admitting.value.has(ticket.ticket_id)}
          onAdmit={() => void room.admit(ticket.ticket_id)}
        />
      ))}
    </section>
  );
}

function Unlock() {
  const room = useRoom();
  const { problems, on } = room.local.value;
  return (
    <div class="stage-notes">
      {room.soundBlocked.value && (
        <button type="button" class="button primary large unlock" onClick={() => room.unlockSound()}>
          <Icon name="sound" />
          <span>
            {t('call.tapToHear')}
            <small>{t('call.tapToHearHint')}</small>
          </span>
        </button>
      )}
      {((on.camera && problems.camera) ?? (on.microphone && problems.microphone)) && <DeviceProblems />}
    </div>
  );
}
