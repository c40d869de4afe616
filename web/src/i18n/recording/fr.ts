import type { Catalogue } from '../index';
import type { recording as en } from './en';

export const recording: Catalogue<{ one: string; many: string; other: string }, typeof en> = {
  'rec.chip.off': 'Non enregistré',
  'rec.chip.waiting': 'Enregistrement en attente : tous n’ont pas accepté',
  'rec.chip.recording': 'Enregistrement',
  'rec.chip.paused': 'Enregistrement en pause : tous n’ont pas accepté',
  'rec.chip.failed': 'Enregistrement arrêté',
  'rec.chip.waitsFor': 'L’enregistrement attend {names}',
  'rec.chip.pausedFor': 'Enregistrement en pause, attend {names}',
  'rec.chip.yourself': 'votre réponse',
  'rec.chip.open': 'Ouvrir votre choix sur l’enregistrement',
  'rec.chip.close': 'Fermer votre choix sur l’enregistrement',
  'rec.asked': 'On vous demande si cette consultation peut être enregistrée. La question est sur cette page.',
  'rec.title': 'Cette consultation peut-elle être enregistrée ?',
  'rec.titleMine': 'Enregistrement de la consultation',
  'rec.text': 'Ce que signifie l’enregistrement',
  'rec.grant': 'J’accepte',
  'rec.deny': 'Je refuse',
  'rec.later': 'Répondre plus tard',
  'rec.withdraw': 'Retirer mon consentement',
  'rec.youGranted': 'Vous acceptez d’être enregistré. Vous pouvez retirer votre accord à tout moment.',
  'rec.youDeclined':
    'Vous refusez. Rien n’est enregistré et la consultation continue. Vous pouvez changer d’avis.',
  'rec.youWithdrew':
    'Vous avez retiré votre consentement. Plus rien n’est enregistré et la consultation continue. Vous pouvez changer d’avis.',
  'rec.answers': 'Qui a répondu',
  'rec.answer.granted': 'accepte',
  'rec.answer.declined': 'refuse',
  'rec.answer.withdrawn': 'a retiré son accord',
  'rec.answer.none': 'pas encore de réponse',
  'rec.start': 'Enreg.',
  'rec.startLong': 'Démarrer l’enregistrement',
  'rec.stop': 'Arrêter',
  'rec.stopLong': 'Arrêter l’enregistrement',
  'rec.waits': {
    one: 'attend {count} personne',
    many: 'attend {count} de personnes',
    other: 'attend {count} personnes',
  },
  'rec.said.started': 'Cette consultation est enregistrée.',
  'rec.said.resumed': 'L’enregistrement reprend. Cette consultation est enregistrée.',
  'rec.said.paused': 'L’enregistrement est en pause.',
  'rec.said.stopped': 'L’enregistrement est arrêté.',
  'rec.said.withdrawn': 'Vous avez retiré votre consentement. L’enregistrement est arrêté.',
  'rec.said.withdrawnEarly': 'Vous avez retiré votre consentement. Rien n’est enregistré.',
  'rec.said.failed': 'L’enregistrement s’est arrêté car il n’a pas pu être sauvegardé. L’appel continue.',
  'rec.someDeclined': '{name} refuse d’être enregistré. La consultation continue sans enregistrement.',
  'rec.someWithdrew':
    '{name} a retiré son consentement. Plus rien n’est enregistré ; la consultation continue.',
  'rec.startFailed': 'L’enregistrement n’a pas pu démarrer. L’appel continue.',
  'rec.stopFailed':
    'L’enregistrement est arrêté, mais cela n’a pas encore pu être noté. Le serveur réessaie.',
  'rec.grantFailed': 'Votre réponse n’a pas pu être enregistrée. Répondez encore une fois, s’il vous plaît.',
  'rec.withdrawnUnstored':
    'Votre retrait est en vigueur : plus rien n’est enregistré. Le serveur le notera dès que possible.',
  'rec.notArrived':
    'Votre réponse n’est pas encore arrivée au serveur. Elle est renvoyée dès que la connexion revient. D’ici là, vous pouvez couper caméra et micro.',
  'rec.arrived': 'Votre réponse est arrivée au serveur et prend effet.',
  'rec.disabled': 'Cette consultation a été créée sans enregistrement.',
};
