import { useEffect, useRef, useState } from 'preact/hooks';
import { t } from '../i18n';
import { timeOfDay } from '../i18n/format';
import type { ChatMessage } from '../signal/messages';
import { useRoom } from './context';
import { Icon } from './icons';

const MAX_LENGTH = 4_000;

export function Chat() {
  const room = useRoom();
  const { chat, selfId } = room.model.value;
  const list = useRef<HTMLOListElement>(null);
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => input.current?.focus(), []);
  useEffect(() => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
    room.showChat(true);
  }, [chat.length, room]);
  return (
    <aside
      class="chat"
      aria-label={t('chat.title')}
      onKeyDown={(e) => {
        if (e.key === 'Escape') room.showChat(false);
      }}
    >
      <header class="chat-head">
        <h2>{t('chat.title')}</h2>
        <button
          type="button"
          class="icon-button"
          aria-label={t('call.chatClose')}
          onClick={() => room.showChat(false)}
        >
          <Icon name="close" />
        </button>
      </header>
      {chat.length === 0 && <p class="chat-empty">{t('chat.empty')}</p>}
      <ol class="chat-list" ref={list} aria-live="polite" tabIndex={0}>
        {chat.map((m) => (
          <Message key={m.id} message={m} own={m.participant_id === selfId} />
        ))}
      </ol>
      <ChatForm input={input} />
    </aside>
  );
}

function Message({ message, own }: { message: ChatMessage; own: boolean }) {
  const name = own ? t('role.you') : message.name || t(`role.${message.role}`);
  const time = timeOfDay(new Date(message.sent_at));
  return (
    <li class={own ? 'message own' : 'message'} data-testid="chat-message">
      <p class="message-head">{t('chat.from', { name, time })}</p>
      <p class="message-text" dir="auto">
        {message.text}
      </p>
    </li>
  );
}

function ChatForm({ input }: { input: { current: HTMLTextAreaElement | null } }) {
  const room = useRoom();
  const [text, setText] = useState('');
  const [state, setState] = useState<'idle' | 'sending' | 'failed'>('idle');
  const send = async () => {
    const trimmed = text.trim();
    if (trimmed === '' || state === 'sending') return;
    setState('sending');
    const sent = await room.say('chat', trimmed);
    setState(sent ? 'idle' : 'failed');
    // What was typed meanwhile belongs to the next message.
    if (sent) setText((now) => (now === text ? '' : now));
    input.current?.focus();
  };
  return (
    <form
      class="chat-form"
      onSubmit={(e) => {
        e.preventDefault();
        void send();
      }}
    >
      {state === 'failed' && (
        <p class="chat-failed" role="alert">
          {t('chat.failed')}
        </p>
      )}
      <label class="visually-hidden" for="chat-text">
        {t('chat.input')}
      </label>
      <textarea
        id="chat-text"
        ref={input}
        data-testid="chat-input"
        rows={2}
        dir="auto"
        maxLength={MAX_LENGTH}
        placeholder={t('chat.input')}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key !== 'Enter' || e.shiftKey || e.isComposing) return;
          e.preventDefault();
          void send();
        }}
      />
      <button
        class="button primary"
        data-testid="chat-send"
        disabled={state === 'sending'}
        aria-label={t('chat.send')}
      >
        <Icon name="send" />
      </button>
    </form>
  );
}
