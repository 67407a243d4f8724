//! Which addresses are public, and what the others are. A table of ranges, checked for IPv4 inside IPv6 too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Reachable by anybody on the internet.
    Public,
    /// Forbidden unless a grant names a range that holds it; the text says what it is.
    Special(&'static str),
    /// Hands out a machine's credentials: only a grant of exactly this address opens it.
    Metadata,
    /// Never connected to, whatever is granted.
    Never(&'static str),
}

/// Says what an address is. IPv4 that hides in IPv6 is never better than the IPv4 address itself.
pub fn classify(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64, 6to4 or Teredo address.
pub fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let last = Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    match s {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(last),
        [0, 0, 0, 0, 0, 0, a, b] if (a, b) != (0, 0) && (a, b) != (0, 1) => Some(last),
        [0x2002, a, b, ..] => Some(Ipv4Addr::from((u32::from(a) << 16) | u32::from(b))),
        [0x2001, 0, ..] => Some(Ipv4Addr::from(!u32::from(last))),
        _ => None,
    }
}

fn classify_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        (169, 254, 169, 254) | (169, 254, 170, 2) | (100, 100, 100, 200) => Class::Metadata,
        (255, 255, 255, 255) => Class::Never("broadcast"),
        (0, ..) => Class::Never("unspecified"),
        (224..=239, ..) => Class::Never("multicast"),
        (240..=255, ..) => Class::Special("reserved"),
        (127, ..) => Class::Special("loopback"),
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => Class::Special("private"),
        (100, 64..=127, ..) => Class::Special("shared (carrier-grade NAT)"),
        (169, 254, ..) => Class::Special("link-local"),
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) => Class::Special("documentation"),
        (198, 18..=19, ..) => Class::Special("benchmarking"),
        (192, 0, 0, _) | (192, 88, 99, _) => Class::Special("protocol assignment"),
        _ => Class::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> Class {
    if address.is_unspecified() {
        return Class::Never("unspecified");
    }
    if let Some(v4) = embedded_v4(address) {
        return classify_embedded(address, v4);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Special("loopback"),
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            Class::Metadata
        }
        [0xff00..=0xffff, ..] => Class::Never("multicast"),
        [0xfe80..=0xfebf, ..] => Class::Special("link-local"),
        [0xfec0..=0xfeff, ..] => Class::Special("site-local"),
        [0xfc00..=0xfdff, ..] => Class::Special("private"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Class::Special("documentation"),
        [0x2001, 2, 0, ..] => Class::Special("benchmarking"),
        [0x2001, 0..=0x01ff, ..] => Class::Special("protocol assignment"),
        [0x64, 0xff9b, ..] => Class::Special("local translation"),
        // Everything the registry has given out as global unicast; the rest is reserved.
        [0x2000..=0x3fff, ..] => Class::Public,
        _ => Class::Special("reserved"),
    }
}

