/**
 * Connects the streams of the media layer with the elements of the page by
 * name, so that components hold no media objects. A view is "self", "screen"
 * (our own) or "slot:<video mid>".
 */
export type ViewName = string;

/** Told which elements show which slot. */
export interface Watcher {
  add(element: HTMLMediaElement, view: ViewName): void;
  remove(element: HTMLMediaElement): void;
}

export function slotView(videoMid: string): ViewName {
  return `slot:${videoMid}`;
}

export class Views {
  private readonly streams = new Map<ViewName, MediaStream>();
  private readonly elements = new Map<HTMLMediaElement, ViewName>();
  /** Playing without their sound until the person taps. */
  private readonly silenced = new Set<HTMLMediaElement>();
  private sink = '';

  /** `blocked` is told when the browser refuses to play sound without a tap, and when it does again. */
  constructor(
    private readonly blocked: (is: boolean) => void,
    private readonly watcher?: Watcher,
  ) {}

  /** Gives a view its tracks; none removes it. Elements showing it follow. */
  set(view: ViewName, tracks: readonly (MediaStreamTrack | null)[]): void {
    const live = tracks.filter((t) => t !== null);
    const old = this.streams.get(view);
    if (live.length === 0) {
      this.streams.delete(view);
    } else if (old && sameTracks(old.getTracks(), live)) {
      return;
    } else {
      this.streams.set(view, new MediaStream(live));
    }
    for (const [element, name] of this.elements) if (name === view) this.show(element, view);
  }

  /** Forgets every slot whose view is not in `keep`. */
  keepSlots(keep: ReadonlySet<ViewName>): void {
    for (const view of this.streams.keys()) {
      if (view.startsWith('slot:') && !keep.has(view)) this.set(view, []);
    }
  }

  attach(view: ViewName, element: HTMLMediaElement): () => void {
    this.elements.set(element, view);
    this.watcher?.add(element, view);
    this.show(element, view);
    return () => {
      this.watcher?.remove(element);
      this.elements.delete(element);
      this.silenced.delete(element);
      element.srcObject = null;
    };
  }

  /** To be called from a tap: plays what the browser held back. */
  unlock(): void {
    this.blocked(false);
    for (const element of this.silenced) element.muted = false;
    this.silenced.clear();
    for (const element of this.elements.keys()) this.play(element);
  }

  setSpeaker(id: string): void {
    this.sink = id;
    for (const element of this.elements.keys()) this.route(element);
  }

  private show(element: HTMLMediaElement, view: ViewName): void {
    element.srcObject = this.streams.get(view) ?? null;
    if (!element.srcObject) return;
    this.route(element);
    this.play(element);
  }

  private play(element: HTMLMediaElement): void {
    element.play().catch((error: unknown) => {
      // AbortError only says that the source changed meanwhile.
      if (!(error instanceof Error) || error.name !== 'NotAllowedError' || element.muted) return;
      // The picture may go on without sound; the sound waits for a tap.
      element.muted = true;
      this.silenced.add(element);
      this.blocked(true);
      this.play(element);
    });
  }

  private route(element: HTMLMediaElement): void {
    if (element.muted || !('setSinkId' in element)) return;
    element.setSinkId(this.sink).catch(() => undefined);
  }
}

function sameTracks(a: readonly MediaStreamTrack[], b: readonly MediaStreamTrack[]): boolean {
  return a.length === b.length && a.every((t) => b.includes(t));
}
