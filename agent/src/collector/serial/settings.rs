//! `port:` in the configuration: `port: /dev/ttyUSB0`, or a block with speed and format.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use tokio_serial::{DataBits, Parity, StopBits};

use super::identity::UsbIdentity;

/// Speed and format of a line, as the manual of a kind gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Bits a second.
    pub baud: u32,
    /// `8N1` and the like.
    pub format: Format,
}

/// Speeds that strangers are asked at, the usual one first.
const SPEEDS: [u32; 7] = [9_600, 19_200, 38_400, 57_600, 115_200, 4_800, 2_400];

impl Line {
    /// The usual speeds, 8N1.
    pub(crate) const EIGHT_N_ONE: [Self; SPEEDS.len()] = Self::at_all(Self::eight_n_one(0));
    /// The usual speeds, 7E1.
    pub(crate) const SEVEN_E_ONE: [Self; SPEEDS.len()] = Self::at_all(Self::seven_e_one(0));

    const fn at_all(self) -> [Self; SPEEDS.len()] {
        let mut all = [self; SPEEDS.len()];
        let mut at = 0;
        while at < SPEEDS.len() {
            all[at].baud = SPEEDS[at];
            at += 1;
        }
        all
    }

    /// 8N1 at this speed.
    pub(crate) const fn eight_n_one(baud: u32) -> Self {
        Self {
            baud,
            format: Format { data_bits: DataBits::Eight, parity: Parity::None, stop_bits: StopBits::One },
        }
    }

    /// 7E1 at this speed.
    pub(crate) const fn seven_e_one(baud: u32) -> Self {
        Self {
            baud,
            format: Format { data_bits: DataBits::Seven, parity: Parity::Even, stop_bits: StopBits::One },
        }
    }

    /// 8E1 at this speed.
    pub(crate) const fn eight_e_one(baud: u32) -> Self {
        Self {
            baud,
            format: Format { data_bits: DataBits::Eight, parity: Parity::Even, stop_bits: StopBits::One },
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.baud, self.format)
    }
}

/// Data bits, parity and stop bits, as they are written: `7E1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub data_bits: DataBits,
    pub parity: Parity,
    pub stop_bits: StopBits,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        write!(f, "{}{parity}{}", u8::from(self.data_bits), u8::from(self.stop_bits))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let &[data_bits, parity, stop_bits] = text.as_bytes() else {
            return Err(format!("{text:?} is no format such as 8N1 or 7E1"));
        };
        Ok(Self {
            data_bits: match data_bits {
                b'7' => DataBits::Seven,
                b'8' => DataBits::Eight,
                _ => return Err(format!("{text:?}: 7 or 8 data bits")),
            },
            parity: match parity.to_ascii_uppercase() {
                b'N' => Parity::None,
                b'E' => Parity::Even,
                b'O' => Parity::Odd,
                _ => return Err(format!("{text:?}: parity is N, E or O")),
            },
            stop_bits: match stop_bits {
                b'1' => StopBits::One,
                b'2' => StopBits::Two,
                _ => return Err(format!("{text:?}: 1 or 2 stop bits")),
            },
        })
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Which port, and what of its line differs from what the kind expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortSettings {
    /// Its name.
    pub name: PortName,
    /// Bits a second, if not the kind's.
    pub baud: Option<u32>,
    /// Format, if not the kind's.
    pub format: Option<Format>,
    /// The line DTR while the port is open; resets some devices when it changes.
    pub dtr: Option<bool>,
}

/// How a port is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum PortName {
    /// By a path, which may be a link.
    Path(String),
    /// By what USB says of its adapter.
    Usb(UsbIdentity),
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Usb(usb) => write!(f, "usb {usb}"),
        }
    }
}

impl PortSettings {
    /// A path, and nothing that differs from what a kind expects.
    pub(crate) fn plain(path: &str) -> Self {
        Self { name: PortName::Path(path.to_owned()), baud: None, format: None, dtr: None }
    }

    /// Speed and format, with what the kind expects where nothing else is said.
    pub(crate) fn line(&self, expected: Line) -> Line {
        Line { baud: self.baud.unwrap_or(expected.baud), format: self.format.unwrap_or(expected.format) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    path: Option<String>,
    usb: Option<UsbIdentity>,
    baud: Option<u32>,
    format: Option<Format>,
    dtr: Option<bool>,
}

impl<'de> Deserialize<'de> for PortSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PortSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path such as /dev/ttyUSB0, or a block with path or usb, and baud, format, dtr")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<PortSettings, E> {
                Ok(PortSettings {
                    name: PortName::Path(path.to_owned()),
                    baud: None,
                    format: None,
                    dtr: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PortSettings, A::Error> {
                let Block { path, usb, baud, format, dtr } =
                    Block::deserialize(MapAccessDeserializer::new(map))?;
                let name = match (path, usb) {
                    (Some(path), None) => PortName::Path(path),
                    (None, Some(usb)) => PortName::Usb(usb),
                    _ => return Err(A::Error::custom("a port has either path or usb")),
                };
                Ok(PortSettings { name, baud, format, dtr })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PortSettings, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_port_is_a_path_or_a_block() {
        let plain = parse("/dev/ttyUSB0").unwrap();
        assert_eq!(plain.name, PortName::Path("/dev/ttyUSB0".to_owned()));
        assert_eq!(plain.line(Line::seven_e_one(9_600)), Line::seven_e_one(9_600));
        let block = parse("{ usb: '0403:6001:A50285BI', baud: 19200, format: 8e1 }").unwrap();
        assert_eq!(block.name.to_string(), "usb 0403:6001:A50285BI");
        assert_eq!(block.line(Line::seven_e_one(9_600)), Line::eight_e_one(19_200));
        assert_eq!(Line::eight_e_one(19_200).to_string(), "19200 8E1");
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, why) in [
            ("{ path: a, usb: '0403:6001' }", "either path or usb"),
            ("{ baud: 9600 }", "either path or usb"),
            ("{ path: a, format: 9N1 }", "7 or 8 data bits"),
            ("{ path: a, format: 8X1 }", "parity is N, E or O"),
            ("{ path: a, format: 81 }", "no format such as"),
            ("{ path: a, speed: 9600 }", "unknown field"),
            ("{ usb: 'ftdi' }", "vendor:product"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
