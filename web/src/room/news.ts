import { t } from '../i18n';
import { alarms } from '../signal/messages';
import { comings, type Model } from './model';
import type { Announcement } from './state';

/** What has changed during a call that somebody who can't see it must hear. */
export function callNews(before: Model, now: Model): { told: Announcement[]; rings: boolean } {
  const { joined, left } = comings(before.participants, now.participants);
  const red = alarms(before.queue, now.queue);
  const arrived = now.queue.some((q) => !before.queue.some((b) => b.ticket_id === q.ticket_id));
  return {
    told: [
      ...left.map((p) => ({ key: 'call.left' as const, name: p.name })),
      ...joined.map((p) => ({ key: 'call.joined' as const, name: p.name })),
      ...red.map((q) => ({ key: 'desk.alarm' as const, name: q.patient_name || t('queue.unnamed') })),
    ],
    rings: arrived || red.length > 0,
  };
}
