import type { Catalogue, Plural } from '../index';
import type { network as en } from './en';

export const network: Catalogue<Required<Plural>, typeof en> = {
  'quality.label': 'الاتصال: {quality}',
  'quality.excellent': 'ممتاز',
  'quality.good': 'جيد',
  'quality.poor': 'ضعيف',
  'quality.bad': 'ضعيف جدًا',
  'quality.lost': 'مقطوع',
  'quality.unknown': 'قيد القياس',
  'quality.reduced': 'اتصالك بطيء: خُفّضت جودة الصورة حتى يسمع كل منكما الآخر.',
  'quality.slides': 'اتصالك بطيء: ترى صورًا متفرقة حتى يسمع كل منكما الآخر.',
  'quality.soundOnly': 'اتصالك أبطأ من أن ينقل الصورة: الصوت فقط إلى أن يتحسن الاتصال.',
  'quality.breaks': 'اتصالك بطيء جدًا: قد يتقطع الصوت.',
  'quality.up': 'اتصالك ضعيف: قد لا يسمعك الآخرون ويرونك جيدًا. إيقاف الكاميرا يحسّن الصوت.',
  'quality.loss': 'يفقد اتصالك بعض ما يُرسل: قد يتقطع الصوت والصورة للحظات.',
  'quality.delay': 'يصل الصوت عبر اتصالك متأخرًا: امنح الآخر لحظة ليُتم كلامه.',
  'quality.jitter': 'اتصالك غير منتظم: قد يتقطع الصوت والصورة.',
  'call.speaks': 'يتكلم',
  'call.tileSoundOnly': 'الصوت فقط إلى أن يتحسن الاتصال',
  'call.tileStill': 'الصورة متوقفة',
  'call.tileNoPicture': 'لا تصل صورة من هذه الكاميرا',
  'call.tileNoSound': 'لا يصل صوت من هنا',
  'call.tileLost': 'انقطع الاتصال لدى الطرف الآخر',
  'call.micStalled':
    'لا يسمعك أحد: لا يصل شيء من الميكروفون. تحقق من وصله ومفتاحه، أو اختر ميكروفونًا آخر من «الأجهزة».',
  'call.camStalled':
    'لا يراك أحد: لا يصل شيء من الكاميرا. أوقفها ثم شغّلها، أو اختر كاميرا أخرى من «الأجهزة».',
  'call.camNotSent': 'صورتك لا تصل إلى الآخرين: اتصالك أبطأ من أن ينقلها. من المفترض أنهم ما زالوا يسمعونك.',
};
