/**
 * The messages of docs/signaling.md. Field names are those of the wire.
 * Times are RFC 3339 strings.
 */
export const PROTOCOL = 1;

export type Role = 'doctor' | 'patient' | 'interpreter' | 'guest' | 'observer' | 'device';
export const sources = ['microphone', 'camera', 'screen', 'screen_audio'] as const;
export type Source = (typeof sources)[number];

export interface Publication {
  mid: string;
  source: Source;
  muted: boolean;
}

export interface Slot {
  slot: number;
  audio_mid: string;
  video_mid: string;
  participant_id: string | null;
  /** `camera` carries the microphone too, `screen` the screen's sound. */
  source: 'camera' | 'screen' | null;
}

export interface Participant {
  id: string;
  role: Role;
  name: string;
  state: 'connected' | 'away';
  self: boolean;
  /** `stalled`: it is not muted, and nothing comes of it. */
  sources: Partial<Record<Source, { muted: boolean; stalled?: boolean }>>;
}

export interface ChatMessage {
  id: string;
  participant_id: string;
  role: Role;
  name: string;
  text: string;
  sent_at: string;
}

export interface QueueTicket {
  ticket_id: string;
  session_id: string;
  patient_id: string;
  patient_name: string;
  reason: string;
  language: string;
  status: 'queued' | 'ready' | 'away';
  position: number;
  joined_at: string;
  waiting_since: string | null;
  /** What the reason was found to be; null where none was screened. */
  urgency: Urgency | null;
}

export type Urgency = 'critical' | 'high' | 'moderate' | 'low';

/** Whether a doctor must look at this patient first. */
export function alarming(ticket: QueueTicket): boolean {
  return ticket.urgency === 'critical' || ticket.urgency === 'high';
}

/** Those between two lists who were not alarming before. */
export function alarms(before: readonly QueueTicket[], after: readonly QueueTicket[]): QueueTicket[] {
  const known = new Map(before.filter(alarming).map((t) => [t.ticket_id, t.urgency]));
  return after.filter(
    (t) =>
      alarming(t) &&
      (!known.has(t.ticket_id) || (t.urgency === 'critical' && known.get(t.ticket_id) === 'high')),
  );
}

/** A service that answers a telephone. */
export interface Line {
  name: string;
  number: string;
  hours?: string;
  url?: string;
}

/** What a patient must see whose reason may be an emergency. */
export interface EmergencyInfo {
  urgency: 'critical' | 'high';
  /** Whose numbers these are; null where that is not known. */
  country: string | null;
  numbers: string[];
  crisis_line: Line | null;
}

/** A patient who was let in and whose call has not begun. */
export interface AdmittedTicket {
  ticket_id: string;
  session_id: string;
  patient_name: string;
  admitted_at: string;
}

export const presences = ['available', 'busy', 'away'] as const;
export type Presence = (typeof presences)[number];

/** What the doctor wrote to a patient who waits. */
export interface WaitingNote {
  id: string;
  name: string;
  text: string;
  sent_at: string;
}

export interface SessionInfo {
  session_id: string;
  status: 'waiting' | 'active' | 'ended' | 'cancelled';
  reason: string;
  doctor_name: string;
  patient_name: string;
  language: string;
  scheduled_at: string | null;
  opens_at: string;
  started_at: string | null;
  expires_at: string;
  recording_enabled: boolean;
}

export interface WaitingInfo {
  why: 'queue' | 'scheduled' | 'not_started';
  ticket_id?: string;
  position?: number;
  estimate: { expected_seconds: number; low_seconds: number; high_seconds: number } | null;
  opens_at?: string;
  /** In the queue: whether the doctor is there. */
  doctor?: { presence: Presence; online: boolean };
  messages?: WaitingNote[];
  /** What the patient gave as the reason, and what it was found to be. */
  reason?: string;
  emergency?: EmergencyInfo;
}

/** What a person has last said to being recorded; null: nothing yet. */
export type Decision = 'granted' | 'declined' | 'withdrawn';

/** The exact text that people are shown before they decide. */
export interface Wording {
  id: string;
  language: string;
  text: string;
}

/** The recording of the session, as this participant may see it. */
export interface RecordingInfo {
  /** `waiting`: started, and it has not recorded yet; `failed`: ended by a fault. */
  state: 'off' | 'waiting' | 'recording' | 'paused' | 'failed';
  reason?: string;
  recording_id?: string;
  started_at?: string;
  /** Until this message; while it records it goes on counting. */
  recorded_seconds?: number;
  /** Participants present who have not granted. */
  waiting_for: string[];
  /** Null for a device, which is not asked. */
  you: { decision: Decision | null } | null;
  /** To the doctor alone, by participant. */
  others?: Record<string, Decision | null>;
  /** Only in the first message. */
  wordings?: Wording[];
}

/** What of the pictures is wanted, by source; `rid` as in the offer. */
export interface WantedLayer {
  rid: string | null;
  active: boolean;
  max_bitrate: number | null;
}

/** How the call is for this client. */
export interface QualityInfo {
  level: 'excellent' | 'good' | 'poor' | 'bad' | 'lost';
  score: number;
  why: 'loss' | 'delay' | 'jitter' | 'bandwidth' | 'freezes' | 'silence' | null;
  direction: 'down' | 'up' | null;
  /** The least that any slot gets. */
  video: 'full' | 'layer' | 'slideshow' | 'paused';
  audio: 'full' | 'redundant' | 'reduced';
}

