import { signal } from '@preact/signals';
import { ar } from './ar';
import { en } from './en';
import { fr } from './fr';
import { network as arNetwork } from './network/ar';
import { network as enNetwork } from './network/en';
import { network as frNetwork } from './network/fr';
import { recording as arRecording } from './recording/ar';
import { recording as enRecording } from './recording/en';
import { recording as frRecording } from './recording/fr';

export const languages = ['en', 'fr', 'ar'] as const;
export type Language = (typeof languages)[number];

export const languageNames: Record<Language, string> = { en: 'English', fr: 'Français', ar: 'العربية' };

type English = typeof en & typeof enNetwork & typeof enRecording;
export type Key = keyof English;

/** Every form a language may need; `other` is the one that always exists. */
export interface Plural {
  zero?: string;
  one?: string;
  two?: string;
  few?: string;
  many?: string;
  other: string;
}

/** A catalogue holds every key of the English one, plural where that is plural. */
export type Catalogue<P extends Plural = Plural, E = typeof en> = {
  [K in keyof E]: E[K] extends string ? string : P;
};

type Placeholders<S> = S extends `${string}{${infer P}}${infer Rest}` ? P | Placeholders<Rest> : never;
type Names<M> = M extends string ? Placeholders<M> : 'count' | Placeholders<M[keyof M]>;
type Params<K extends Key> = [Names<English[K]>] extends [never]
  ? []
  : [params: Record<Names<English[K]>, string | number>];

/** A key whose text needs nothing filled in. */
export type PlainKey = { [K in Key]: Params<K> extends [] ? K : never }[Key];

export const catalogues: Record<Language, Catalogue<Plural, English>> = {
  en: { ...en, ...enNetwork, ...enRecording },
  fr: { ...fr, ...frNetwork, ...frRecording },
  ar: { ...ar, ...arNetwork, ...arRecording },
};

/** The language of the page. Components that call `t()` follow it. */
export const language = signal<Language>('en');

export function direction(lang: Language): 'ltr' | 'rtl' {
  return lang === 'ar' ? 'rtl' : 'ltr';
}

/** The supported language nearest to a BCP 47 tag, if there is one. */
export function matchLanguage(tag: string | null | undefined): Language | null {
  const primary = tag?.toLowerCase().split(/[-_]/)[0];
  return languages.find((l) => l === primary) ?? null;
}

/** The text of a key in the current language, its placeholders filled in. */
export function t<K extends Key>(key: K, ...params: Params<K>): string {
  return translate(language.value, key, params[0]);
}

export function translate(
  lang: Language,
  key: Key,
  params: Record<string, string | number> | undefined,
): string {
  const message: string | Plural = catalogues[lang][key];
  const number = new Intl.NumberFormat(lang);
  const template =
    typeof message === 'string' ? message : pluralForm(lang, message, Number(params?.['count']));
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params?.[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? number.format(value) : isolate(value);
  });
}

function pluralForm(lang: Language, message: Plural, count: number): string {
  return message[new Intl.PluralRules(lang).select(count)] ?? message.other;
}

/**
 * Wraps a foreign text in bidirectional isolates (U+2068, U+2069), so that a
 * Latin name inside an Arabic sentence does not reorder its neighbours.
 */
export function isolate(text: string): string {
  return `\u2068${text}\u2069`;
}

/** Narrows a string from outside, such as an error reason, to a plain key if it is one. */
export function asKey(candidate: string): PlainKey | null {
  const message = Object.entries(catalogues.en).find(([key]) => key === candidate)?.[1];
  return typeof message === 'string' && !message.includes('{') ? (candidate as PlainKey) : null;
}
