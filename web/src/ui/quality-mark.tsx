import { t } from '../i18n';
import { useRoom } from './context';

const bars = { good: 3, fair: 2, poor: 1, lost: 0, unknown: 0 } as const;

/** How good the connection is: bars for the eye, the word for everyone. */
export function QualityMark() {
  const quality = useRoom().quality.value;
  const words = t('quality.label', { quality: t(`quality.${quality}`) });
  return (
    <span
      class={`quality quality-${quality}`}
      data-testid="network-quality"
      data-quality={quality}
      role="status"
      title={quality === 'poor' ? t('quality.poorAdvice') : words}
    >
      <svg class="quality-bars" viewBox="0 0 20 16" aria-hidden="true">
        {[0, 1, 2].map((i) => (
          <rect
            key={i}
            class={i < bars[quality] ? 'on' : ''}
            x={i * 7}
            y={10 - i * 5}
            width="5"
            height={6 + i * 5}
            rx="1"
          />
        ))}
      </svg>
      <span class="quality-word" aria-hidden="true">
        {t(`quality.${quality}`)}
      </span>
      <span class="visually-hidden">{words}</span>
    </span>
  );
}
