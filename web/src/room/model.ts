import { take, type Recording } from './recording';
import type {
  ChatMessage,
  EmergencyInfo,
  EndReason,
  Participant,
  QualityInfo,
  QueueTicket,
  RecordingInfo,
  Role,
  ServerMessage,
  SessionInfo,
  Slot,
  WaitingInfo,
} from '../signal/messages';

/** Why the page shows its last word. `left` and `moved` are our own, the others the server's. */
export type Ending = EndReason | 'left' | 'left_waiting' | 'moved';

/** What the server has told us, and nothing else. Replaced, never changed in place. */
export interface Model {
  stage: 'outside' | 'waiting' | 'call' | 'ended';
  /** The stage before it ended. */
  endedFrom: 'outside' | 'waiting' | 'call';
  ending: Ending | null;
  endedAt: number | null;
  selfId: string | null;
  secret: string | null;
  role: Role | null;
  session: SessionInfo | null;
  waiting: WaitingInfo | null;
  slots: Slot[];
  participants: Participant[];
  chat: ChatMessage[];
  queue: QueueTicket[];
  /** What the doctor gave as the reason for declining. */
  note: string | null;
  /** What the patient was shown while waiting: it goes on when the waiting has ended. */
  emergency: EmergencyInfo | null;
  /** Null where this consultation is not recorded at all. */
  recording: Recording | null;
  /** How the call is for us; null before it was judged. */
  quality: QualityInfo | null;
  /** Who speaks, or spoke last. */
  speaker: string | null;
}

export const outside: Model = {
  stage: 'outside',
  endedFrom: 'outside',
  ending: null,
  endedAt: null,
  selfId: null,
  secret: null,
  role: null,
  session: null,
  waiting: null,
  slots: [],
  participants: [],
  chat: [],
  queue: [],
  note: null,
  emergency: null,
  recording: null,
  quality: null,
  speaker: null,
};

/** The model after one server message. `now` is in milliseconds since 1970. */
export function apply(m: Model, message: ServerMessage, now: number): Model {
  switch (message.type) {
    case 'joined':
      return enterCall({ ...m, ...seat(message) }, message, now);
    case 'waiting':
      return { ...m, ...seat(message), stage: 'waiting', waiting: message.waiting, recording: null };
    case 'admitted':
      return enterCall(m, message, now);
    case 'resumed':
      return message.state === 'waiting'
        ? { ...m, ...seat(message), stage: 'waiting', waiting: message.waiting, recording: null }
        : enterCall({ ...m, ...seat(message) }, message, now);
    case 'answer':
    case 'slots':
      return { ...m, slots: message.slots };
    case 'participants':
      return { ...m, participants: message.participants };
    case 'chat':
      return m.chat.some((c) => c.id === message.message.id)
        ? m
        : { ...m, chat: [...m.chat, message.message] };
    case 'queue':
    case 'watching':
      return { ...m, queue: message.tickets };
    case 'recording':
      return { ...m, recording: take(m.recording, message, now) };
    case 'quality':
      return { ...m, quality: message };
    case 'speaker':
      return { ...m, speaker: message.participant_id };
    case 'session':
      return { ...m, session: message.session };
    case 'ended':
      return end({ ...m, note: message.note ?? null }, message.reason, now);
    case 'moved':
      return end(m, 'moved', now);
    case 'ack':
    case 'send':
    case 'pong':
    case 'error':
      return m;
    default:
      // A newer server may say more than this page knows.
      return m;
  }
}

export function end(m: Model, ending: Ending, now: number): Model {
  if (m.stage === 'ended') return m;
  return {
    ...m,
    stage: 'ended',
    endedFrom: m.stage,
    ending,
    endedAt: now,
    emergency: m.waiting?.emergency ?? null,
    waiting: null,
    slots: [],
    queue: [],
    recording: null,
  };
}

function seat(s: { participant_id: string; secret: string; role: Role; session: SessionInfo }) {
  return { selfId: s.participant_id, secret: s.secret, role: s.role, session: s.session };
}

