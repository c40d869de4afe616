import { signal, type Signal } from '@preact/signals';
import { language, t } from '../i18n';
import { Herald } from '../media/herald';
import { NO_REPLY, SignalError, type Ack, type Decision } from '../signal/messages';
import type { Model } from './model';
import { recordingNews, refusals, started, wordingFor } from './recording';
import type { RoomState } from './state';

type Message =
  | { type: 'consent'; decision: Decision; wording_id?: string; language?: string }
  | { type: 'record'; on: boolean };

/** What the person of this page says to being recorded, and what the doctor does about it. */
export class Recorder {
  /** The panel: opened and closed by the person, or, when null, shown to whoever has not answered. */
  readonly open: Signal<boolean | null> = signal(null);
  /** What was asked of the server and is not answered. */
  readonly deciding: Signal<Decision | null> = signal(null);
  readonly switching = signal(false);

  private readonly herald = new Herald();
  /** A refusal or withdrawal that has not reached the server: it is said again until it has. */
  private unsaid: Extract<Message, { type: 'consent' }> | null = null;

  constructor(
    private readonly state: RoomState,
    private readonly request: (message: Message) => Promise<Ack>,
  ) {}

  /** The text that is shown: in the page's language, else the consultation's, else English. */
  get wording() {
    const { recording, session } = this.state.model.value;
    return wordingFor(recording?.wordings ?? [], [language.value, session?.language]);
  }

  get shown(): boolean {
    const { recording } = this.state.model.value;
    if (!recording?.you) return false;
    return this.open.value ?? recording.you.decision === null;
  }

  /** The question is on the page, and not answered. */
  get asking(): boolean {
    return this.shown && this.state.model.value.recording?.you?.decision === null;
  }

  toggle(): void {
    this.open.value = !this.shown;
  }

  close(): void {
    this.open.value = false;
  }

  async decide(decision: Decision): Promise<void> {
    if (this.deciding.value !== null) return;
    const { wording } = this;
    if (decision === 'granted' && !wording) return;
    const message = {
      type: 'consent' as const,
      decision,
      ...(wording ? { wording_id: wording.id, language: wording.language } : {}),
    };
    this.deciding.value = decision;
    try {
      this.unsaid = decision === 'granted' ? null : message;
      await this.request(message);
      this.unsaid = null;
      this.open.value = false;
    } catch (error) {
      this.refused(decision, error instanceof SignalError ? error.reason : '');
    } finally {
      this.deciding.value = null;
    }
  }

  async record(on: boolean): Promise<void> {
    if (this.switching.value) return;
    this.switching.value = true;
    try {
      await this.request({ type: 'record', on });
    } catch (error) {
      const reason = error instanceof SignalError ? error.reason : '';
      if (reason === 'dependency') this.state.tell(on ? 'rec.startFailed' : 'rec.stopFailed');
      else this.state.refused(reason);
    } finally {
      this.switching.value = false;
    }
  }

  /** The connection is back: what it swallowed is said again. */
  again(): void {
    const message = this.unsaid;
    if (!message || this.deciding.value !== null) return;
    this.request(message).then(
      () => {
        if (this.unsaid === message) this.unsaid = null;
        this.state.tell('rec.arrived');
      },
      () => undefined,
    );
  }

  /** To be called after every change of the model. */
  changed(before: Model, now: Model): void {
    const [old, r] = [before.recording, now.recording];
    if (before.stage !== 'call' && now.stage === 'call') this.again();
    const news = recordingNews(before, now);
    if (news) {
      this.state.announcement.value = { key: news.say };
      this.herald.say({ text: t(news.say), language: language.value, tone: news.tone });
      if (news.say === 'rec.said.failed') this.state.tell('rec.said.failed', true);
    }
    // Starting asks everybody again who had put the question aside.
    if (started(r) && !started(old) && r?.you?.decision === null) this.open.value = null;
    if (now.stage !== 'call') {
      this.open.value = null;
      if (!news) this.herald.forget();
    }
    // Everyone agrees: what was said of somebody before is no longer true.
    if (r?.state === 'recording') this.state.dismissWord();
    for (const { person, decision } of refusals(before, now)) {
      this.state.inform(decision === 'withdrawn' ? 'rec.someWithdrew' : 'rec.someDeclined', person.name);
    }
  }

  private refused(decision: Decision, reason: string): void {
    if (decision === 'granted') {
      if (reason === 'dependency') this.state.tell('rec.grantFailed');
      else this.state.refused(reason);
      return;
    }
    // It is in force at once, stored or not; only one that never arrived is not.
    if (reason === 'dependency') {
      this.unsaid = null;
      this.open.value = false;
      if (decision === 'withdrawn') this.state.tell('rec.withdrawnUnstored', true);
    } else if (reason === NO_REPLY) {
      this.state.tell('rec.notArrived', true);
    } else {
      this.unsaid = null;
      this.state.refused(reason);
    }
  }
}
