import type { PlainKey } from '../i18n';
import type { QualityInfo } from '../signal/messages';
import type { Tile } from './model';

/** Why the call is not at its best, and what is done about it; null while there is nothing to say. */
export function advice(q: QualityInfo | null): PlainKey | null {
  // For a lost connection there is a banner.
  if (!q || q.level === 'lost') return null;
  if (q.video === 'paused') return 'quality.soundOnly';
  if (q.video === 'slideshow') return 'quality.slides';
  if (q.level === 'excellent' || q.level === 'good') return null;
  if (q.audio === 'reduced' && q.level === 'bad') return 'quality.breaks';
  if (q.direction === 'up') return 'quality.up';
  switch (q.why) {
    case 'bandwidth':
      return 'quality.reduced';
    case 'loss':
      return 'quality.loss';
    case 'delay':
      return 'quality.delay';
    case 'jitter':
    case 'freezes':
      return 'quality.jitter';
    default:
      return null;
  }
}

/** What stands in place of a picture, and why; null while it is shown. */
export function cover(tile: Tile, still: boolean, q: QualityInfo | null): PlainKey | null {
  if (!tile.picture) return 'call.camIsOff';
  if (tile.stalled.picture) return tile.stalled.sound ? 'call.tileLost' : 'call.tileNoPicture';
  if (!still) return null;
  return q?.video === 'paused' ? 'call.tileSoundOnly' : 'call.tileStill';
}
