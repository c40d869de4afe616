import type { ComponentChildren } from 'preact';
import { t } from '../i18n';
import { Logo } from './icons';
import { LangSelect } from './lang-select';

interface Props {
  onLanguage: (lang: string) => void;
  /** Beside the language, e.g. a switch for sound. */
  tools?: ComponentChildren;
  wide?: boolean;
  children: ComponentChildren;
}

/** The light page around everything but the call itself. */
export function Page({ onLanguage, tools, wide = false, children }: Props) {
  return (
    <div class="page">
      <header class="page-header">
        <span class={tools === undefined ? 'brand' : 'brand with-tools'}>
          <Logo />
          <span class="brand-name">{t('app.name')}</span>
        </span>
        <span class="page-tools">
          {tools}
          <LangSelect onChoose={onLanguage} />
        </span>
      </header>
      <main class={wide ? 'page-main wide' : 'page-main'}>{children}</main>
    </div>
  );
}

/** A page that says one thing: where it went wrong, or that it is over. */
export function Statement({
  title,
  text,
  testId,
  reason,
  alert = false,
  children,
}: {
  title: string;
  text?: string;
  testId?: string;
  reason?: string;
  alert?: boolean;
  children?: ComponentChildren;
}) {
  return (
    <section class="card statement">
      <div data-testid={testId} data-reason={reason} role={alert ? 'alert' : 'status'}>
        <h1>{title}</h1>
        {text !== undefined && <p class="lead">{text}</p>}
      </div>
      {children}
    </section>
  );
}
