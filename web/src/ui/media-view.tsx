import { useEffect, useRef } from 'preact/hooks';
import type { ViewName } from '../media/views';
import { useRoom } from './context';

interface Props {
  view: ViewName;
  /** Our own picture: silent, and mirrored unless it is a screen. */
  own?: boolean;
  mirrored?: boolean;
  /** Plays on unseen: its sound is still wanted. */
  hidden?: boolean;
  testId: string;
  label: string;
}

/** A video element that shows a view of the media layer, by name. */
export function MediaView({ view, own = false, mirrored = false, hidden = false, testId, label }: Props) {
  const { views } = useRoom();
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => (element.current ? views.attach(view, element.current) : undefined), [views, view]);
  return (
    <video
      ref={element}
      class={`video${mirrored ? ' mirrored' : ''}${hidden ? ' unseen' : ''}`}
      data-testid={testId}
      aria-label={label}
      autoplay
      playsInline
      muted={own}
      disablePictureInPicture={own}
    />
  );
}
