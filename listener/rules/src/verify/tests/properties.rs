//! Whatever is changed is refused, and whatever is sent is survived.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn tampering_any_byte_of_the_body_is_refused(body in "\\PC{1,80}", at in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let group = group(GITHUB);
        let mut callback = github(body.as_bytes());
        let mut bytes = callback.body.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        callback.body = bytes.into();
        prop_assert_eq!(refusal(&group, callback).kind, RefusalKind::Signature);
    }

    #[test]
    fn tampering_any_character_of_the_header_is_refused(at in any::<prop::sample::Index>(), new in b' '..=b'~') {
        let group = group(STRIPE);
        let mut callback = stripe(NOW.seconds(), r#"{"id": "1"}"#);
        let before = callback.headers["stripe-signature"].as_bytes().to_vec();
        let mut value = before.clone();
        let at = at.index(value.len());
        // The v0 entry is nobody's signature, and either case is the same hex.
        let v0 = before.windows(2).position(|pair| pair == b"v0").unwrap();
        prop_assume!(!(v0..v0 + 6).contains(&at));
        prop_assume!(!new.eq_ignore_ascii_case(&value[at]));
        value[at] = new;
        callback.headers.insert("stripe-signature", http::HeaderValue::from_bytes(&value).unwrap());
        prop_assert!(group.verify(callback, NOW).is_err());
    }

    #[test]
    fn tampering_the_time_is_refused(off in 1i64..300) {
        let group = group(ZOOM);
        let mut callback = zoom(NOW.seconds(), "{}");
        let other = (NOW.seconds() - off).to_string();
        callback.headers.insert("x-zm-request-timestamp", other.parse().unwrap());
        prop_assert_eq!(refusal(&group, callback).kind, RefusalKind::Signature);
    }

    #[test]
    fn no_request_panics(
        protocol in prop::sample::select(vec![GITHUB, STRIPE, TWILIO, ZOOM, TOKEN, "schemes:\n  - {name: basic, basic: {}}"]),
        method in prop::sample::select(vec!["GET", "POST", "PUT"]),
        query in "\\PC{0,40}",
        names in prop::collection::vec((prop::sample::select(vec![
            "content-type", "x-hub-signature-256", "stripe-signature", "x-twilio-signature", "x-zm-signature",
            "x-zm-request-timestamp", "x-token", "authorization", "content-encoding"]),
            prop::collection::vec(prop::sample::select((0x20u8..0x7f).chain(0x80..=0xff).collect::<Vec<_>>()), 0..40)), 0..8),
        body in prop::collection::vec(any::<u8>(), 0..120),
        now in any::<i64>(),
    ) {
        let mut callback = callback(&[], body);
        callback.method = method.parse().unwrap();
        callback.query = query;
        for (name, value) in names {
            callback.headers.append(name, http::HeaderValue::from_bytes(&value).unwrap());
        }
        prop_assert!(group(protocol).verify(callback, Timestamp(now)).is_err());
    }

    #[test]
    fn no_time_panics(text in "\\PC{0,45}", now in any::<i64>(), unit in 1i32..=3, window in 1i32..=3) {
        let protocol = STRIPE;
        let connector = connector(protocol);
        let mut time = connector.function("").unwrap().protocol.schemes[0].timestamp.clone().unwrap();
        time.unit = hookplane_proto::v1::TimeUnit::try_from(unit).unwrap();
        time.window = hookplane_proto::v1::TimeWindow::try_from(window).unwrap();
        let _ = window::check(&time, &text, Timestamp(now));
    }

    #[test]
    fn unescaping_a_url_panics_on_nothing_and_keeps_what_separates(url in "\\PC{0,60}") {
        let plain = url::unescaped(&url);
        prop_assert_eq!(plain.matches('&').count(), url.matches('&').count());
        prop_assert_eq!(plain.matches('=').count(), url.matches('=').count());
    }
}
