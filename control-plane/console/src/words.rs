//! What the API's words are to people: how a delivery stands, what an attempt came to, what a flag of an event means, why a request was refused.

use hookplane_proto::v1::{AttemptOutcome, DeliveryStatus, EventFlag};

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing(pub(crate) DeliveryStatus);

impl Standing {
    /// All there are, in the order in which people look for them.
    pub(crate) const ALL: [Self; 6] = [
        Self(DeliveryStatus::Pending),
        Self(DeliveryStatus::Leased),
        Self(DeliveryStatus::Delivered),
        Self(DeliveryStatus::Held),
        Self(DeliveryStatus::Dead),
        Self(DeliveryStatus::Dropped),
    ];

    /// By the word that an address has; None: any.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == word)
    }

    /// In a word, as addresses and the command line have it.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Leased => "leased",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Held => "held",
            DeliveryStatus::Dead => "dead",
            DeliveryStatus::Dropped => "dropped",
            DeliveryStatus::Unspecified => "unknown",
        }
    }

    /// The badge's colour.
    pub(crate) fn class(self) -> &'static str {
        match self.0 {
            DeliveryStatus::Delivered => "good",
            DeliveryStatus::Dead => "bad",
            DeliveryStatus::Held => "warn",
            _ => "plain",
        }
    }

    /// In a sentence, with what comes next.
    pub(crate) fn meaning(self) -> &'static str {
        match self.0 {
            DeliveryStatus::Pending => "It waits for its first or next attempt.",
            DeliveryStatus::Leased => "It is handed over and not yet settled.",
            DeliveryStatus::Delivered => "It arrived.",
            DeliveryStatus::Held => "It waits for you: mend what the reason says, then replay it.",
            DeliveryStatus::Dead => "Attempts have ended. It can be replayed.",
            DeliveryStatus::Dropped => "Its webhook was deleted, or somebody discarded it.",
            DeliveryStatus::Unspecified => "This console doesn't know the word.",
        }
    }

    /// Whether it can be put back to pending: what is on its way can't.
    pub(crate) fn replays(self) -> bool {
        matches!(
            self.0,
            DeliveryStatus::Delivered
                | DeliveryStatus::Held
                | DeliveryStatus::Dead
                | DeliveryStatus::Dropped
        )
    }
}

/// What an attempt came to: its words, and its badge's colour.
pub(crate) fn outcome(outcome: AttemptOutcome) -> (&'static str, &'static str) {
    match outcome {
        AttemptOutcome::Delivered => ("delivered", "good"),
        AttemptOutcome::Retry => ("to be tried again", "warn"),
        AttemptOutcome::GaveUp => ("given up", "bad"),
        AttemptOutcome::Held => ("held: nothing was sent", "warn"),
        AttemptOutcome::Expired => ("lease ran out", "warn"),
        AttemptOutcome::Unspecified => ("unknown", "plain"),
    }
}

/// A flag of an event: its name, and what it means. None: of no flag.
pub(crate) fn flag(flag: EventFlag) -> Option<(&'static str, &'static str)> {
    Some(match flag {
        EventFlag::Undecodable => (
            "undecodable",
            "The body can't be decoded. Webhooks with a filter or a mapping hold it; the others are given its bytes.",
        ),
        EventFlag::Unsigned => (
            "unsigned",
            "Nothing but the Callback URL shows that it is genuine: the provider signs nothing, and the group takes that.",
        ),
        EventFlag::SuspectedReplay => (
            "suspected replay",
            "The same signed bytes came before under another delivery id, which the signature doesn't cover.",
        ),
        EventFlag::IdReused => (
            "id reused",
            "Its delivery id came before, with another body.",
        ),
        EventFlag::Repeat => (
            "repeat",
            "The same body came before, and the provider names no delivery, so nobody can tell whether it is a resend.",
        ),
        EventFlag::Test => (
            "test",
            "Somebody sent it from here, or with the command, to try the group.",
        ),
        EventFlag::Unmatched => (
            "unmatched",
            "No webhook wanted it. It is kept because the group captures such events.",
        ),
        EventFlag::Unspecified => return None,
    })
}

