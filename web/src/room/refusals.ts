import type { PlainKey } from '../i18n';

const known: Record<string, PlainKey> = {
  no_grant: 'banner.noGrant',
  token_wrong_role: 'banner.noGrant',
  too_fast: 'banner.tooFast',
  recording_disabled: 'rec.disabled',
  not_active: 'banner.notStarted',
};

/** What the banner says when the server refuses something that was asked of it. */
export function refusal(reason: string): PlainKey {
  return known[reason] ?? 'banner.actionFailed';
}
