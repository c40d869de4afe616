import { t } from '../i18n';
import { appointment, clock, estimateWords, number } from '../i18n/format';
import type { SessionInfo, WaitingInfo } from '../signal/messages';
import { Preview } from './check';
import { useNow, useRoom } from './context';
import { DeviceProblems } from './devices';

/** The waiting room: calm, and moving only when something has changed. */
export function Waiting() {
  const room = useRoom();
  const { waiting, session } = room.model.value;
  if (!waiting || !session) return null;
  return (
    <div class="waiting">
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
