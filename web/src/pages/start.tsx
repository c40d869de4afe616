import '../styles/base.css';
import '../styles/controls.css';
import '../styles/page.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { t, type PlainKey } from '../i18n';
import { followLanguage, presetLanguage } from '../ui/effects';
import { Page } from '../ui/page';

const parts: { title: PlainKey; text: PlainKey }[] = [
  { title: 'start.patientTitle', text: 'start.patient' },
  { title: 'start.doctorTitle', text: 'start.doctor' },
  { title: 'start.developerTitle', text: 'start.developer' },
];

function Start() {
  return (
    <Page onLanguage={() => undefined}>
      <section class="card start">
        <h1>{t('start.title')}</h1>
        <p class="lead">{t('start.lead')}</p>
        {parts.map((p) => (
          <section key={p.title}>
            <h2>{t(p.title)}</h2>
            <p>{t(p.text)}</p>
          </section>
        ))}
        <p>
          <a href="/openapi.yaml">{t('start.openapi')}</a>
        </p>
      </section>
    </Page>
  );
}

presetLanguage(new URLSearchParams(location.search).get('lang'));
followLanguage();
effect(() => {
  document.title = `${t('app.name')} · ${t('start.title')}`;
});
const app = document.getElementById('app');
if (app) render(<Start />, app);
