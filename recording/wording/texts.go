package wording

// texts are by language. Whoever changes a word here gives ID a new number: a
// test holds both together.
func texts() map[string]text {
	return map[string]text{
		"en": {
			body: `You are asked whether this consultation may be recorded.

What is recorded: the sound, the picture and any shared screen of everyone in the call. Written messages are not recorded. Recording takes place only while everyone present agrees.

Why: so that what was said and seen can be looked at again for the patient's care, and documented in the patient's record.

Who keeps it: {keeper}. The recording is stored encrypted.

How long: {term}

You are free to choose. Saying no changes nothing about the care: the consultation goes on without being recorded.

If you agree, you can withdraw your consent at any time, during the call with the button for it, or afterwards by telling {keeper}. Recording then stops at once. {after}`,
			bounded:        "for {days}, and then it is deleted. It is kept longer only where the law demands it.",
			unbounded:      "there is no fixed term. It is kept until its deletion is asked for, and longer only where the law demands it.",
			afterBounded:   "What was recorded until then is kept until its term is over, or until you ask for its deletion.",
			afterUnbounded: "What was recorded until then is kept until you ask for its deletion.",
			days:           englishDays,
		},
		"fr": {
			body: `Nous vous demandons si cette consultation peut être enregistrée.

Ce qui est enregistré : le son, l’image et tout écran partagé de toutes les personnes présentes dans l’appel. Les messages écrits ne sont pas enregistrés. L’enregistrement n’a lieu que tant que toutes les personnes présentes sont d’accord.

Pourquoi : pour pouvoir revoir ce qui a été dit et montré, dans l’intérêt des soins du patient, et le consigner dans son dossier.

Qui le conserve : {keeper}. L’enregistrement est conservé sous forme chiffrée.

Combien de temps : {term}

Vous êtes libre de choisir. Un refus ne change rien aux soins : la consultation se poursuit sans être enregistrée.

Si vous acceptez, vous pouvez retirer votre consentement à tout moment, pendant l’appel avec le bouton prévu à cet effet, ou ensuite en le demandant à {keeper}. L’enregistrement s’arrête alors aussitôt. {after}`,
			bounded:        "pendant {days}, après quoi il est supprimé. Il n’est conservé plus longtemps que si la loi l’exige.",
			unbounded:      "sans durée fixée. Il est conservé jusqu’à ce que sa suppression soit demandée, et plus longtemps seulement si la loi l’exige.",
			afterBounded:   "Ce qui a été enregistré jusque-là est conservé jusqu’à la fin de cette durée, ou jusqu’à ce que vous en demandiez la suppression.",
			afterUnbounded: "Ce qui a été enregistré jusque-là est conservé jusqu’à ce que vous en demandiez la suppression.",
			days:           frenchDays,
		},
		"ar": {
			body: `نسألك هل توافق على تسجيل هذه الاستشارة.

ما الذي يُسجَّل: الصوت والصورة وأي شاشة تجري مشاركتها، لجميع الحاضرين في المكالمة. لا تُسجَّل الرسائل المكتوبة. لا يجري التسجيل إلا ما دام جميع الحاضرين موافقين.

لماذا: ليمكن الرجوع إلى ما قيل وما ظهر من أجل رعاية المريض، وتوثيقه في ملفه الطبي.

من يحتفظ به: {keeper}. يُحفظ التسجيل مشفَّرًا.

مدة الاحتفاظ: {term}

لك حرية الاختيار. الرفض لا يغيّر شيئًا في الرعاية: تستمر الاستشارة من دون تسجيل.

إذا وافقت، يمكنك سحب موافقتك في أي وقت، أثناء المكالمة بالزر المخصص لذلك، أو بعدها بإبلاغ {keeper}. عندئذ يتوقف التسجيل فورًا. {after}`,
			bounded:        "لمدة {days}، ثم يُحذف. ولا يُحتفظ به مدة أطول إلا إذا ألزم القانون بذلك.",
			unbounded:      "لا توجد مدة محددة. يُحتفظ به إلى أن يُطلب حذفه، ولا يُحتفظ به بعد ذلك إلا إذا ألزم القانون بذلك.",
			afterBounded:   "أما ما سُجِّل حتى ذلك الحين فيُحتفظ به إلى نهاية مدته، أو إلى أن تطلب حذفه.",
			afterUnbounded: "أما ما سُجِّل حتى ذلك الحين فيُحتفظ به إلى أن تطلب حذفه.",
			days:           arabicDays,
		},
	}
}
