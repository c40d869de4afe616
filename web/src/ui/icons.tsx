/** Line icons on a 24-unit grid. Decorative: the control around one carries the name. */
const paths = {
  mic: 'M12 15a3.5 3.5 0 0 0 3.5-3.5v-5a3.5 3.5 0 0 0-7 0v5A3.5 3.5 0 0 0 12 15ZM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3',
  micOff:
    'M15.5 10V6.5a3.5 3.5 0 0 0-6.7-1.4M8.5 8.8v2.7a3.5 3.5 0 0 0 5.2 3M5.5 11.5a6.5 6.5 0 0 0 10.2 5.3M18.5 11.5a6.4 6.4 0 0 1-.5 2.5M12 18v3M4 3l16 18',
  cam: 'M4.5 6.5h9a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-9a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2ZM15.5 10.8l5.5-3v8.4l-5.5-3',
  camOff:
    'M9 6.5h4.5a2 2 0 0 1 2 2V13M14.7 17.1a2 2 0 0 1-1.2.400h-9a2 2 0 0 1-2-2v-7a2 2 0 0 1 1.5-1.9M15.5 10.8l5.5-3v8.4l-3-1.6M4 3l16 18',
  share:
    'M4.5 4.5h15a1.5 1.5 0 0 1 1.5 1.5v9a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 15V6a1.5 1.5 0 0 1 1.5-1.5ZM8 20h8M12 13.5v-6M9.3 9.8 12 7.2l2.7 2.6',
  chat: 'M5 4.5h14a1.5 1.5 0 0 1 1.5 1.5v9.5A1.5 1.5 0 0 1 19 17h-7.5L7 20.5V17H5a1.5 1.5 0 0 1-1.5-1.5V6A1.5 1.5 0 0 1 5 4.5ZM8 9h8M8 12.5h5',
  gear: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4ZM9 14.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4Z',
  leave:
    'M3.3 14.7c-.7-3.2 3.7-5.7 8.7-5.7s9.4 2.5 8.7 5.7l-.3 1.1a1 1 0 0 1-1.2.700l-2.9-.7a1 1 0 0 1-.8-1l0-1.4c-2.3-.8-4.7-.8-7 0v1.4a1 1 0 0 1-.8 1l-2.9.7a1 1 0 0 1-1.2-.7Z',
  end: 'M12 3.5v8M7 6.2a8 8 0 1 0 10 0',
  close: 'M6 6l12 12M18 6 6 18',
  send: 'M4 12 20.5 4.5 15 20l-3.5-6.5zM11.5 13.5l4-4',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.5-4 3.6-6 7.5-6s7 2 7.5 6',
  clock: 'M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17ZM12 7.5V12l3 2',
  sound: 'M4 9.5v5h3.5l4.5 4v-13l-4.5 4ZM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11',
  soundOff: 'M4 9.5v5h3.5l4.5 4v-13l-4.5 4ZM16 9.5l5 5M21 9.5l-5 5',
  globe:
    'M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17ZM3.8 12h16.4M12 3.5c2.3 2.3 3.5 5.2 3.5 8.5s-1.2 6.2-3.5 8.5c-2.3-2.3-3.5-5.2-3.5-8.5s1.2-6.2 3.5-8.5Z',
  warning: 'M12 4 2.8 20h18.4ZM12 10v4.5M12 17.3v.2',
  up: 'M12 19V5M6 11l6-6 6 6',
  down: 'M12 5v14M6 13l6 6 6-6',
  transfer: 'M4 8h14M14.5 4.5 18 8l-3.5 3.5M20 16H6M9.5 12.5 6 16l3.5 3.5',
  back: 'M9 6 4 11l5 5M4 11h10.5a5.5 5.5 0 0 1 5.5 5.5v1',
  phone:
    'M6.5 3.5h3l1.5 4-2 1.5a11 11 0 0 0 6 6l1.5-2 4 1.5v3a2 2 0 0 1-2.2 2A16.5 16.5 0 0 1 4.5 5.7a2 2 0 0 1 2-2.2Z',
  check: 'M4.5 12.5 10 18 19.5 7',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path
        fill="currentColor"
        d="M8 3h16a5 5 0 0 1 5 5v11a5 5 0 0 1-5 5h-8l-6.2 4.7A1.1 1.1 0 0 1 8 27.8V24a5 5 0 0 1-5-5V8a5 5 0 0 1 5-5Z"
      />
      <path class="logo-cross" d="M14.2 8h3.6v3.7h3.7v3.6h-3.7V19h-3.6v-3.7h-3.7v-3.6h3.7z" />
    </svg>
  );
}
