/** Camera, microphone and speakers: opening them, naming them, and why not. */

export type Capture = 'microphone' | 'camera';

/** Why a device could not be opened; each has its own words in the catalogue. */
export type Problem = 'denied' | 'deniedSystem' | 'dismissed' | 'missing' | 'busy' | 'insecure' | 'unknown';

export interface Device {
  id: string;
  /** Empty until the person has granted access. */
  label: string;
}

export interface DeviceList {
  cameras: Device[];
  microphones: Device[];
  speakers: Device[];
}

/** Device ids as the person chose them; empty stands for the standard device. */
export interface Choice {
  camera: string;
  microphone: string;
  speaker: string;
}

/** Reads the reason out of what getUserMedia throws (Media Capture and Streams, 10.2). */
export function problemOf(error: unknown): Problem {
  const { name, message } = error instanceof Error ? error : { name: '', message: '' };
  switch (name) {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
      if (/system/i.test(message)) return 'deniedSystem';
      return /dismiss/i.test(message) ? 'dismissed' : 'denied';
    case 'NotFoundError':
    case 'OverconstrainedError':
    case 'DevicesNotFoundError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
    case 'TrackStartError':
      return 'busy';
    case 'SecurityError':
      return 'insecure';
  }
  return 'unknown';
}

/** Outside a secure context browsers hide the whole interface. */
export function mediaDevices(): MediaDevices | undefined {
  return (navigator as Partial<Navigator>).mediaDevices;
}

export function canShareScreen(): boolean {
  return typeof (mediaDevices() as Partial<MediaDevices> | undefined)?.getDisplayMedia === 'function';
}

function audioConstraints(id: string): MediaTrackConstraints {
  return {
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
    ...(id ? { deviceId: { ideal: id } } : {}),
  };
}

function videoConstraints(id: string): MediaTrackConstraints {
  return {
    width: { ideal: 1280 },
    height: { ideal: 720 },
    frameRate: { ideal: 30, max: 30 },
    ...(id ? { deviceId: { ideal: id } } : { facingMode: { ideal: 'user' } }),
  };
}

export type Opened = Record<Capture, MediaStreamTrack | Problem | null>;

/**
 * Opens what is wanted with one question to the person, and each alone where
 * the pair fails for the sake of one. Never throws.
 */
export async function open(want: Record<Capture, boolean>, choice: Choice): Promise<Opened> {
  const result: Opened = { microphone: null, camera: null };
  const wanted = (['microphone', 'camera'] as const).filter((c) => want[c]);
  if (wanted.length === 0) return result;
  if (!mediaDevices()) {
    for (const c of wanted) result[c] = 'insecure';
    return result;
  }
  const first = await attempt(want, choice);
  if (!(first instanceof MediaStream)) {
    for (const c of wanted) result[c] = wanted.length > 1 ? await alone(c, choice, first) : first;
    return result;
  }
  result.microphone = want.microphone ? (first.getAudioTracks()[0] ?? 'missing') : null;
  result.camera = want.camera ? (first.getVideoTracks()[0] ?? 'missing') : null;
  return result;
}

async function attempt(want: Record<Capture, boolean>, choice: Choice): Promise<MediaStream | Problem> {
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: want.microphone && audioConstraints(choice.microphone),
      video: want.camera && videoConstraints(choice.camera),
    });
  } catch (error) {
    return problemOf(error);
  }
}

/** After a refusal only asks again where that does not put the question twice. */
async function alone(
  capture: Capture,
  choice: Choice,
  pairProblem: Problem,
): Promise<MediaStreamTrack | Problem> {
  const refused = pairProblem === 'denied' || pairProblem === 'dismissed' || pairProblem === 'deniedSystem';
  if (refused && (await permission(capture)) !== 'granted') return pairProblem;
  const got = await attempt({ microphone: capture === 'microphone', camera: capture === 'camera' }, choice);
  return got instanceof MediaStream ? (got.getTracks()[0] ?? 'missing') : got;
}

async function permission(capture: Capture): Promise<PermissionState | 'unknown'> {
  try {
    return (await navigator.permissions.query({ name: capture })).state;
  } catch {
    return 'unknown';
  }
}

export async function listDevices(): Promise<DeviceList> {
  const list: DeviceList = { cameras: [], microphones: [], speakers: [] };
  if (!mediaDevices()) return list;
  const groups: Record<MediaDeviceKind, Device[]> = {
    videoinput: list.cameras,
    audioinput: list.microphones,
    audiooutput: list.speakers,
  };
  for (const d of await navigator.mediaDevices.enumerateDevices()) {
    // "default" and "communications" repeat a real device under another name.
    if (d.deviceId === 'default' || d.deviceId === 'communications') continue;
    groups[d.kind].push({ id: d.deviceId, label: d.label });
  }
  return list;
}
