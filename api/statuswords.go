package api

import (
	"strconv"
	"strings"
)

// statusWords are the texts of the status page by language.
var statusWords = map[string]map[string]string{
	"en": {
		"title": "Service status", "overall_operational": "Everything works", "overall_degraded": "Some parts are disturbed",
		"overall_outage": "The service is down", "operational": "works", "degraded": "disturbed", "outage": "down",
		"components": "Components", "history": "The last 24 hours", "incidents": "Past disturbances", "none": "None since this server started.",
		"updated": "Checked at", "since": "This server has watched since", "ongoing": "still going on", "from": "from", "to": "to",
		"slots":         "{good} of {all} quarter hours without disturbance",
		"component_api": "API", "component_signalling": "Signalling", "component_media": "Audio and video",
		"component_database": "Database", "component_redis": "Queues and limits", "component_storage": "File storage",
		"home": "ChatMed", "json": "The same as JSON: send “Accept: application/json”.",
	},
	"fr": {
		"title": "État du service", "overall_operational": "Tout fonctionne", "overall_degraded": "Certaines parties sont perturbées",
		"overall_outage": "Le service est en panne", "operational": "fonctionne", "degraded": "perturbé", "outage": "en panne",
		"components": "Composants", "history": "Les dernières 24 heures", "incidents": "Perturbations passées", "none": "Aucune depuis le lancement de ce serveur.",
		"updated": "Vérifié le", "since": "Ce serveur observe depuis le", "ongoing": "toujours en cours", "from": "du", "to": "au",
		"slots":         "{good} quarts d’heure sur {all} sans perturbation",
		"component_api": "API", "component_signalling": "Signalisation", "component_media": "Audio et vidéo",
		"component_database": "Base de données", "component_redis": "Files d’attente et limites", "component_storage": "Stockage de fichiers",
		"home": "ChatMed", "json": "La même chose en JSON : envoyez « Accept: application/json ».",
	},
	"ar": {
		"title": "حالة الخدمة", "overall_operational": "كل شيء يعمل", "overall_degraded": "بعض الأجزاء مضطربة",
		"overall_outage": "الخدمة متوقفة", "operational": "يعمل", "degraded": "مضطرب", "outage": "متوقف",
		"components": "المكوّنات", "history": "آخر 24 ساعة", "incidents": "الاضطرابات السابقة", "none": "لا شيء منذ بدء هذا الخادم.",
		"updated": "وقت الفحص", "since": "يراقب هذا الخادم منذ", "ongoing": "ما زال مستمرًا", "from": "من", "to": "إلى",
		"slots":         "{good} من {all} ربع ساعة دون اضطراب",
		"component_api": "واجهة البرمجة", "component_signalling": "الإشارات", "component_media": "الصوت والصورة",
		"component_database": "قاعدة البيانات", "component_redis": "قوائم الانتظار والحدود", "component_storage": "تخزين الملفات",
		"home": "ChatMed", "json": "المحتوى نفسه بصيغة JSON: أرسل «Accept: application/json».",
	},
}

// summary says the history of a component in one sentence, for those who do
// not see its bars.
func summary(words map[string]string, good, all int) string {
	return strings.NewReplacer("{good}", strconv.Itoa(good), "{all}", strconv.Itoa(all)).Replace(words["slots"])
}
