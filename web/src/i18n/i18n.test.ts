import { afterEach, describe, expect, it } from 'vitest';
import { clock, estimateWords, waited } from './format';
import { asKey, catalogues, language, matchLanguage, t, translate, type Key, type Plural } from './index';

afterEach(() => (language.value = 'en'));

function placeholders(text: string): string[] {
  return [...new Set([...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]!))].sort();
}

function forms(message: string | Plural): string[] {
  return typeof message === 'string' ? [message] : Object.values<string>({ ...message });
}

describe('catalogues', () => {
  const { en, fr, ar } = catalogues;
  const keys = Object.keys(en) as Key[];
  for (const [name, catalogue] of Object.entries({ fr, ar })) {
    it(`${name} uses only the placeholders of English`, () => {
      for (const key of keys) {
        const allowed = forms(en[key]).flatMap(placeholders);
        for (const form of forms(catalogue[key])) {
          expect(form.trim(), key).not.toBe('');
          for (const p of placeholders(form)) expect(allowed, key).toContain(p);
        }
        if (typeof en[key] === 'string') {
          expect(placeholders(catalogue[key] as string), key).toEqual(placeholders(en[key]));
        }
      }
    });
  }
});

describe('t', () => {
  it('follows the language live', () => {
    expect(t('call.leave')).toBe('Leave');
    language.value = 'fr';
    expect(t('call.leave')).toBe('Quitter');
  });

  it('isolates names and formats numbers', () => {
    expect(t('call.joined', { name: 'Ada' })).toBe('\u2068Ada\u2069 has joined.');
    expect(translate('fr', 'wait.ahead', { count: 1200 })).toMatch(/^1\s200 personnes/);
  });

  it('chooses all six Arabic plurals', () => {
    const seen = [0, 1, 2, 3, 11, 100].map((count) => translate('ar', 'desk.count', { count }));
    expect(new Set(seen).size).toBe(6);
  });

  it('narrows foreign keys', () => {
    expect(asKey('error.token_expired')).toBe('error.token_expired');
    expect(asKey('error.constructor')).toBeNull();
    expect(asKey('toString')).toBeNull();
  });

  it('matches language tags', () => {
    expect(matchLanguage('fr-CA')).toBe('fr');
    expect(matchLanguage('AR')).toBe('ar');
    expect(matchLanguage('de')).toBeNull();
    expect(matchLanguage(undefined)).toBeNull();
  });
});

describe('format', () => {
  it('says an estimate as a range rounded outward', () => {
    const say = (low: number, high: number) =>
      estimateWords({ low_seconds: low, high_seconds: high, expected_seconds: (low + high) / 2 });
    expect(estimateWords(null)).toBe('We can’t say yet');
    expect(say(0, 40)).toBe('less than 1 minute');
    expect(say(30, 290)).toBe('less than 5 minutes');
    expect(say(130, 400)).toBe('2 to 7 minutes');
    expect(say(700, 1300)).toBe('10 to 25 minutes');
    expect(say(1200, 1200)).toBe('about 20 minutes');
    expect(say(8000, 9000)).toBe('more than 2 hours');
  });

  it('counts', () => {
    expect(clock(247_000)).toBe('4:07');
    expect(clock(3_847_000)).toBe('1:04:07');
    expect(clock(-5)).toBe('0:00');
    expect(waited(59_000)).toBe('less than a minute');
    expect(waited(60_000)).toBe('1 minute');
    expect(waited(3_900_000)).toBe('1 h 5 min');
  });
});