/// The clause of a refusal, in words. A clause that isn't here is shown as it is.
pub(crate) fn clause(clause: &str) -> &str {
    match clause {
        "signature" => "the signature is missing or wrong",
        "timestamp" => "its time is outside the window",
        "external-id" => "it is of another account",
        "handshake" => "the handshake isn't as it has to be",
        "undecodable" => "the body can't be read, and has to be to tell whether it is genuine",
        "method" => "the method isn't taken",
        "media-type" => "the media type isn't taken",
        "body-too-large" => "the body is too large",
        "headers-too-large" => "the headers are too large",
        "body-timeout" => "the body came too slowly",
        "broken-body" => "the body broke off",
        "unknown-url" => "no group has this URL",
        "disabled" => "the group is disabled",
        "config-stream-lost" => "the listener has lost the control plane",
        "unloadable" => "the group's configuration can't be loaded",
        "clock-off" => "our own clock is off",
        "address-rate" => "too many from one address",
        "group-rate" => "over the group's rate",
        "overload" => "too much at once",
        "not-durable" => "it couldn't be kept safely in time",
        "key-unavailable" => "the provider's public key couldn't be fetched",
        "group-gone" => "the group was deleted",
        "suspected-replay" => "it came before under another delivery id",
        "internal" => "our fault",
        "not-registered" => "the event isn't registered in the group",
        "not-matched" => "no webhook wants it",
        "duplicate" => "it was kept before",
        other => other,
    }
}

/// What to do about a refusal of this clause, where no likely cause was found. Empty: nothing that we know.
pub(crate) fn advice(clause: &str, reason: &str) -> &'static str {
    match clause {
        // As the listener says it of what isn't there.
        "signature" if reason.ends_with(" is missing") => {
            "No signature came: set the secret at the provider, which signs nothing without one."
        }
        "signature" => {
            "Compare the secret here with the one at the provider. If it stays so, `hookplane explain --request` looks into a captured request."
        }
        "timestamp" => "A request that waited on the way, or a clock that is off.",
        "external-id" => {
            "Another account posts to this URL: mend the External Id, or give that account a group of its own."
        }
        "handshake" => {
            "Set the URL up at the provider again, and compare what the connector asks for."
        }
        "method" | "media-type" => "Choose at the provider what the reason names.",
        "body-too-large" => "If it is genuine, give the group a larger limit.",
        "unknown-url" => "The URL was mistyped, or rotated and its time is over.",
        "disabled" => "Enable the group, or take the URL out at the provider.",
        "group-rate" => "Raise the group's rate, or leave it: the provider tries again.",
        "address-rate" => "Somebody floods; genuine ones are tried again.",
        "config-stream-lost" | "unloadable" => "Look at the fleet: a listener is out of touch.",
        "clock-off" => "Set the clock of the listener's machine.",
        "overload" | "not-durable" | "key-unavailable" => {
            "The provider tries again. If it lasts, look at the fleet."
        }
        _ => "",
    }
}

/// So many a second, of a count of one minute. What isn't known isn't nothing.
pub(crate) fn a_second(in_a_minute: Option<u64>) -> String {
    match in_a_minute {
        None => "unknown".to_owned(),
        Some(0) => "0".to_owned(),
        Some(count @ ..6) => format!("{:.2}", count as f64 / 60.0),
        Some(count @ ..600) => format!("{:.1}", count as f64 / 60.0),
        Some(count) => number(count / 60),
    }
}

/// `12,345`: thousands are told apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_standing_is_found_by_its_name_and_what_is_on_its_way_is_not_replayed() {
        for standing in Standing::ALL {
            assert_eq!(Standing::named(standing.name()), Some(standing));
            let on_its_way = matches!(standing.name(), "pending" | "leased");
            assert_eq!(standing.replays(), !on_its_way);
        }
        assert_eq!(Standing::named(""), None);
    }

    #[test]
    fn what_came_without_a_signature_is_not_a_matter_of_comparing_secrets() {
        let unsigned = advice("signature", "header x-hub-signature-256 is missing");
        assert!(unsigned.contains("set the secret at the provider"));
        let wrong = advice("signature", "the signature doesn't match");
        assert!(wrong.contains("Compare the secret"));
    }

    #[test]
    fn thousands_are_told_apart() {
        for (given, shown) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(number(given), shown);
        }
    }
}
