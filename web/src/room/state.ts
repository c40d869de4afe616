import { computed, signal, type ReadonlySignal, type Signal } from '@preact/signals';
import type { PlainKey } from '../i18n';
import { idleState, type LocalState } from '../media/local';
import { Sight } from '../media/sight';
import { Views } from '../media/views';
import { SignalError } from '../signal/messages';
import { refusal } from './refusals';
import { outside, type Model } from './model';

export type Phase = 'loading' | 'explain' | 'check' | 'waiting' | 'call' | 'ended' | 'error';

export type Announcement =
  { key: 'call.joined' | 'call.left' | 'desk.alarm'; name: string } | { key: PlainKey } | null;

/** Something that is no trouble, about somebody. */
export interface Word {
  key: 'rec.someDeclined' | 'rec.someWithdrew';
  name: string;
}

/** Everything the components of the room show. Only the Room itself writes it. */
export class RoomState {
  readonly model: Signal<Model> = signal(outside);
  readonly local: Signal<LocalState> = signal(idleState);
  readonly joining = signal(false);
  /** The socket is down and being restored. */
  readonly down = signal(false);
  readonly interrupted = signal(false);
  /** Nothing comes back of what we send: the server's word about it is old. */
  readonly silent = signal(false);
  readonly soundBlocked = signal(false);
  /** The reason of a refusal that ends the attempt. */
  readonly failure: Signal<string | null> = signal(null);
  readonly notice: Signal<PlainKey | null> = signal(null);
  /** A calm word for the doctor. */
  readonly word: Signal<Word | null> = signal(null);
  readonly announcement: Signal<Announcement> = signal(null);
  readonly chatOpen = signal(false);
  readonly read = signal(0);
  readonly admitting: Signal<ReadonlySet<string>> = signal(new Set());
  readonly phase: ReadonlySignal<Phase> = computed(() => {
    if (this.failure.value !== null) return 'error';
    const { stage } = this.model.value;
    if (stage !== 'outside') return stage;
    return this.returning.value ? 'loading' : 'check';
  });
  readonly unread = computed(() => {
    const { chat, selfId } = this.model.value;
    if (this.chatOpen.value) return 0;
    return chat.slice(this.read.value).filter((c) => c.participant_id !== selfId).length;
  });
  protected readonly sight = new Sight();
  readonly views = new Views((is) => (this.soundBlocked.value = is), this.sight);
  /** Loudness of the own microphone, 0 to 1, outside the call. */
  readonly level = signal(0);
  /** Whether the microphone has picked up a voice. */
  readonly heard = signal(false);
  /** Going back in without the device check, after a reload. */
  protected readonly returning = signal(false);
  private noticeTimer: ReturnType<typeof setTimeout> | undefined;
  private wordTimer: ReturnType<typeof setTimeout> | undefined;

  showChat(open: boolean): void {
    this.read.value = this.model.value.chat.length;
    this.chatOpen.value = open;
  }

  unlockSound(): void {
    this.views.unlock();
  }

  dismissNotice(): void {
    this.notice.value = null;
  }

  dismissWord(): void {
    this.word.value = null;
  }

  /** Runs a request whose failure is told in a banner. */
  protected async ask(request: () => Promise<unknown> | undefined): Promise<void> {
    try {
      await request();
    } catch (error) {
      this.refused(error instanceof SignalError ? error.reason : '');
    }
  }

  refused(reason: string): void {
    this.tell(refusal(reason));
  }

  /** Shows a banner, for a moment or until it is closed. */
  tell(key: PlainKey, stays = false): void {
    clearTimeout(this.noticeTimer);
    this.notice.value = key;
    if (!stays) this.noticeTimer = setTimeout(() => (this.notice.value = null), 8_000);
  }

  inform(key: Word['key'], name: string): void {
    clearTimeout(this.wordTimer);
    this.word.value = { key, name };
    this.wordTimer = setTimeout(() => (this.word.value = null), 12_000);
  }
}