/// NAT64 to a public address is how an IPv6-only machine reaches IPv4; every other disguise is refused.
fn classify_embedded(address: Ipv6Addr, v4: Ipv4Addr) -> Class {
    match classify_v4(v4) {
        Class::Public if address.segments()[0] == 0x64 => Class::Public,
        Class::Public => Class::Special("ipv4 inside ipv6"),
        class @ (Class::Special(_) | Class::Metadata | Class::Never(_)) => class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_its_class_at_both_ends() {
        let table = [
            ("0.0.0.0", Class::Never("unspecified")),
            ("0.255.255.255", Class::Never("unspecified")),
            ("10.0.0.0", Class::Special("private")),
            ("10.255.255.255", Class::Special("private")),
            ("100.64.0.0", Class::Special("shared (carrier-grade NAT)")),
            ("100.127.255.255", Class::Special("shared (carrier-grade NAT)")),
            ("100.63.255.255", Class::Public),
            ("100.128.0.0", Class::Public),
            ("100.100.100.200", Class::Metadata),
            ("127.0.0.1", Class::Special("loopback")),
            ("127.255.255.255", Class::Special("loopback")),
            ("169.254.0.1", Class::Special("link-local")),
            ("169.254.169.254", Class::Metadata),
            ("169.254.170.2", Class::Metadata),
            ("172.15.255.255", Class::Public),
            ("172.16.0.0", Class::Special("private")),
            ("172.31.255.255", Class::Special("private")),
            ("172.32.0.0", Class::Public),
            ("192.0.0.8", Class::Special("protocol assignment")),
            ("192.0.2.1", Class::Special("documentation")),
            ("192.88.99.1", Class::Special("protocol assignment")),
            ("192.168.0.0", Class::Special("private")),
            ("192.168.255.255", Class::Special("private")),
            ("198.17.255.255", Class::Public),
            ("198.18.0.0", Class::Special("benchmarking")),
            ("198.19.255.255", Class::Special("benchmarking")),
            ("198.20.0.0", Class::Public),
            ("198.51.100.7", Class::Special("documentation")),
            ("203.0.113.7", Class::Special("documentation")),
            ("223.255.255.255", Class::Public),
            ("224.0.0.1", Class::Never("multicast")),
            ("239.255.255.255", Class::Never("multicast")),
            ("240.0.0.1", Class::Special("reserved")),
            ("255.255.255.255", Class::Never("broadcast")),
            ("8.8.8.8", Class::Public),
            ("::", Class::Never("unspecified")),
            ("::1", Class::Special("loopback")),
            ("::127.0.0.1", Class::Special("loopback")),
            ("::8.8.8.8", Class::Special("ipv4 inside ipv6")),
            ("::ffff:169.254.169.254", Class::Metadata),
            ("::ffff:10.0.0.1", Class::Special("private")),
            ("::ffff:8.8.8.8", Class::Special("ipv4 inside ipv6")),
            ("::ffff:0.0.0.0", Class::Never("unspecified")),
            ("64:ff9b::a9fe:a9fe", Class::Metadata),
            ("64:ff9b::7f00:1", Class::Special("loopback")),
            ("64:ff9b::808:808", Class::Public),
            ("64:ff9b:1::808:808", Class::Special("local translation")),
            ("2002:7f00:1::", Class::Special("loopback")),
            ("2002:808:808::1", Class::Special("ipv4 inside ipv6")),
            ("2001:0:808:808:0:0:80ff:fffe", Class::Special("loopback")),
            ("2001:0::f7f7:f7f7", Class::Special("ipv4 inside ipv6")),
            ("2001:db8::1", Class::Special("documentation")),
            ("3fff::1", Class::Special("documentation")),
            ("2001:2::1", Class::Special("benchmarking")),
            ("2001:10::1", Class::Special("protocol assignment")),
            ("fc00::1", Class::Special("private")),
            ("fdff::1", Class::Special("private")),
            ("fd00:ec2::254", Class::Metadata),
            ("fd20:ce::254", Class::Metadata),
            ("fe80::1", Class::Special("link-local")),
            ("febf::1", Class::Special("link-local")),
            ("fec0::1", Class::Special("site-local")),
            ("ff02::1", Class::Never("multicast")),
            ("100::1", Class::Special("reserved")),
            ("5f00::1", Class::Special("reserved")),
            ("2606:4700:4700::1111", Class::Public),
        ];
        for (text, expected) in table {
            let address: IpAddr = text.parse().expect("the table holds addresses");
            assert_eq!(classify(address), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_disguised_address_is_never_better_than_the_plain_one(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = ((a << 8) | b, (c << 8) | d);
            if classify_v4(v4) != Class::Public {
                for v6 in [
                    Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
                    Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                    Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 0),
                    Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, !high, !low),
                ] {
                    proptest::prop_assert_ne!(classify_v6(v6), Class::Public);
                }
            }
        }
    }
}
