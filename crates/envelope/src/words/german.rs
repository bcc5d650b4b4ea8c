//! The bot's texts in German. `Queued:` and `Alert:` are English in every language, because programs look
//! for these words.

use super::Words;

pub(super) static WORDS: Words = Words {
    language: "de",
    queued: "Queued: {text}",
    reminder_queued: "Queued: {text} (in {time})",
    alert: "Alert: {text}",
    changed: "Die Nachricht oben wurde geändert: {text}",
    resolved: "Das Problem oben ist behoben: {text}",
    subscribed: "Abonniert: Benachrichtigungen zu {tag} kommen ab jetzt hier an. Um das zu beenden, \
        schreiben Sie: unsubscribe {tag}",
    subscriptions_closed: "Nicht erledigt: Die Absender der Benachrichtigungen zu {tag} entscheiden, wer sie \
        bekommt. Bitten Sie die Absender, diese Unterhaltung hinzuzufügen oder Ihnen einen Code zu geben. \
        Wenn Sie einen Code haben, schreiben Sie: subscribe {tag} <Code>",
    code_refused: "Nicht erledigt: Dieser Code gilt hier nicht für {tag}. Vielleicht ist er zu alt. Bitten \
        Sie die Absender der Benachrichtigungen um einen neuen Code.",
    unsubscribed: "Abbestellt: Benachrichtigungen zu {tag} kommen hier nicht mehr an.",
    stopped: "Gestoppt: Ich schicke keine Benachrichtigungen mehr hierher, bis Sie schreiben: start. Ihre \
        eigenen Nachrichten und Erinnerungen kommen weiterhin an.",
    started: "Gestartet: Benachrichtigungen kommen wieder hier an.",
    not_stopped: "Nicht erledigt: Eine Person allein kann die Benachrichtigungen einer Gruppe nicht stoppen. \
        Sie können mich aus der Gruppe entfernen, „unsubscribe“ mit dem Namen eines Abonnements schreiben oder \
        die Absender der Benachrichtigungen fragen.",
    quiet: "Ruhezeit eingestellt: Hier kommen von {from} bis {to} ({zone}) keine Benachrichtigungen von anderen an, \
        außer wichtigen. Alle übrigen kommen danach an. Um das zu beenden, schreiben Sie: quiet off",
    quiet_ended: "Ruhezeit beendet: Benachrichtigungen kommen hier wieder jederzeit an. Wenn eine \
        Benachrichtigung schon wartet, kommt sie erst am Ende der Ruhezeit an, die Sie eingestellt hatten.",
    not_quiet: "Nicht erledigt: Eine Person allein kann für eine Gruppe keine Ruhezeit einstellen. In Ihrer eigenen \
        Unterhaltung mit mir geht das.",
    no_hours: "Nicht erledigt: Ich verstehe diese Uhrzeiten nicht. Bitte schreiben Sie zum Beispiel: quiet \
        22:00-07:00",
    help: "Ich bin ein Bot, der Benachrichtigungen schickt. Wenn Sie mir schreiben, bestätige ich mit \
        „Queued:“, dass ich Ihre Nachricht habe. Dann schicke ich sie Ihnen mit „Alert:“ am Anfang zurück. \
        Diese englischen Befehle haben eine andere Wirkung:\n\
        - remind me in 10 minutes Tee: Ich schicke Ihnen in 10 Minuten „Tee“ (auch: seconds, hours, days, \
        weeks)\n\
        - subscribe orders-42: Benachrichtigungen zu orders-42 kommen hier an\n\
        - unsubscribe orders-42: Benachrichtigungen zu orders-42 kommen hier nicht mehr an\n\
        - stop: Hier kommen keine Benachrichtigungen von anderen an (in einer Gruppe bewirkt stop nichts)\n\
        - quiet 22-7: Benachrichtigungen von anderen warten in dieser Zeit (auch 22:30-6:15; quiet off beendet das)\n\
        - start: Benachrichtigungen kommen wieder hier an\n\
        - webhook: Ich zeige eine Adresse, an die andere Programme Benachrichtigungen schicken können\n\
        - help: Ich zeige diese Liste",
    no_tag: "Nicht erledigt: Der Name eines Abonnements ist ein Wort aus höchstens 64 Buchstaben, Ziffern \
        und diesen Zeichen: - _ . : # @ +",
    too_many_tags: "Nicht erledigt: Diese Unterhaltung hat zu viele Abonnements. Bitte beenden Sie zuerst \
        eines davon: Schreiben Sie „unsubscribe“ und seinen Namen.",
    hook: "Webhook-Adresse dieser Unterhaltung. Alles, was ein Programm dorthin schickt, kommt hier an. \
        Halten Sie die Adresse geheim: Wer sie hat, kann hierher schreiben.\n\n\
        `{address}`\n\n\
        Zum Ausprobieren führen Sie diese Zeile aus:\n\n\
        `{try}`\n\n\
        GitHub und Grafana können signieren, was sie schicken. Der geheime Schlüssel dafür: `{secret}`\n\n\
        Um die Adresse zu ersetzen, schreiben Sie: `webhook new`. Um sie zu löschen, schreiben Sie: `webhook off`",
    hook_sent: "Webhook-Adresse geschickt: Sie finden sie in Ihrer eigenen Unterhaltung mit mir, weil sie \
        geheim ist.",
    hook_ended: "Webhook-Adresse gelöscht: Programme können nicht mehr hierher schreiben. Für eine neue \
        Adresse schreiben Sie: webhook",
    no_hook_address: "Nicht erledigt: Ich kenne die Adresse nicht, unter der Programme mich erreichen. Bitten \
        Sie die Personen, die mich betreiben, in mein Protokoll zu sehen.",
    too_far: "Nicht angenommen: Eine Erinnerung kann höchstens ein Jahr in der Zukunft liegen. Bitte wählen \
        Sie einen früheren Zeitpunkt.",
    not_remembered: "Nicht erledigt: Ich konnte diesen Befehl nicht speichern. Bitte schreiben Sie ihn in \
        einer Minute noch einmal.",
    queue_unavailable: "Nicht angenommen: Ich konnte Ihre Nachricht nicht speichern. Bitte senden Sie sie in \
        einer Minute noch einmal.",
    ledger_unavailable: "Diesmal nicht angenommen: Ich konnte Ihre Nachricht nicht speichern. Vielleicht \
        versucht der Chat-Dienst es von selbst noch einmal. Wenn innerhalb von fünf Minuten keine \
        Benachrichtigung kommt, senden Sie die Nachricht bitte noch einmal.",
    perhaps_queued: "Vielleicht angenommen: Ich kann nicht sagen, ob Ihre Nachricht gespeichert ist. Bitte \
        senden Sie sie nur dann noch einmal, wenn innerhalb von fünf Minuten keine Benachrichtigung kommt.",
    reminder_perhaps_queued: "Vielleicht angenommen: Ich kann nicht sagen, ob Ihre Erinnerung gespeichert \
        ist. Wenn Sie sie noch einmal anfordern, kommt sie vielleicht doppelt.",
    too_long: "Nicht angenommen: Ihre Nachricht ist zu lang. Bitte senden Sie eine kürzere.",
    nothing_to_queue: "Nicht angenommen: Ihre Nachricht enthält keinen Text. Bitte senden Sie mir einen \
        Text.",
    nothing_behind_button: "Nichts passiert: Diese Schaltfläche hat keine Wirkung.",
    acknowledge: "Bestätigen",
    answer_recorded: "Ihre Antwort ist gespeichert: {text}",
    answered_before: "Das wurde schon beantwortet: {text}",
    question_over: "Nicht gespeichert: Diese Frage ist abgeschlossen, Ihre Antwort hat keine Wirkung mehr.",
    question_unknown: "Nicht gespeichert: Diese Schaltfläche gehört zu einer anderen Unterhaltung oder \
        Nachricht.",
    answer_not_recorded: "Nicht gespeichert: Ich konnte Ihre Antwort nicht speichern. Bitte antworten Sie in \
        einer Minute noch einmal.",
    greeting: "Hallo. Ich bin ein Bot, der Benachrichtigungen schickt. Schreiben Sie mir eine Nachricht, und \
        ich schicke sie Ihnen als Benachrichtigung zurück. Schreiben Sie help, um zu sehen, was ich noch \
        kann.",
    // The units are in the dative case, because the preposition `in` precedes `{time}` in `reminder_queued`.
    units: [
        ("Woche", "Wochen"),
        ("Tag", "Tagen"),
        ("Stunde", "Stunden"),
        ("Minute", "Minuten"),
        ("Sekunde", "Sekunden"),
    ],
    no_time: "0 Sekunden",
};
