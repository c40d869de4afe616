import { isolate, language, t } from './index';

/** A number in the digits of the language. */
export function number(n: number): string {
  return new Intl.NumberFormat(language.value).format(n);
}

/** The time of day, such as 14:05. */
export function timeOfDay(at: Date): string {
  return new Intl.DateTimeFormat(language.value, { hour: 'numeric', minute: '2-digit' }).format(at);
}

/** The time of day, with the date unless it is today. */
export function appointment(at: Date, now: Date): string {
  if (at.toDateString() === now.toDateString()) return timeOfDay(at);
  return new Intl.DateTimeFormat(language.value, {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    hour: 'numeric',
    minute: '2-digit',
  }).format(at);
}

/** A running clock: 4:07, or 1:04:07 from an hour on. `ms` below zero counts as zero. */
export function clock(ms: number): string {
  const total = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(total / 3600), Math.floor((total % 3600) / 60), total % 60];
  const two = new Intl.NumberFormat(language.value, { minimumIntegerDigits: 2 });
  const one = new Intl.NumberFormat(language.value);
  return h > 0 ? `${one.format(h)}:${two.format(m)}:${two.format(s)}` : `${one.format(m)}:${two.format(s)}`;
}

/** How long somebody has waited, in words. */
export function waited(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  if (minutes < 1) return t('queue.justNow');
  if (minutes < 60) return t('queue.waitingShort', { count: minutes });
  return t('queue.hours', { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

export interface EstimateSeconds {
  expected_seconds: number;
  low_seconds: number;
  high_seconds: number;
}

/**
 * The expected wait as a range in words. Bounds are rounded outward, to whole
 * minutes below ten and to five minutes above: a wait in seconds would promise
 * a precision nobody has.
 */
export function estimateWords(estimate: EstimateSeconds | null): string {
  if (!estimate) return t('wait.estimateUnknown');
  const low = roundMinutes(estimate.low_seconds, Math.floor);
  const high = roundMinutes(estimate.high_seconds, Math.ceil);
  if (low >= 120) return t('estimate.over', { count: Math.floor(low / 60) });
  if (high <= 1 || low < 1) return t('estimate.under', { count: Math.max(1, high) });
  if (low >= high) return t('estimate.about', { count: high });
  return t('estimate.range', { low, count: high });
}

function roundMinutes(seconds: number, round: (n: number) => number): number {
  const minutes = Math.max(0, seconds) / 60;
  return minutes < 10 ? round(minutes) : round(minutes / 5) * 5;
}

/** Names in a row, as the language joins them. */
export function listOf(names: readonly string[]): string {
  return new Intl.ListFormat(language.value, { type: 'conjunction' }).format(names.map(isolate));
}
