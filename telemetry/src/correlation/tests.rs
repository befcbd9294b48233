//! IDs that are kept and refused, generated ones, and `traceparent`.

use super::traceparent::TraceParent;
use super::*;
use proptest::prelude::*;

fn check(value: &[u8], expected: Result<(), Reason>) {
    let found = CorrelationId::parse(value).map(|id| assert_eq!(id.as_bytes(), value));
    assert_eq!(found, expected, "{}", value.escape_ascii());
}

#[test]
fn ids_in_common_use_are_accepted() {
    for value in [
        &b"12345678"[..],
        b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
        b"4bf92f3577b34da6a3ce929d0e0e4736",
        b"dGhpcyBpcyBhIHRva2Vu+/==",
        b"1-5759e988-bd862e3fe1be46a994272793",
        b"Root=1-67891233-abcdef012345678912345678",
        b"projects/p/traces/t:span@host",
        b"a.b_c~d-e",
        b"00000000",
        &[b'x'; 128],
    ] {
        check(value, Ok(()));
    }
}

#[test]
fn hostile_ids_are_refused_with_the_reason() {
    check(b"", Err(Reason::Empty));
    check(b"1234567", Err(Reason::TooShort));
    check(b"\xff", Err(Reason::TooShort));
    check(&[b'x'; 129], Err(Reason::TooLong));
    check(&[b'x'; 65_536], Err(Reason::TooLong));
    check(&[0xff; 65_536], Err(Reason::TooLong));
    check(b",", Err(Reason::Comma));
    check(b"12345678,12345678", Err(Reason::Comma));
    check(b"12345678, ", Err(Reason::Comma));
    check(&[[b'x'; 128].as_slice(), b",", &[b'y'; 128]].concat(), Err(Reason::Comma));
    check(&[[b'x'; 129].as_slice(), b",", &[b'y'; 128]].concat(), Err(Reason::TooLong));
    for byte in 0..=u8::MAX {
        let allowed = byte.is_ascii_alphanumeric() || b"._~+/=:@-".contains(&byte);
        let expected = match byte {
            b',' => Err(Reason::Comma),
            _ if allowed => Ok(()),
            _ => Err(Reason::Charset),
        };
        check(&[b"1234567", [byte].as_slice(), b"8"].concat(), expected);
    }
    for value in [
        "12345678\r\nset-cookie: a=b",
        "12345678\0",
        "12345678 9",
        "<script>alert(1)</script>",
        "${jndi:ldap://x}",
        "\"12345678\"",
        "'; drop table",
        "%0d%0a%0d%0a",
        "=cmd|' /C calc'!A0",
        "caf\u{e9}caf\u{e9}",
    ] {
        check(value.as_bytes(), Err(Reason::Charset));
    }
}

/// The ID that a stream gets, empty for none, and what became of the one that came.
fn decided(policy: &Policy, header: Header<'_>, sender: &Sender<'_>) -> (String, Outcome) {
    let outcome = judge(policy, header, sender);
    let id = match (outcome, header) {
        (Outcome::Kept, Header::One(value)) => CorrelationId::parse(value).ok(),
        _ => policy.generator.make(None, [0xa5; 16], 1_700_000_000_123),
    };
    (id.map_or_else(String::new, |id| id.to_string()), outcome)
}

#[test]
fn every_request_has_exactly_one_outcome() {
    let made = "018bcfe5-687b-75a5-a5a5-a5a5a5a5a5a5".to_owned();
    let anyone = Policy::default();
    let nobody = Policy { trust: Trust::None, ..Policy::default() };
    let sender = Sender::default();
    let good = Header::One(b"abcdefgh");
    assert_eq!(decided(&anyone, good, &sender), ("abcdefgh".into(), Outcome::Kept));
    assert_eq!(decided(&nobody, good, &sender), (made.clone(), Outcome::Refused(Reason::Untrusted)));
    for policy in [&anyone, &nobody] {
        assert_eq!(decided(policy, Header::None, &sender), (made.clone(), Outcome::Missing));
        assert_eq!(decided(policy, Header::Many, &sender), (made.clone(), Outcome::Refused(Reason::Duplicate)));
        assert_eq!(decided(policy, Header::One(b""), &sender), (made.clone(), Outcome::Refused(Reason::Empty)));
        assert_eq!(
            decided(policy, Header::One(b"abc defgh"), &sender),
            (made.clone(), Outcome::Refused(Reason::Charset))
        );
    }
}

