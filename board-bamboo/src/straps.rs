//! The board's straps: `name=value` options of a machine.

use devices_4xx::uart::{Input, Pace};

use crate::Refusal;

/// Locally administered addresses, unlike any vendor's.
const DEFAULT_MACS: [[u8; 6]; 2] =
    [[0x02, 0x44, 0x0E, 0x50, 0x00, 0x00], [0x02, 0x44, 0x0E, 0x50, 0x00, 0x01]];
/// All straps, for messages.
const KNOWN: &str = "mac0, mac1, serial-pace, serial-input";

/// What the straps say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Straps {
    pub(crate) macs: [[u8; 6]; 2],
    pub(crate) pace: Pace,
    pub(crate) input: Input,
}

impl Straps {
    /// Reads straps.
    ///
    /// # Errors
    /// An unknown name or value, with those that are known.
    pub(crate) fn parse(straps: &[(String, String)]) -> Result<Self, Refusal> {
        let mut parsed = Self { macs: DEFAULT_MACS, pace: Pace::Immediate, input: Input::Listening };
        for (name, value) in straps {
            let wrong = |wanted: &str| Refusal(format!("Strap {name}={value}: the value is to be {wanted}"));
            match (name.as_str(), value.as_str()) {
                ("mac0", _) => parsed.macs[0] = mac(value).ok_or_else(|| wrong("like 02:44:0e:50:00:00"))?,
                ("mac1", _) => parsed.macs[1] = mac(value).ok_or_else(|| wrong("like 02:44:0e:50:00:01"))?,
                ("serial-pace", "immediate") => parsed.pace = Pace::Immediate,
                ("serial-pace", "line") => parsed.pace = Pace::Line,
                ("serial-pace", _) => return Err(wrong("immediate or line")),
                ("serial-input", "listening") => parsed.input = Input::Listening,
                ("serial-input", "always") => parsed.input = Input::Always,
                ("serial-input", _) => return Err(wrong("listening or always")),
                _ => return Err(Refusal(format!("Strap {name} is unknown; the Bamboo has {KNOWN}"))),
            }
        }
        Ok(parsed)
    }
}

/// A unicast MAC address in the usual notation.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    (parts.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6]).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: &str) -> Result<Straps, String> {
        Straps::parse(&[(name.into(), value.into())]).map_err(|refusal| refusal.0)
    }

    #[test]
    fn straps_are_read() {
        assert_eq!(parse("mac1", "00:01:02:03:04:ff").unwrap().macs[1], [0, 1, 2, 3, 4, 255]);
        assert_eq!(parse("serial-pace", "line").unwrap().pace, Pace::Line);
        assert_eq!(parse("serial-input", "always").unwrap().input, Input::Always);
    }

    #[test]
    fn wrong_straps_are_named_with_the_way_out() {
        assert_eq!(
            parse("colour", "red").unwrap_err(),
            format!("Strap colour is unknown; the Bamboo has {KNOWN}")
        );
        for mac in [
            "",
            "01:00:00:00:00:00",
            "00:00:00:00:00:00",
            "00:01:02:03:04",
            "00:01:02:03:04:05:06",
            "0:1:2:3:4:5",
        ] {
            assert!(parse("mac0", mac).unwrap_err().contains("02:44:0e:50:00:00"));
        }
        assert!(parse("serial-pace", "fast").is_err() && parse("serial-input", "xon").is_err());
    }
}
