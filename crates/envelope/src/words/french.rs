//! The bot's texts in French.

use super::Words;

pub(super) static WORDS: Words = Words {
    language: "fr",
    queued: "Queued: {text}",
    reminder_queued: "Queued: {text} (dans {time})",
    alert: "Alert: {text}",
    changed: "Le message ci-dessus a été modifié : {text}",
    resolved: "Le problème ci-dessus est résolu : {text}",
    subscribed: "Abonnement ajouté : les alertes sur {tag} arrivent désormais ici. Pour y mettre fin, \
        écrivez : unsubscribe {tag}",
    subscriptions_closed: "Non effectué : les personnes qui envoient les alertes sur {tag} décident qui les \
        reçoit. Demandez-leur d'ajouter cette conversation ou de vous donner un code. Si vous avez un code, \
        écrivez : subscribe {tag} <code>",
    code_refused: "Non effectué : ce code n'est pas valable ici pour {tag}. Il est peut-être trop ancien. \
        Demandez un nouveau code aux personnes qui envoient les alertes.",
    unsubscribed: "Abonnement terminé : les alertes sur {tag} n'arrivent plus ici.",
    stopped: "Arrêté : je n'envoie plus d'alertes ici jusqu'à ce que vous écriviez : start. Vos propres \
        messages et rappels arrivent toujours.",
    started: "Repris : les alertes arrivent de nouveau ici.",
    not_stopped: "Non effectué : une seule personne ne peut pas arrêter les alertes d'un groupe. Vous pouvez \
        me retirer du groupe, écrire « unsubscribe » et le nom d'un abonnement, ou vous adresser aux personnes \
        qui envoient les alertes.",
    quiet: "Heures calmes activées : de {from} à {to} ({zone}), aucune alerte envoyée par d'autres n'arrive \
        ici, sauf les alertes importantes. Les alertes retenues arrivent ensuite. Pour y mettre fin, \
        écrivez : quiet off",
    quiet_ended: "Heures calmes terminées : les alertes arrivent de nouveau ici à toute heure. Si une \
        alerte attend déjà, elle n'arrive qu'à la fin des heures calmes que vous aviez choisies.",
    not_quiet: "Non effectué : une personne seule ne peut pas choisir les heures calmes d'un groupe. Vous pouvez \
        le faire dans votre propre conversation avec moi.",
    no_hours: "Non effectué : je ne comprends pas ces heures. Écrivez par exemple : quiet 22:00-07:00",
    help: "Je suis un bot qui envoie des alertes. Si vous m'écrivez, je confirme avec « Queued: » que j'ai bien \
        reçu votre message. Ensuite, je vous le renvoie avec « Alert: » au début. Ces commandes en anglais \
        font autre chose :\n\
        - remind me in 10 minutes thé : je vous envoie « thé » dans 10 minutes (aussi : seconds, hours, \
        days, weeks)\n\
        - subscribe orders-42 : les alertes sur orders-42 arrivent ici\n\
        - unsubscribe orders-42 : les alertes sur orders-42 n'arrivent plus ici\n\
        - stop : aucune alerte envoyée par d'autres n'arrive ici (dans un groupe, stop ne fait rien)\n\
        - quiet 22-7 : les alertes envoyées par d'autres attendent pendant ces heures (aussi 22:30-6:15 ; \
        quiet off y met fin)\n\
        - start : les alertes arrivent de nouveau ici\n\
        - webhook : j'affiche une adresse où d'autres programmes peuvent envoyer des alertes\n\
        - help : j'affiche cette liste",
    no_tag: "Non effectué : le nom d'un abonnement est un seul mot d'au plus 64 lettres, chiffres et signes \
        parmi : - _ . : # @ +",
    too_many_tags: "Non effectué : cette conversation a trop d'abonnements. Mettez d'abord fin à l'un \
        d'eux : écrivez « unsubscribe » et son nom.",
    hook: "Adresse de webhook de cette conversation. Tout ce qu'un programme y envoie arrive ici. Gardez-la \
        secrète : quiconque la connaît peut écrire ici.\n\n\
        `{address}`\n\n\
        Pour l'essayer, exécutez :\n\n\
        `{try}`\n\n\
        GitHub et Grafana peuvent signer ce qu'ils envoient. Voici le secret nécessaire : `{secret}`\n\n\
        Pour remplacer l'adresse, écrivez : `webhook new`. Pour la supprimer, écrivez : `webhook off`",
    hook_sent: "Adresse de webhook envoyée : vous la trouvez dans votre propre conversation avec moi, car \
        elle est secrète.",
    hook_ended: "Adresse de webhook supprimée : les programmes ne peuvent plus écrire ici. Pour une nouvelle \
        adresse, écrivez : webhook",
    no_hook_address: "Non effectué : je ne connais pas l'adresse à laquelle les programmes peuvent me \
        joindre. Demandez aux personnes qui m'administrent de consulter mon journal.",
    too_far: "Non accepté : un rappel peut être prévu au plus un an à l'avance. Choisissez un délai plus \
        court.",
    not_remembered: "Non effectué : je n'ai pas pu enregistrer cette commande. Écrivez-la de nouveau dans une \
        minute.",
    queue_unavailable: "Non accepté : je n'ai pas pu enregistrer votre message. Envoyez-le de nouveau dans \
        une minute.",
    ledger_unavailable: "Non accepté cette fois : je n'ai pas pu enregistrer votre message. Le service de \
        messagerie réessaie peut-être de lui-même. Si aucune alerte n'arrive dans les cinq minutes, renvoyez \
        votre message.",
    perhaps_queued: "Peut-être accepté : je ne sais pas si votre message est enregistré. Envoyez-le de \
        nouveau seulement si aucune alerte n'arrive dans les cinq minutes.",
    reminder_perhaps_queued: "Peut-être accepté : je ne sais pas si votre rappel est enregistré. Si vous le \
        demandez de nouveau, il arrivera peut-être en double.",
    too_long: "Non accepté : votre message est trop long. Envoyez un message plus court.",
    nothing_to_queue: "Non accepté : votre message ne contient pas de texte. Envoyez-moi du texte.",
    nothing_behind_button: "Sans effet : ce bouton ne fait rien ici.",
    acknowledge: "Confirmer",
    answer_recorded: "Votre réponse est enregistrée : {text}",
    answered_before: "La question a déjà reçu une réponse : {text}",
    question_over: "Non enregistré : cette question est close, votre réponse n'a plus d'effet.",
    question_unknown: "Non enregistré : ce bouton appartient à une autre conversation ou à un autre message.",
    answer_not_recorded: "Non enregistré : je n'ai pas pu enregistrer votre réponse. Répondez de nouveau \
        dans une minute.",
    greeting: "Bonjour. Je suis un bot qui envoie des alertes. Écrivez-moi un message, et je vous le renvoie \
        sous forme d'alerte. Écrivez help pour voir ce que je sais faire d'autre.",
    units: [
        ("semaine", "semaines"),
        ("jour", "jours"),
        ("heure", "heures"),
        ("minute", "minutes"),
        ("seconde", "secondes"),
    ],
    no_time: "0 seconde",
};