#[test]
fn an_id_that_the_proxy_makes_is_only_looked_at() {
    let policy = Policy { generator: Generator::Proxy, ..Policy::default() };
    let look = |header| decided(&policy, header, &Sender::default());
    assert_eq!(look(Header::One(b"abcdefgh")), ("abcdefgh".into(), Outcome::Kept));
    assert_eq!(look(Header::None), (String::new(), Outcome::Absent));
    assert_eq!(look(Header::Many), (String::new(), Outcome::Refused(Reason::Duplicate)));
    assert_eq!(look(Header::One(b"abc defgh")), (String::new(), Outcome::Refused(Reason::Charset)));
}

#[test]
fn a_new_id_is_made_as_configured() {
    let trace = TraceParent::parse(Header::One(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    let made = |generator: Generator, trace: Option<&TraceParent>| {
        generator.make(trace, [0xff; 16], 0).map(|id| id.to_string())
    };
    let v7 = Some("00000000-0000-7fff-bfff-ffffffffffff".to_owned());
    assert_eq!(made(Generator::UuidV7, trace.as_ref()), v7);
    assert_eq!(made(Generator::UuidV4, trace.as_ref()).as_deref(), Some("ffffffff-ffff-4fff-bfff-ffffffffffff"));
    assert_eq!(made(Generator::TraceId, trace.as_ref()).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(made(Generator::TraceId, None), v7);
    assert_eq!(made(Generator::Proxy, trace.as_ref()), None);
}

#[test]
fn traceparent_by_the_full_rules() {
    let valid = |text: &str| TraceParent::parse(Header::One(text.as_bytes())).is_some();
    for text in [
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-12345678901234567890123456789012-1234567890123456-00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "fe-00000000000000000000000000000001-0000000000000001-00",
    ] {
        assert!(valid(text), "{text}");
    }
    for text in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-010",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
        "0A-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473.-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47-36-00f067aa0ba902b7-1",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "..-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert!(!valid(text), "{text}");
    }
    assert!(TraceParent::parse(Header::None).is_none());
    assert!(TraceParent::parse(Header::Many).is_none());
    assert!(TraceParent::parse(Header::One(&[0xff; 55])).is_none());
}

#[test]
fn the_sampled_flag_is_the_lowest_bit() {
    for flags in 0..=u8::MAX {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags:02x}");
        let trace = TraceParent::parse(Header::One(text.as_bytes())).unwrap();
        assert_eq!(trace.sampled(), flags & 1 == 1, "{text}");
        assert_eq!((trace.version(), trace.parent_id()), (&b"00"[..], &b"00f067aa0ba902b7"[..]));
    }
}

proptest! {
    #[test]
    fn a_parsed_id_parses_to_itself(value in prop::collection::vec(any::<u8>(), 0..140)) {
        if let Ok(id) = CorrelationId::parse(&value) {
            prop_assert_eq!(CorrelationId::parse(id.as_bytes()), Ok(id.clone()));
            prop_assert_eq!(id.as_str().as_bytes(), &*value);
        }
    }

    #[test]
    fn a_generated_id_would_be_kept(seed in any::<[u8; 16]>(), unix_ms in any::<u64>()) {
        for id in [CorrelationId::uuid_v7(seed, unix_ms), CorrelationId::uuid_v4(seed), CorrelationId::from_trace_id(&TraceParent::start(seed))] {
            prop_assert_eq!(CorrelationId::parse(id.as_bytes()), Ok(id.clone()));
        }
    }

    #[test]
    fn uuids_have_their_version_variant_and_time(seed in any::<[u8; 16]>(), unix_ms in 0_u64..1 << 48) {
        for (id, version) in [(CorrelationId::uuid_v7(seed, unix_ms), b'7'), (CorrelationId::uuid_v4(seed), b'4')] {
            let text = id.as_bytes();
            prop_assert_eq!(text.len(), 36);
            prop_assert_eq!(text[14], version);
            prop_assert!(matches!(text[19], b'8' | b'9' | b'a' | b'b'));
        }
        let text = CorrelationId::uuid_v7(seed, unix_ms).as_str().replace('-', "");
        prop_assert_eq!(u64::from_str_radix(text.get(..12).unwrap(), 16).unwrap(), unix_ms);
    }

    #[test]
    fn a_started_trace_is_valid_and_not_sampled(seed in any::<[u8; 16]>()) {
        let trace = TraceParent::start(seed);
        prop_assert_eq!(TraceParent::parse(Header::One(trace.as_bytes())), Some(trace));
        prop_assert!(!trace.sampled());
    }

    #[test]
    fn any_bytes_are_decided_about(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let (id, _) = decided(&Policy::default(), Header::One(&value), &Sender::default());
        prop_assert!((8..=128).contains(&id.len()));
        let _ = TraceParent::parse(Header::One(&value));
    }
}

#[test]
fn an_all_zero_seed_still_starts_a_valid_trace() {
    let trace = TraceParent::start([0; 16]);
    assert_eq!(TraceParent::parse(Header::One(trace.as_bytes())), Some(trace));
}
