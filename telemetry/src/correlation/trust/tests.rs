//! Networks and senders.

use super::*;
use proptest::prelude::*;

fn senders(networks: &[&str], mtls: bool) -> Trust {
    Trust::Senders { networks: networks.iter().map(|text| text.parse().unwrap()).collect(), mtls }
}

#[test]
fn addresses_are_read_as_the_proxy_writes_them() {
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(parse_address(text.as_bytes()), expected.map(|address| address.parse().unwrap()), "{text}");
    };
    check("192.0.2.1:4711", Some("192.0.2.1"));
    check("192.0.2.1", Some("192.0.2.1"));
    check("[2001:db8::1]:4711", Some("2001:db8::1"));
    check("[2001:db8::1]", Some("2001:db8::1"));
    check("2001:db8::1", Some("2001:db8::1"));
    check("[fe80::1%eth0]:80", Some("fe80::1"));
    check("::ffff:192.0.2.1", Some("::ffff:192.0.2.1"));
    check("", None);
    check("/run/envoy.sock", None);
    check("localhost:80", None);
    check("192.0.2.1:", None);
    check("192.0.2.1:http", None);
    check("192.0.2.256:80", None);
    check("[192.0.2.1", None);
    check("[::1]80", None);
    check("[::1]:", None);
    check("192.0.2.1:123456", None);
    assert_eq!(parse_address(b"\xff"), None);
    assert_eq!(parse_address(&[b'1'; 60_000]), None);
}

#[test]
fn networks_contain_their_addresses() {
    let check = |network: &str, address: &str, expected: bool| {
        let sender = Sender { address: Some(address.as_bytes()), mtls: false };
        assert_eq!(senders(&[network], false).accepts(&sender), expected, "{address} in {network}");
    };
    check("10.0.0.0/8", "10.255.0.1:80", true);
    check("10.0.0.0/8", "11.0.0.1:80", false);
    check("10.0.0.0/8", "[::ffff:10.1.2.3]:80", true);
    check("::ffff:10.0.0.0/104", "10.1.2.3:80", true);
    check("10.0.0.0/8", "[2001:db8::1]:80", false);
    check("0.0.0.0/0", "203.0.113.9:1", true);
    check("0.0.0.0/0", "[2001:db8::1]:1", false);
    check("::/0", "[2001:db8::1]:1", true);
    check("::/0", "203.0.113.9:1", false);
    check("::1/128", "[::1]:1", true);
    check("::1", "[::1]:1", true);
    check("::1", "[::2]:1", false);
    check("2001:db8::/33", "[2001:db8:7fff::1]:1", true);
    check("2001:db8::/33", "[2001:db8:8000::1]:1", false);
    check("192.0.2.1", "192.0.2.1:5", true);
    check("192.0.2.1", "192.0.2.2:5", false);
    check("192.0.2.1/32", "nonsense", false);
}

#[test]
fn trust_takes_a_network_or_mutual_tls() {
    let here = |address: Option<&'static str>, mtls| Sender { address: address.map(str::as_bytes), mtls };
    let both = senders(&["10.0.0.0/8"], true);
    assert!(both.accepts(&here(Some("10.0.0.1:1"), false)));
    assert!(both.accepts(&here(Some("192.0.2.1:1"), true)));
    assert!(both.accepts(&here(None, true)));
    assert!(!both.accepts(&here(Some("192.0.2.1:1"), false)));
    assert!(!both.accepts(&here(None, false)));
    assert!(!senders(&["10.0.0.0/8"], false).accepts(&here(None, true)));
    assert!(Trust::Any.accepts(&here(None, false)));
    assert!(!Trust::None.accepts(&here(Some("10.0.0.1:1"), true)));
    assert!(both.asks_address() && both.asks_mtls());
    assert!(!senders(&[], true).asks_address());
    assert!(!senders(&["::/0"], false).asks_mtls());
    assert!(!Trust::Any.asks_address() && !Trust::None.asks_mtls());
}

#[test]
fn mistakes_in_a_network_are_named_with_their_cure() {
    let check = |text: &str, expected: &str| assert_eq!(text.parse::<Network>().unwrap_err().to_string(), expected);
    let syntax = |text: &str| {
        check(text, &format!("`{text}` is not an IP network; write it like `10.0.0.0/8` or `2001:db8::/32`"))
    };
    syntax("");
    syntax("localhost");
    syntax("10.0.0/8");
    syntax("10.0.0.0.0/8");
    syntax("[::1]/128");
    check("10.0.0.0/33", "`10.0.0.0/33` has no prefix length that an IPv4 network can have; use 0 to 32");
    check("10.0.0.0/", "`10.0.0.0/` has no prefix length that an IPv4 network can have; use 0 to 32");
    check("10.0.0.0/+8", "`10.0.0.0/+8` has no prefix length that an IPv4 network can have; use 0 to 32");
    check("::/129", "`::/129` has no prefix length that an IPv6 network can have; use 0 to 128");
    check("10.1.2.3/8", "`10.1.2.3/8` has address bits past its prefix; write `10.0.0.0/8`");
    check("2001:db8::1/32", "`2001:db8::1/32` has address bits past its prefix; write `2001:db8::/32`");
}

proptest! {
    #[test]
    fn a_network_reads_back(bits in any::<u128>(), prefix in 0_u8..=128) {
        let network = Network { address: IpAddr::V6(mask_v6(bits, prefix).into()), prefix };
        // Mapped IPv4 addresses are written in their own notation and read as IPv4.
        prop_assume!(network.address.is_ipv6() && network.address.to_canonical().is_ipv6());
        prop_assert_eq!(network.to_string().parse(), Ok(network));
        prop_assert!(network.contains(IpAddr::V6(bits.into())));
    }

    #[test]
    fn membership_is_agreement_on_the_prefix(network in any::<u32>(), address in any::<u32>(), prefix in 0_u8..=32) {
        let parsed: Network = format!("{}/{prefix}", std::net::Ipv4Addr::from(mask_v4(network, prefix))).parse().unwrap();
        let agree = (0..u32::from(prefix)).all(|bit| network >> (31 - bit) & 1 == address >> (31 - bit) & 1);
        prop_assert_eq!(parsed.contains(IpAddr::V4(address.into())), agree);
    }

    #[test]
    fn any_address_text_is_read_without_harm(text in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse_address(&text);
    }
}
