import type { ViewName } from './views';

/** How a view is shown: device pixels, and whether anything of it is on the screen. */
export interface Shown {
  width: number;
  height: number;
  visible: boolean;
}

/** Changes are gathered this long before they are told (ms), and told no more often. */
const GATHER = 120;
const APART = 400;
const LARGEST = 16_384;

/**
 * Watches how large the elements of the page are and whether they can be seen, so
 * that nobody sends more of a picture than is looked at. Whoever scrolls it away,
 * or leaves the tab, still hears.
 */
export class Sight {
  private readonly inView = new Map<HTMLMediaElement, boolean>();
  private readonly names = new Map<HTMLMediaElement, ViewName>();
  private readonly resized: ResizeObserver | null;
  private readonly crossed: IntersectionObserver | null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private told = -Infinity;

  /** Called after something has changed. */
  changed: () => void = () => undefined;

  constructor() {
    const later = this.later;
    this.resized = typeof ResizeObserver === 'undefined' ? null : new ResizeObserver(later);
    this.crossed =
      typeof IntersectionObserver === 'undefined'
        ? null
        : new IntersectionObserver((entries) => {
            for (const e of entries) this.inView.set(e.target as HTMLMediaElement, e.isIntersecting);
            later();
          });
    document.addEventListener('visibilitychange', later);
    // The ratio of device pixels changes with the zoom, and with it the window's size.
    addEventListener('resize', later);
  }

  add(element: HTMLMediaElement, name: ViewName): void {
    this.names.set(element, name);
    this.resized?.observe(element);
    this.crossed?.observe(element);
    element.addEventListener('enterpictureinpicture', this.later);
    element.addEventListener('leavepictureinpicture', this.later);
    this.later();
  }

  remove(element: HTMLMediaElement): void {
    this.names.delete(element);
    this.inView.delete(element);
    this.resized?.unobserve(element);
    this.crossed?.unobserve(element);
    element.removeEventListener('enterpictureinpicture', this.later);
    element.removeEventListener('leavepictureinpicture', this.later);
    this.later();
  }

  /** How a view is shown now: the largest of its elements that can be seen. */
  of(name: ViewName): Shown {
    const best: Shown = { width: 0, height: 0, visible: false };
    for (const [element, n] of this.names) {
      if (n !== name || !this.seen(element)) continue;
      best.visible = true;
      best.width = Math.max(best.width, pixels(element.clientWidth));
      best.height = Math.max(best.height, pixels(element.clientHeight));
    }
    return best;
  }

  private seen(element: HTMLMediaElement): boolean {
    if (document.pictureInPictureElement === element) return true;
    if (document.visibilityState === 'hidden') return false;
    // Before the observer has spoken it counts as seen: the picture is not to wait.
    return this.inView.get(element) ?? true;
  }

  /** Has `changed` called soon. */
  readonly later = (): void => {
    if (this.timer !== undefined) return;
    const wait = Math.max(GATHER, this.told + APART - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.told = Date.now();
      this.changed();
    }, wait);
  };
}

function pixels(css: number): number {
  return Math.min(LARGEST, Math.round(css * devicePixelRatio));
}