function enterCall(
  m: Model,
  c: {
    slots: Slot[];
    participants: Participant[];
    chat: ChatMessage[];
    queue?: QueueTicket[];
    recording?: RecordingInfo;
  },
  now: number,
): Model {
  return {
    ...m,
    stage: 'call',
    waiting: null,
    slots: c.slots,
    participants: c.participants,
    chat: c.chat,
    queue: c.queue ?? m.queue,
    recording: c.recording ? take(m.recording, c.recording, now) : null,
  };
}

/** The id of the last thing the doctor wrote to a patient who waits. */
export function newestNote(m: Model): string | undefined {
  return m.waiting?.messages?.at(-1)?.id;
}

/** A remote picture on the stage. */
export interface Tile {
  key: string;
  kind: 'camera' | 'screen';
  participant: Participant;
  /** The slot's video mid; null while the server has given this person none. */
  videoMid: string | null;
  micMuted: boolean;
  /** Whether a picture is to be expected. */
  picture: boolean;
  /** Something is wrong where it is made: nothing comes of it. */
  stalled: { picture: boolean; sound: boolean };
}

/** Everyone else in the call, the doctor first, then by arrival; screens before cameras. */
export function tiles(m: Pick<Model, 'participants' | 'slots'>): Tile[] {
  const screens: Tile[] = [];
  const cameras: Tile[] = [];
  const others = m.participants.filter((p) => !p.self);
  const ordered = [
    ...others.filter((p) => p.role === 'doctor'),
    ...others.filter((p) => p.role !== 'doctor'),
  ];
  for (const p of ordered) {
    const slot = (source: Slot['source']) =>
      m.slots.find((s) => s.participant_id === p.id && s.source === source)?.video_mid ?? null;
    if (p.sources.screen?.muted === false) {
      const mid = slot('screen');
      screens.push({
        key: `${p.id}/screen`,
        kind: 'screen',
        participant: p,
        videoMid: mid,
        micMuted: true,
        picture: mid !== null,
        stalled: { picture: p.sources.screen.stalled === true, sound: false },
      });
    }
    const mid = slot('camera');
    cameras.push({
      key: `${p.id}/camera`,
      kind: 'camera',
      participant: p,
      videoMid: mid,
      micMuted: p.sources.microphone?.muted ?? true,
      picture: mid !== null && p.sources.camera?.muted === false,
      stalled: {
        picture: p.sources.camera?.stalled === true,
        sound: p.sources.microphone?.stalled === true,
      },
    });
  }
  return [...screens, ...cameras];
}

/** How many slots it takes to receive everything that is being sent. */
export function slotsNeeded(participants: readonly Participant[]): number {
  let n = 0;
  for (const p of participants) {
    if (p.self) continue;
    if (p.sources.camera ?? p.sources.microphone) n++;
    if (p.sources.screen?.muted === false) n++;
  }
  return n;
}

/** Who came and who went between two lists, for the announcement to screen readers. */
export function comings(before: readonly Participant[], after: readonly Participant[]) {
  const ids = (list: readonly Participant[]) => new Set(list.map((p) => p.id));
  const [old, now] = [ids(before), ids(after)];
  return {
    joined: after.filter((p) => !p.self && !old.has(p.id)),
    left: before.filter((p) => !p.self && !now.has(p.id)),
  };
}

/** Up to two initials of a name, in any script. */
export function initials(name: string): string {
  const words = name
    .replace(/^(dr|dre|prof|mme|mr|mrs|ms|m|د)\.?\s+/iu, '')
    .split(/\s+/)
    .filter((w) => /\p{L}/u.test(w));
  const first = (w: string | undefined) => String.fromCodePoint(...(w ? [w.codePointAt(0) ?? 0x20] : []));
  const last = words.length > 1 ? words.at(-1) : undefined;
  return (first(words[0]) + first(last)).toLocaleUpperCase();
}
