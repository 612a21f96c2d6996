//! Ranges of addresses that the operator allows beside the public internet.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hookplane_rules::is_public;

/// One range: `10.20.0.0/16`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no range of addresses: write it as 10.20.0.0/16");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
        };
        if prefix > bits {
            return Err(wrong());
        }
        let network = Self { base, prefix };
        // A slip in the length would allow more or less than was meant.
        if masked(base, prefix) != base {
            return Err(format!(
                "`{text}` has bits beyond its prefix: is {}/{prefix} meant?",
                masked(base, prefix)
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        self.base.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.base
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// The operator's. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl From<Vec<Network>> for Networks {
    fn from(networks: Vec<Network>) -> Self {
        Self(networks)
    }
}

impl Networks {
    /// This machine itself.
    pub fn loopback() -> Self {
        let loopback = |base: IpAddr, prefix| Network { base, prefix };
        Self(vec![
            loopback(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
            loopback(Ipv6Addr::LOCALHOST.into(), 128),
        ])
    }

    /// True when the operator named no range.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The address to connect to, if it may be. An IPv4 address in IPv6's clothes is what it is.
    pub(super) fn checked(&self, address: IpAddr, tls: bool) -> Result<IpAddr, String> {
        let address = address.to_canonical();
        if self.0.iter().any(|network| network.contains(address)) {
            return Ok(address);
        }
        if !is_public(address) {
            return Err(format!(
                "{address} is not a public address: the operator can allow its range with --allow-destinations"
            ));
        }
        if !tls {
            return Err(format!(
                "http:// goes only to addresses that the operator allowed, and {address} is not one: use https://"
            ));
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(ranges: &[&str]) -> Networks {
        let ranges: Result<Vec<Network>, _> = ranges.iter().map(|r| r.parse()).collect();
        ranges.unwrap().into()
    }

    fn may(networks: &Networks, address: &str, tls: bool) -> bool {
        networks.checked(address.parse().unwrap(), tls).is_ok()
    }

    #[test]
    fn only_public_addresses_are_reached_unless_a_range_is_allowed() {
        let none = Networks::default();
        assert!(may(&none, "8.8.8.8", true));
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            // 6to4, and the one that IPv4 stands in as it is.
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "::7f00:1",
            "::ffff:169.254.169.254",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "224.0.0.1",
        ] {
            assert!(!may(&none, address, true), "{address}");
        }
        let some = networks(&["10.20.0.0/16", "fd12::/16", "::1"]);
        for (address, is) in [
            ("10.20.255.1", true),
            ("10.21.0.0", false),
            ("::ffff:10.20.0.1", true),
            ("fd12:ffff::1", true),
            ("fd13::1", false),
            ("::1", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(may(&some, address, true), is, "{address}");
        }
        assert!(may(&networks(&["0.0.0.0/0"]), "10.0.0.1", false));
        assert!(may(&Networks::loopback(), "127.255.0.1", false));
    }

    #[test]
    fn without_tls_only_what_was_allowed_is_reached() {
        let some = networks(&["10.20.0.0/16"]);
        assert!(may(&some, "10.20.0.1", false));
        assert!(!may(&some, "8.8.8.8", false));
    }

    #[test]
    fn a_range_with_a_slip_is_refused() {
        for wrong in [
            "10.20.0.1/16",
            "10.0.0.0/33",
            "fd00::/129",
            "ten",
            "10.0.0.0/",
            "/8",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        assert_eq!(
            "10.0.0.0/8".parse::<Network>().unwrap().to_string(),
            "10.0.0.0/8"
        );
    }
}
