import { language, languageNames, languages, matchLanguage, t } from '../i18n';
import { Icon } from './icons';

/** Each language in its own name, so that it is found by who can't read the others. */
export function LangSelect({ onChoose }: { onChoose: (lang: string) => void }) {
  return (
    <label class="lang">
      <Icon name="globe" />
      <span class="visually-hidden">{t('app.language')}</span>
      <select
        data-testid="lang-select"
        value={language.value}
        onChange={(e) => {
          const chosen = matchLanguage(e.currentTarget.value);
          if (!chosen) return;
          language.value = chosen;
          onChoose(chosen);
        }}
      >
        {languages.map((l) => (
          <option key={l} value={l} lang={l}>
            {languageNames[l]}
          </option>
        ))}
      </select>
    </label>
  );
}
