/** How good the connection is, and what does not come through it. */
export const network = {
  'quality.label': 'Connection: {quality}',
  'quality.excellent': 'excellent',
  'quality.good': 'good',
  'quality.poor': 'weak',
  'quality.bad': 'very weak',
  'quality.lost': 'lost',
  'quality.unknown': 'being measured',
  'quality.reduced': 'Your connection is slow: the picture is reduced so that you hear each other.',
  'quality.slides': 'Your connection is slow: you see single pictures so that you hear each other.',
  'quality.soundOnly': 'Your connection is too slow for pictures: sound only until the connection is better.',
  'quality.breaks': 'Your connection is very slow: the sound may break up.',
  'quality.up':
    'Your connection is weak: the others may hear and see you badly. Turning your camera off helps the sound.',
  'quality.loss': 'Your connection loses parts of what is sent: sound and picture may break up for moments.',
  'quality.delay': 'Your connection answers late: leave each other a moment to finish speaking.',
  'quality.jitter': 'Your connection is uneven: sound and picture may falter.',
  'call.speaks': 'Speaks',
  'call.tileSoundOnly': 'Sound only until the connection is better',
  'call.tileStill': 'The picture is interrupted',
  'call.tileNoPicture': 'No picture comes from this camera',
  'call.tileNoSound': 'No sound comes from here',
  'call.tileLost': 'The connection at the other end is interrupted',
  'call.micStalled':
    'Nobody hears you: nothing comes from your microphone. Check its plug and its switch, or choose another one under “Devices”.',
  'call.camStalled':
    'Nobody sees you: nothing comes from your camera. Turn it off and on, or choose another one under “Devices”.',
  'call.camNotSent':
    'Your picture does not reach the others: your connection is too slow for it. They should still hear you.',
} as const;