export interface SlotView {
  slot: number;
  width: number;
  height: number;
  visible: boolean;
}

export interface SlotStats {
  slot: number;
  concealed?: number;
  frozen?: number;
}

interface Seat {
  participant_id: string;
  secret: string;
  role: Role;
  session: SessionInfo;
}

interface CallState {
  slots: Slot[];
  participants: Participant[];
  chat: ChatMessage[];
  queue?: QueueTicket[];
  /** Where the consultation may be recorded. */
  recording?: RecordingInfo;
}

export type ClientMessage =
  | {
      type: 'join';
      protocol: number;
      token: string;
      session_id: string;
      offer?: string;
      publications: Publication[];
      display_name?: string;
      language?: string;
      instance: string;
      take_over?: boolean;
      role?: 'doctor' | 'patient';
    }
  | { type: 'resume'; protocol: number; participant_id: string; secret: string }
  | { type: 'ready' }
  | { type: 'offer'; offer: string; publications: Publication[]; replace?: boolean }
  | { type: 'media'; source: Source; muted: boolean }
  | { type: 'chat'; text: string }
  | { type: 'reason'; text: string }
  | { type: 'admit'; ticket_id: string }
  | DeskMessage
  | { type: 'eject'; participant_id: string }
  | { type: 'consent'; decision: Decision; wording_id?: string; language?: string }
  | { type: 'record'; on: boolean }
  | { type: 'view'; slots: SlotView[] }
  | { type: 'stats'; slots: SlotStats[] }
  | { type: 'end' }
  | { type: 'leave' }
  | { type: 'ping' }
  | { type: 'watch'; protocol: number; token: string };

/** What a doctor does with the queue. */
export type DeskMessage =
  | { type: 'message'; ticket_id: string; text: string }
  | { type: 'message_all'; text: string }
  | { type: 'reorder'; ticket_id: string; position: number }
  | { type: 'send_back'; ticket_id: string }
  | { type: 'transfer'; ticket_id: string; doctor_id: string; doctor_name?: string }
  | { type: 'decline'; ticket_id: string; reason?: string }
  | { type: 'presence'; presence: Presence };

export type Joined = { type: 'joined'; id?: string; answer?: string } & Seat & CallState;
export type Waiting = { type: 'waiting'; id?: string; waiting: WaitingInfo } & Seat;
export type Admitted = { type: 'admitted'; answer?: string } & CallState;
export type Resumed = { type: 'resumed'; id?: string } & Seat &
  ({ state: 'waiting'; waiting: WaitingInfo } | ({ state: 'in_call'; answer?: string } & CallState));

export interface ErrorMessage {
  type: 'error';
  id?: string;
  error: string;
  reason?: string;
  message: string;
  code: number;
  fatal: boolean;
  /** What the doctor told the patient on declining. */
  note?: string;
}

export type EndReason = 'doctor' | 'api' | 'nobody_present' | 'cancelled' | 'expired' | 'declined';

export type ServerMessage =
  | Joined
  | Waiting
  | Admitted
  | Resumed
  | { type: 'answer'; id?: string; answer: string; slots: Slot[] }
  | { type: 'slots'; slots: Slot[] }
  | { type: 'participants'; participants: Participant[] }
  | { type: 'chat'; message: ChatMessage }
  | { type: 'queue'; tickets: QueueTicket[]; admitted?: AdmittedTicket[] }
  | ({
      type: 'watching';
      id?: string;
      doctor_id: string;
      doctor_name: string;
      tickets: QueueTicket[];
      admitted: AdmittedTicket[];
    } & DoctorState)
  | ({ type: 'presence' } & DoctorState)
  | { type: 'session'; session: SessionInfo }
  | ({ type: 'recording' } & RecordingInfo)
  | { type: 'send'; sources: Partial<Record<Source, { layers: WantedLayer[] }>> }
  | ({ type: 'quality' } & QualityInfo)
  | { type: 'speaker'; participant_id: string | null }
  | { type: 'ended'; reason: EndReason; note?: string }
  | { type: 'moved' }
  | Ack
  | { type: 'pong'; id?: string }
  | ErrorMessage;

export interface Ack {
  type: 'ack';
  id?: string;
  message_id?: string;
  doctor_join_url?: string;
  /** How many were told. */
  count?: number;
}

interface DoctorState {
  presence: Presence;
  online: boolean;
}

/** The reply that each request gets; the others are answered by pushes or not at all. */
export interface Replies extends Record<DeskMessage['type'], Ack> {
  join: Joined | Waiting;
  resume: Resumed;
  offer: Extract<ServerMessage, { type: 'answer' }>;
  chat: Ack;
  reason: Ack;
  admit: Ack;
  eject: Ack;
  consent: Ack;
  record: Ack;
  end: Ack;
  watch: Extract<ServerMessage, { type: 'watching' }>;
}
export type RequestMessage = Extract<ClientMessage, { type: keyof Replies }>;

/** An `error` of the server, or a request that got no reply. */
export class SignalError extends Error {
  constructor(
    readonly reason: string,
    readonly fatal: boolean,
    readonly note?: string,
  ) {
    super(reason);
    this.name = 'SignalError';
  }

  static from(m: ErrorMessage): SignalError {
    return new SignalError(m.reason !== undefined && m.reason !== '' ? m.reason : m.error, m.fatal, m.note);
  }
}

/** A request whose socket closed, or whose reply did not come in time. */
export const NO_REPLY = 'no_reply';
