import { t } from '../i18n';
import { advice } from '../room/advice';
import { useRoom } from './context';
import { Icon } from './icons';

const bars = { excellent: 4, good: 3, poor: 2, bad: 1, lost: 0, unknown: 0 } as const;

/** How good the connection is: bars for the eye, the word for everyone. */
export function QualityMark() {
  const { model, silent } = useRoom();
  const level = silent.value ? 'lost' : (model.value.quality?.level ?? 'unknown');
  const words = t('quality.label', { quality: t(`quality.${level}`) });
  return (
    <span
      class={`quality quality-${level}`}
      data-testid="network-quality"
      data-quality={level}
      role="status"
      title={words}
    >
      <svg class="quality-bars" viewBox="0 0 26 16" aria-hidden="true">
        {[0, 1, 2, 3].map((i) => (
          <rect
            key={i}
            class={i < bars[level] ? 'on' : ''}
            x={i * 7}
            y={12 - i * 4}
            width="5"
            height={4 + i * 4}
            rx="1"
          />
        ))}
      </svg>
      <span class="quality-word" aria-hidden="true">
        {t(`quality.${level}`)}
      </span>
      <span class="visually-hidden">{words}</span>
    </span>
  );
}

/** Why it is not better, and what is done about it. The place is always there, so that what comes is read out. */
export function QualityNote() {
  const { model, silent, interrupted, down } = useRoom();
  const gone = silent.value || interrupted.value || down.value;
  const key = gone ? null : advice(model.value.quality);
  return (
    <div class="quality-note" role="status" data-testid="quality-note" data-why={key ?? ''}>
      {key && (
        <p>
          <Icon name="warning" />
          {t(key)}
        </p>
      )}
    </div>
  );
}
