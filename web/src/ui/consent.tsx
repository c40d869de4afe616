import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { direction, matchLanguage, t } from '../i18n';
import { answers } from '../room/recording';
import type { Decision, Wording } from '../signal/messages';
import { useRoom } from './context';
import { Icon } from './icons';

/**
 * Beside the call, never over it: what recording means, and the person's own
 * answer, which may be changed at any time. Both answers look the same.
 */
export function Consent() {
  const { model, recorder } = useRoom();
  const { recording, role } = model.value;
  const panel = useRef<HTMLElement>(null);
  const said = recording?.you?.decision ?? null;
  const wording = recorder.wording;
  // Opened by hand it is gone to; the question alone takes nobody out of the talk.
  useEffect(() => {
    if (recorder.open.value === true) panel.current?.focus();
  }, [recorder]);
  useLayoutEffect(() => {
    const element = panel.current;
    return () => {
      if (element?.contains(document.activeElement)) document.getElementById('recording-chip')?.focus();
    };
  }, []);
  return (
    <section
      class="consent"
      ref={panel}
      tabIndex={-1}
      aria-labelledby="consent-title"
      data-testid="consent"
      onKeyDown={(e) => {
        if (e.key === 'Escape') recorder.close();
      }}
    >
      <header class="consent-head">
        <h2 id="consent-title">{said === null ? t('rec.title') : t('rec.titleMine')}</h2>
        <button
          type="button"
          class="icon-button"
          data-testid="consent-close"
          aria-label={said === null ? t('rec.later') : t('app.close')}
          title={said === null ? t('rec.later') : t('app.close')}
          onClick={() => recorder.close()}
        >
          <Icon name="close" />
        </button>
      </header>
      <div class="consent-body" tabIndex={0} role="group" aria-label={t('rec.text')}>
        {said !== null && (
          <p class={`consent-said said-${said}`} data-testid="consent-said">
            {t(saidKey[said])}
          </p>
        )}
        {role === 'doctor' && <Answers />}
        {wording && <Text wording={wording} />}
      </div>
      <Choice said={said} />
    </section>
  );
}

const saidKey = {
  granted: 'rec.youGranted',
  declined: 'rec.youDeclined',
  withdrawn: 'rec.youWithdrew',
} as const;

/** Word for word what the answer is given to; the lead of each paragraph is only set in bold. */
function Text({ wording }: { wording: Wording }) {
  const language = matchLanguage(wording.language);
  return (
    <div
      class="consent-text"
      data-testid="consent-text"
      data-wording={wording.id}
      lang={wording.language}
      dir={language ? direction(language) : 'auto'}
    >
      {wording.text.split('\n\n').map((paragraph, i) => {
        const lead = /^[^:.]{2,40}:/.exec(paragraph)?.[0] ?? '';
        return (
          <p key={i}>
            {lead && <strong>{lead}</strong>}
            {paragraph.slice(lead.length)}
          </p>
        );
      })}
    </div>
  );
}

function Choice({ said }: { said: Decision | null }) {
  const { recorder } = useRoom();
  const { wording } = recorder;
  const busy = recorder.deciding.value !== null;
  const button = (testId: string, decision: Decision, text: string) => (
    <button
      type="button"
      class="button large"
      data-testid={testId}
      disabled={busy || (decision === 'granted' && !wording)}
      onClick={() => void recorder.decide(decision)}
    >
      {text}
    </button>
  );
  return (
    <div class="consent-choice">
      {said !== 'granted' && button('consent-grant', 'granted', t('rec.grant'))}
      {said === null && button('consent-deny', 'declined', t('rec.deny'))}
      {said === 'granted' && button('consent-withdraw', 'withdrawn', t('rec.withdraw'))}
    </div>
  );
}

/** For the doctor alone: who has said what. */
function Answers() {
  const list = answers(useRoom().model.value);
  if (list.length === 0) return null;
  return (
    <section class="consent-answers" aria-labelledby="answers-title">
      <h3 id="answers-title">{t('rec.answers')}</h3>
      <ul>
        {list.map(({ person, decision }) => (
          <li key={person.id} data-testid={`answer-${person.role}`} data-decision={decision ?? 'none'}>
            <bdi>{person.self ? t('role.you') : person.name || t(`role.${person.role}`)}</bdi>
            <span class={`answer answer-${decision ?? 'none'}`}>{t(`rec.answer.${decision ?? 'none'}`)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
