import { asKey, t, type PlainKey } from '../i18n';
import { appointment, clock } from '../i18n/format';
import type { Ending } from '../room/model';
import { useRoom } from './context';
import { Emergency } from './emergency';
import { Statement } from './page';

/** What comes after: over, refused, or no key at all. */
export function Ended() {
  const room = useRoom();
  const { ending, session, endedAt, endedFrom, role, emergency } = room.model.value;
  if (!ending) return null;
  const started = session?.started_at ? Date.parse(session.started_at) : null;
  const again = ending === 'left' || ending === 'left_waiting' || ending === 'moved';
  return (
    <Statement
      title={endedTitle(ending)}
      text={endedText(ending, role === 'doctor')}
      reason={ending}
      testId="ended"
    >
      {emergency && <Emergency emergency={emergency} />}
      {ending === 'declined' && <DoctorsNote />}
      {started !== null && endedAt !== null && endedFrom === 'call' && (
        <dl class="times">
          <Fact name={t('ended.started')} value={appointment(new Date(started), new Date())} />
          <Fact name={t('ended.finished')} value={appointment(new Date(endedAt), new Date())} />
          <Fact name={t('ended.lasted')} value={clock(endedAt - started)} />
        </dl>
      )}
      {again ? (
        <button
          type="button"
          class="button primary large"
          data-testid="rejoin-button"
          onClick={() => void room.rejoin(ending === 'moved')}
        >
          {ending === 'moved' ? t('error.continueHere') : t('ended.rejoin')}
        </button>
      ) : (
        <p class="quiet">
          {ending === 'doctor' || ending === 'api' || ending === 'nobody_present'
            ? `${t('ended.goodbye')} `
            : ''}
          {t('ended.closePage')}
        </p>
      )}
    </Statement>
  );
}

/** The reason the doctor gave for declining, if any. */
function DoctorsNote() {
  const { note } = useRoom().model.value;
  if (note === null) return null;
  return (
    <figure class="doctors-note" data-testid="decline-note">
      <figcaption>{t('ended.declinedNote')}</figcaption>
      <blockquote dir="auto">{note}</blockquote>
    </figure>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function endedTitle(ending: Ending): string {
  switch (ending) {
    case 'cancelled':
    case 'expired':
    case 'declined':
    case 'moved':
      return t(`ended.${ending}Title`);
    case 'left':
    case 'left_waiting':
      return t('ended.leftTitle');
    default:
      return t('ended.title');
  }
}

function endedText(ending: Ending, doctor: boolean): string {
  if (ending === 'doctor' && doctor) return t('ended.doctorSelf');
  if (ending === 'left_waiting') return t('ended.leftWaiting');
  return t(asKey(`ended.${ending}`) ?? 'ended.other');
}

/** Reasons that trying again, or loading the page again, may mend. */
const RETRY = new Set(['room_full', 'draining', 'too_fast', 'internal', 'bad_offer', 'token_not_yet_valid']);
/** Reasons that are not about the link. */
const TECHNICAL = new Set([
  'draining',
  'protocol_version',
  'bad_offer',
  'too_large',
  'too_fast',
  'unsupported',
  'internal',
]);

export function Failed() {
  const room = useRoom();
  const given = room.failure.value ?? 'internal';
  const emergency = room.model.value.waiting?.emergency;
  const key = asKey(`error.${given}`) ?? 'error.internal';
  const reason = key.slice('error.'.length);
  const title: PlainKey =
    reason === 'already_connected'
      ? 'error.connectedTitle'
      : reason === 'consultation_ended'
        ? 'ended.title'
        : reason === 'consultation_cancelled'
          ? room.model.value.note === null
            ? 'ended.cancelledTitle'
            : 'ended.declinedTitle'
          : TECHNICAL.has(reason)
            ? 'error.technicalTitle'
            : 'error.title';
  return (
    <Statement title={t(title)} text={t(key)} testId="error-banner" reason={given} alert>
      {emergency && <Emergency emergency={emergency} />}
      <DoctorsNote />
      {reason === 'already_connected' && (
        <button
          type="button"
          class="button primary large"
          data-testid="continue-here"
          onClick={() => void room.rejoin(true)}
        >
          {t('error.continueHere')}
        </button>
      )}
      {RETRY.has(reason) && (
        <button type="button" class="button primary large" onClick={() => void room.rejoin(false)}>
          {t('app.retry')}
        </button>
      )}
      {reason === 'protocol_version' && (
        <button type="button" class="button primary large" onClick={() => window.location.reload()}>
          {t('app.reload')}
        </button>
      )}
    </Statement>
  );
}

export function Explain({ desk = false }: { desk?: boolean }) {
  return (
    <Statement
      title={desk ? t('explain.deskTitle') : t('explain.title')}
      text={desk ? t('explain.deskLead') : t('explain.lead')}
      testId="error-banner"
      reason="token_missing"
    >
      {!desk && (
        <ol class="steps">
          <li>{t('explain.step1')}</li>
          <li>{t('explain.step2')}</li>
          <li>{t('explain.step3')}</li>
        </ol>
      )}
    </Statement>
  );
}
