import { t } from '../i18n';
import { appointment, clock, estimateWords, number, timeOfDay } from '../i18n/format';
import type { SessionInfo, WaitingInfo, WaitingNote } from '../signal/messages';
import { Preview } from './check';
import { useNow, useRoom } from './context';
import { DeviceProblems } from './devices';
import { EmergencyPlace, Reason } from './emergency';

/** The waiting room: calm, and moving only when something has changed. */
export function Waiting() {
  const room = useRoom();
  const { waiting, session, role } = room.model.value;
  if (!waiting || !session) return null;
  return (
    <div class="waiting">
      <EmergencyPlace emergency={waiting.emergency} />
      <section class="card waiting-card" aria-live="polite">
        {waiting.why === 'queue' && <Queue waiting={waiting} session={session} />}
        {waiting.why === 'scheduled' && <Scheduled waiting={waiting} session={session} />}
        {waiting.why === 'not_started' && (
          <>
            <h1>{t('wait.titleNotStarted')}</h1>
            <p class="lead">{t('wait.notStartedLead')}</p>
          </>
        )}
        <p class="hint">{t('wait.keepOpen')}</p>
      </section>
      {waiting.why === 'queue' && role === 'patient' && <Reason reason={waiting.reason ?? ''} />}
      {/* Always there: a live region that comes with its first words says nothing. */}
      <div class="waiting-notes-place" aria-live="polite" aria-relevant="additions">
        {waiting.messages !== undefined && waiting.messages.length > 0 && <Notes notes={waiting.messages} />}
      </div>
      <section class="waiting-side" aria-labelledby="own-devices">
        {!room.observer && (
          <>
            <h2 id="own-devices">{t('wait.yourDevices')}</h2>
            <Preview />
            <p class="hint">{t('wait.notSent')}</p>
            <DeviceProblems />
          </>
        )}
        <button type="button" class="button" data-testid="leave-button" onClick={() => room.leave()}>
          {t('wait.leave')}
        </button>
      </section>
    </div>
  );
}

function Queue({ waiting, session }: { waiting: WaitingInfo; session: SessionInfo }) {
  const { position } = waiting;
  return (
    <>
      <h1>{t('wait.title')}</h1>
      <p class="lead">
        {session.doctor_name
          ? t('wait.forDoctor', { name: session.doctor_name })
          : t('wait.forDoctorUnnamed')}
      </p>
      {waiting.doctor && (
        <p
          class={`presence-line ${waiting.doctor.presence} ${waiting.doctor.online ? 'online' : ''}`}
          data-testid="doctor-presence"
          data-presence={waiting.doctor.presence}
          data-online={waiting.doctor.online}
        >
          {presenceWords(waiting.doctor)}
        </p>
      )}
      <dl class="figures">
        {position !== undefined && (
          <div class="figure">
            <dt>{t('wait.position')}</dt>
            <dd>
              <span class="figure-big" data-testid="waiting-position" data-position={position}>
                {number(position)}
              </span>
              <span class="figure-note">
                {position <= 1 ? t('wait.first') : t('wait.ahead', { count: position - 1 })}
              </span>
            </dd>
          </div>
        )}
        <div class="figure">
          <dt>{t('wait.estimate')}</dt>
          <dd>
            <span class="figure-text" data-testid="waiting-estimate">
              {estimateWords(waiting.estimate)}
            </span>
          </dd>
        </div>
      </dl>
    </>
  );
}

function presenceWords({ presence, online }: NonNullable<WaitingInfo['doctor']>): string {
  if (presence === 'away') return t('wait.doctorAway');
  if (presence === 'busy') return t('wait.doctorBusy');
  return online ? t('wait.doctorHere') : t('wait.doctorOffline');
}

/** What the doctor has written; a new message is announced by itself. */
function Notes({ notes }: { notes: WaitingNote[] }) {
  return (
    <section class="card waiting-notes" aria-labelledby="from-doctor">
      <h2 id="from-doctor">{t('wait.messages')}</h2>
      <ol>
        {notes.map((n) => {
          const time = timeOfDay(new Date(n.sent_at));
          return (
            <li key={n.id} class="message" data-testid="waiting-message">
              <p class="message-head">
                {n.name ? t('chat.from', { name: n.name, time }) : <span>{time}</span>}
              </p>
              <p class="message-text" dir="auto">
                {n.text}
              </p>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function Scheduled({ waiting, session }: { waiting: WaitingInfo; session: SessionInfo }) {
  const opens = new Date(waiting.opens_at ?? session.opens_at);
  return (
    <>
      <h1>{t('wait.titleScheduled')}</h1>
      {session.scheduled_at !== null && (
        <p class="lead">
          {t('wait.appointment', { time: appointment(new Date(session.scheduled_at), new Date()) })}
        </p>
      )}
      <p>{t('wait.scheduledLead', { time: appointment(opens, new Date()) })}</p>
      <Countdown until={opens} />
    </>
  );
}

/** Kept out of the live region's announcements: it changes every second. */
function Countdown({ until }: { until: Date }) {
  const left = until.getTime() - useNow(1_000);
  if (left > 24 * 3_600_000) return null;
  return (
    <p class="countdown" role="timer" aria-live="off">
      {left > 0 ? (
        <>
          <span class="countdown-label">{t('wait.opensIn')}</span>
          <span class="countdown-clock">{clock(left + 999)}</span>
        </>
      ) : (
        t('wait.opening')
      )}
    </p>
  );
}
