import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n';
import type { EmergencyInfo, Line } from '../signal/messages';
import { useRoom } from './context';
import { Icon } from './icons';

/** As many characters as the server takes. */
const MAX_REASON = 2_000;

/** What a telephone dials; other characters of a number are for people. */
export function dialled(number: string): string {
  return `tel:${number.replace(/[^\d+*#]/g, '')}`;
}

/**
 * Whom to ring, for a patient whose reason may be an emergency. The region is
 * always there: one that comes with its first words says nothing.
 */
export function EmergencyPlace({ emergency }: { emergency: EmergencyInfo | undefined }) {
  return (
    <div class="emergency-place" role="alert">
      {emergency && <Emergency emergency={emergency} kept />}
    </div>
  );
}

/** kept: she waits, and does not lose her place by calling. */
export function Emergency({ emergency, kept = false }: { emergency: EmergencyInfo; kept?: boolean }) {
  const { urgency, numbers, country, crisis_line: crisis } = emergency;
  const [first, ...others] = numbers;
  const critical = urgency === 'critical';
  const self = useRef<HTMLElement>(null);
  // She may be writing further down: it must be seen, and not only be there.
  useEffect(() => self.current?.scrollIntoView({ block: 'start' }), [urgency]);
  return (
    <section
      ref={self}
      class={`emergency emergency-${urgency}`}
      aria-labelledby="emergency-title"
      data-testid="emergency"
      data-urgency={urgency}
      data-country={country ?? ''}
    >
      <h2 id="emergency-title">
        <Icon name="warning" />
        {critical ? t('emergency.critical') : t('emergency.high')}
      </h2>
      <p>
        {crisis
          ? t('emergency.crisisLead')
          : critical
            ? t('emergency.criticalLead')
            : t('emergency.highLead')}
      </p>
      <div class="emergency-numbers">
        {crisis && !critical && <CrisisLine line={crisis} />}
        {first !== undefined && <Call number={first} testId="emergency-number" primary />}
        {others.slice(0, country === null ? others.length : 1).map((n) => (
          <Call key={n} number={n} testId="emergency-other" primary={country === null} />
        ))}
        {crisis && critical && <CrisisLine line={crisis} />}
      </div>
      {country === null && <p data-testid="emergency-unknown">{t('emergency.unknown')}</p>}
      {kept && <p class="emergency-keep">{t('emergency.keep')}</p>}
    </section>
  );
}

function Call({ number, testId, primary = false }: { number: string; testId: string; primary?: boolean }) {
  return (
    <a class={primary ? 'call-number' : 'call-number other'} href={dialled(number)} data-testid={testId}>
      <Icon name="phone" />
      {t('emergency.call', { number })}
    </a>
  );
}

function CrisisLine({ line }: { line: Line }) {
  return (
    <a class="call-number crisis" href={dialled(line.number)} data-testid="crisis-line">
      <Icon name="phone" />
      <span>
        {t('emergency.call', { number: line.number })}
        <span class="call-name">
          <bdi>{line.name}</bdi>
        </span>
      </span>
    </a>
  );
}

/** Why the patient comes: she may change it for as long as she waits. */
export function Reason({ reason }: { reason: string }) {
  const room = useRoom();
  const [text, setText] = useState(reason);
  const [state, setState] = useState<'idle' | 'saving' | 'saved' | 'failed'>('idle');
  // What the server has, as after a change over the API, unless she is writing.
  const seen = useRef(reason);
  useEffect(() => {
    const before = seen.current;
    seen.current = reason;
    if (before !== reason) setText((now) => (now.trim() === before ? reason : now));
  }, [reason]);
  const field = useRef<HTMLTextAreaElement>(null);
  // What stands in the field, which may be newer than what was drawn.
  const save = async () => {
    const now = field.current?.value.trim() ?? '';
    if (state === 'saving' || now === reason) return;
    setState('saving');
    setState((await room.say('reason', now)) ? 'saved' : 'failed');
  };
  return (
    <form
      class="card reason"
      aria-labelledby="reason-title"
      onSubmit={(e) => {
        e.preventDefault();
        void save();
      }}
    >
      <label class="reason-title" id="reason-title" for="reason-text">
        {t('reason.title')}
      </label>
      <p class="hint" id="reason-hint">
        {t('reason.hint')}
      </p>
      <textarea
        id="reason-text"
        ref={field}
        data-testid="reason-input"
        rows={3}
        dir="auto"
        maxLength={MAX_REASON}
        aria-describedby="reason-hint"
        value={text}
        onInput={(e) => {
          setText(e.currentTarget.value);
          setState('idle');
        }}
        onBlur={() => void save()}
      />
      <div class="reason-action">
        <button type="submit" class="button" data-testid="reason-save" aria-disabled={text.trim() === reason}>
          {t('reason.save')}
        </button>
        <p role="status" class={state === 'failed' ? 'reason-state failed' : 'reason-state'}>
          {state === 'saved' && <Icon name="check" />}
          {state === 'saved' && t('reason.saved')}
          {state === 'failed' && t('reason.failed')}
        </p>
      </div>
    </form>
  );
}
