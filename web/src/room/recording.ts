import type { PlainKey } from '../i18n';
import type { Decision, Participant, RecordingInfo, Wording } from '../signal/messages';
import type { Model } from './model';

/** The last thing the server said of the recording, and when that came. */
export interface Recording extends RecordingInfo {
  wordings: Wording[];
  /** Milliseconds since 1970: the recorded seconds count from here. */
  at: number;
}

/** The texts come once; whatever follows leaves them out. */
export function take(before: Recording | null, info: RecordingInfo, at: number): Recording {
  return { ...info, wordings: info.wordings ?? before?.wordings ?? [], at };
}

/** How long was recorded until `now`, in milliseconds. */
export function recordedFor(r: Recording, now: number): number {
  const until = (r.recorded_seconds ?? 0) * 1_000;
  return r.state === 'recording' ? until + Math.max(0, now - r.at) : until;
}

/** Whether it was started, be it that it waits for somebody. */
export function started(r: Recording | null): boolean {
  return r !== null && (r.state === 'waiting' || r.state === 'recording' || r.state === 'paused');
}

/**
 * The text to show, in the first of the languages wished for that there is one
 * in, else in English. What is shown is what the answer must name.
 */
export function wordingFor(wordings: readonly Wording[], wishes: readonly (string | undefined)[]) {
  const primary = (tag: string) => tag.toLowerCase().split(/[-_]/)[0];
  for (const wish of [...wishes, 'en']) {
    const found = wish && wordings.find((w) => primary(w.language) === primary(wish));
    if (found) return found;
  }
  return wordings[0] ?? null;
}

/** One person and what they have said, for the doctor. */
export interface Answer {
  person: Participant;
  decision: Decision | null;
}

/** What everyone present who is asked has said, oneself included, as the doctor may see it. */
export function answers(m: Pick<Model, 'participants' | 'recording'>): Answer[] {
  const { recording: r, participants } = m;
  if (!r) return [];
  return participants.flatMap((person) => {
    const said = person.self ? r.you?.decision : r.others?.[person.id];
    return said === undefined ? [] : [{ person, decision: said }];
  });
}

/** A sentence that is spoken, and announced to screen readers. */
export interface RecordingNews {
  say: PlainKey;
  /** Up: something begins; down: it stops. For whoever has no voice of the language. */
  tone: 'up' | 'down';
}

/**
 * What must be said aloud after a change. One's own withdrawal is told as such;
 * to everyone else it is a pause, whoever it was.
 */
export function recordingNews(before: Model, now: Model): RecordingNews | null {
  const [old, r] = [before.stage === 'call' ? before.recording : null, now.recording];
  const was = old?.state ?? 'off';
  if (now.stage === 'ended') {
    // Whoever only leaves may leave others behind who are recorded still.
    const over = was === 'recording' && now.ending !== 'left' && now.ending !== 'moved';
    return over ? { say: 'rec.said.stopped', tone: 'down' } : null;
  }
  if (now.stage !== 'call' || !r) return null;
  if (old?.you?.decision === 'granted' && r.you?.decision === 'withdrawn') {
    return { say: started(old) ? 'rec.said.withdrawn' : 'rec.said.withdrawnEarly', tone: 'down' };
  }
  if (was === r.state) return null;
  switch (r.state) {
    case 'recording':
      return { say: was === 'paused' ? 'rec.said.resumed' : 'rec.said.started', tone: 'up' };
    case 'paused':
      // In a page that has just been opened nothing was heard that could pause.
      return old && { say: 'rec.said.paused', tone: 'down' };
    case 'failed':
      return old && { say: 'rec.said.failed', tone: 'down' };
    case 'off':
      return was === 'recording' || was === 'paused' ? { say: 'rec.said.stopped', tone: 'down' } : null;
    case 'waiting':
      return null;
  }
}

/** Who has refused or withdrawn since, for a calm word to the doctor. */
export function refusals(before: Model, now: Model): { person: Participant; decision: Decision }[] {
  const old = before.recording?.others;
  if (!old) return [];
  return answers(now).flatMap(({ person, decision }) =>
    !person.self && decision !== null && decision !== 'granted' && old[person.id] !== decision
      ? [{ person, decision }]
      : [],
  );
}
