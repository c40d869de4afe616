import type { Catalogue } from '../index';
import type { network as en } from './en';

export const network: Catalogue<{ one: string; many: string; other: string }, typeof en> = {
  'quality.label': 'Connexion : {quality}',
  'quality.excellent': 'excellente',
  'quality.good': 'bonne',
  'quality.poor': 'faible',
  'quality.bad': 'très faible',
  'quality.lost': 'perdue',
  'quality.unknown': 'mesure en cours',
  'quality.reduced': 'Votre connexion est lente : l’image est réduite pour que vous vous entendiez.',
  'quality.slides':
    'Votre connexion est lente : vous voyez des images une à une, pour que vous vous entendiez.',
  'quality.soundOnly':
    'Votre connexion est trop lente pour l’image : le son seul, jusqu’à ce que la connexion soit meilleure.',
  'quality.breaks': 'Votre connexion est très lente : le son peut être haché.',
  'quality.up':
    'Votre connexion est faible : les autres risquent de mal vous entendre et de mal vous voir. Couper votre caméra aide le son.',
  'quality.loss':
    'Votre connexion perd une partie de ce qui est envoyé : le son et l’image peuvent s’interrompre par moments.',
  'quality.delay': 'Votre connexion répond avec retard : laissez à l’autre un instant pour finir de parler.',
  'quality.jitter': 'Votre connexion est irrégulière : le son et l’image peuvent être saccadés.',
  'call.speaks': 'Parle',
  'call.tileSoundOnly': 'Le son seul, jusqu’à ce que la connexion soit meilleure',
  'call.tileStill': 'L’image est interrompue',
  'call.tileNoPicture': 'Cette caméra n’envoie pas d’image',
  'call.tileNoSound': 'Aucun son ne vient d’ici',
  'call.tileLost': 'La connexion est interrompue de l’autre côté',
  'call.micStalled':
    'Personne ne vous entend : rien ne vient de votre micro. Vérifiez sa prise et son interrupteur, ou choisissez-en un autre sous « Appareils ».',
  'call.camStalled':
    'Personne ne vous voit : rien ne vient de votre caméra. Coupez-la puis remettez-la, ou choisissez-en une autre sous « Appareils ».',
  'call.camNotSent':
    'Votre image n’arrive pas chez les autres : votre connexion est trop lente pour elle. Ils devraient toujours vous entendre.',
};
