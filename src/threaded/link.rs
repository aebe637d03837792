//! A link between two places, as workers see it: what is sent arrives later.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A network link between two workers: a delay, the time that the bytes take at its bandwidth, and
/// random jitter. Each direction has the full bandwidth.
///
/// As text `DELAY[,BANDWIDTH][,JITTER]`: `150ms`, `20ms,1Gbit`, `150ms,100Mbit,10ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link {
    delay: Duration,
    /// Bits a second; none for no limit.
    bandwidth: Option<f64>,
    jitter: Duration,
}

impl Link {
    /// The longest delay and jitter.
    pub const LONGEST: Duration = Duration::from_secs(60);

    /// A link with this one-way delay.
    ///
    /// # Errors
    ///
    /// If it is longer than [`LONGEST`](Self::LONGEST).
    pub fn new(delay: Duration) -> Result<Self> {
        check_time("delay", delay)?;
        Ok(Self {
            delay,
            bandwidth: None,
            jitter: Duration::ZERO,
        })
    }

    /// Limits the bandwidth, in bits per second. Default: no limit.
    ///
    /// # Errors
    ///
    /// If it is not a number of at least 1.
    pub fn with_bandwidth(mut self, bits_per_second: f64) -> Result<Self> {
        if !(bits_per_second >= 1.0 && bits_per_second.is_finite()) {
            return Err(Error::Invalid(format!(
                "a link must let at least 1 bit through in a second, not {bits_per_second}"
            )));
        }
        self.bandwidth = Some(bits_per_second);
        Ok(self)
    }

    /// Adds a random delay of up to `jitter`; what was sent first still arrives first. Default:
    /// none.
    ///
    /// # Errors
    ///
    /// If it is longer than [`LONGEST`](Self::LONGEST).
    pub fn with_jitter(mut self, jitter: Duration) -> Result<Self> {
        check_time("jitter", jitter)?;
        self.jitter = jitter;
        Ok(self)
    }

    /// The one-way delay.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Bits per second, if they are limited.
    pub fn bandwidth(&self) -> Option<f64> {
        self.bandwidth
    }

    /// The longest random delay.
    pub fn jitter(&self) -> Duration {
        self.jitter
    }

    /// The time that so many bytes take at the bandwidth.
    pub fn transfer(&self, bytes: usize) -> Duration {
        let seconds = self.bandwidth.map_or(0.0, |bits| 8.0 * bytes as f64 / bits);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// The longest time from sending so many bytes to their arrival, on an otherwise idle link.
    pub fn one_way(&self, bytes: usize) -> Duration {
        let late = self.delay + self.jitter;
        late.saturating_add(self.transfer(bytes))
    }

    /// The queue ([`Threaded::with_queue`](super::Threaded::with_queue)) with which a worker that
    /// takes a step in the time `step` never waits: the messages that are sent while one of so many
    /// bytes, and an answer as large, go both ways, and one for each of the two workers to work on.
    pub fn queue(&self, step: Duration, bytes: usize) -> usize {
        /// More would not fit into any memory.
        const MOST: f64 = 1e4;
        let round_trip = self.one_way(bytes).saturating_mul(2).as_secs_f64();
        // What takes longer to send than to compute comes at the pace of the link.
        let step = step.max(self.transfer(bytes)).as_secs_f64();
        let under_way = (round_trip / step.max(f64::MIN_POSITIVE)).min(MOST);
        under_way.ceil() as usize + 2
    }
}

fn check_time(what: &str, time: Duration) -> Result<()> {
    match time > Link::LONGEST {
        true => Err(Error::Invalid(format!(
            "the {what} of a link must not be longer than {} s",
            Link::LONGEST.as_secs()
        ))),
        false => Ok(()),
    }
}

/// Units with their size, the smallest first.
type Units = [(&'static str, f64)];

/// In nanoseconds.
const TIMES: &Units = &[("us", 1e3), ("ms", 1e6), ("s", 1e9)];

/// In bits a second.
const BANDWIDTHS: &Units = &[("bit", 1.0), ("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9)];

/// A number with one of these units; none if it is not written so.
fn read(text: &str, units: &Units) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    let number: f64 = digits.parse().ok()?;
    (number >= 0.0 && number.is_finite()).then_some(number * size)
}

fn read_time(text: &str) -> Option<Duration> {
    Some(Duration::from_nanos(read(text, TIMES)?.round() as u64))
}

/// A number in the largest of these units of which there is one.
fn write(f: &mut fmt::Formatter<'_>, number: f64, units: &Units) -> fmt::Result {
    let fitting = units.iter().rev().find(|(_, size)| number >= *size);
    let (unit, size) = fitting.unwrap_or(&units[0]);
    write!(f, "{}{unit}", number / size)
}

fn write_time(f: &mut fmt::Formatter<'_>, time: Duration) -> fmt::Result {
    write(f, time.as_nanos() as f64, TIMES)
}

impl FromStr for Link {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::Invalid(format!(
                "'{text}' is not a link; write its one-way delay, then its bandwidth and its \
                 jitter if there are any, as in 150ms or 150ms,100Mbit or 150ms,100Mbit,10ms \
                 (times in us, ms or s, bandwidths in kbit, Mbit or Gbit a second)"
            ))
        };
        let mut parts = text.split(',').peekable();
        let delay = parts.next().and_then(read_time);
        let mut link = Self::new(delay.ok_or_else(invalid)?)?;
        if let Some(bandwidth) = parts.peek().and_then(|part| read(part, BANDWIDTHS)) {
            parts.next();
            link = link.with_bandwidth(bandwidth)?;
        }
        if let Some(jitter) = parts.next() {
            link = link.with_jitter(read_time(jitter).ok_or_else(invalid)?)?;
        }
        match parts.next() {
            Some(_) => Err(invalid()),
            None => Ok(link),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_time(f, self.delay)?;
        if let Some(bandwidth) = self.bandwidth {
            f.write_str(",")?;
            write(f, bandwidth, BANDWIDTHS)?;
        }
        if self.jitter > Duration::ZERO {
            f.write_str(",")?;
            write_time(f, self.jitter)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Link {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(text: &str) -> Link {
        text.parse().expect(text)
    }

    #[test]
    fn links_read_as_they_are_written() {
        for text in [
            "0us",
            "150ms",
            "2.5ms,100Mbit",
            "1s,1.5Gbit,20ms",
            "20ms,3ms",
            "7us,56kbit",
        ] {
            assert_eq!(link(text).to_string(), text);
        }
        assert_eq!(link("1500us,0.5Mbit").to_string(), "1.5ms,500kbit");
        for wrong in [
            "",
            "150",
            "ms",
            "-1ms",
            "1h",
            "NaNms",
            "infs",
            "61s",
            "1ms,",
            "1ms,0bit",
            "1ms,1,1",
            "1ms,1ms,1Mbit",
            "1ms,1Mbit,1ms,1ms",
            "1ms,1Mbit,61s",
            "1ms,1e400bit",
        ] {
            assert!(wrong.parse::<Link>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_is_built_as_it_is_read() {
        let ms = Duration::from_millis;
        let built = Link::new(ms(150)).and_then(|link| link.with_bandwidth(1e8));
        let built = built.and_then(|link| link.with_jitter(ms(10)));
        let built = built.expect("nothing is too much");
        assert_eq!(built, link("150ms,100Mbit,10ms"));
        let parts = (built.delay(), built.bandwidth(), built.jitter());
        assert_eq!(parts, (ms(150), Some(1e8), ms(10)));
        let longer = Link::LONGEST + ms(1);
        for wrong in [
            Link::new(longer),
            built.with_jitter(longer),
            built.with_bandwidth(0.5),
            built.with_bandwidth(f64::INFINITY),
        ] {
            assert!(wrong.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn bytes_take_their_time() {
        let ms = Duration::from_millis;
        assert_eq!(link("5ms").transfer(1 << 20), ms(0));
        assert_eq!(link("5ms,8Mbit").transfer(2_000), ms(2));
        assert_eq!(link("5ms,8Mbit,3ms").one_way(2_000), ms(10));
    }

    #[test]
    fn a_queue_covers_the_round_trip() {
        let ms = Duration::from_millis;
        assert_eq!(link("0ms").queue(ms(10), 1_000), 2);
        assert_eq!(link("150ms").queue(ms(30), 1_000), 12);
        // 10 ms go by until the message is out, and 10 for the answer.
        assert_eq!(link("150ms,8Mbit").queue(ms(32), 10_000), 12);
        // The link is the slowest: 320 ms at 20 a message.
        assert_eq!(link("140ms,8Mbit").queue(ms(1), 20_000), 18);
        assert!(link("60s").queue(Duration::ZERO, 0) < 20_000);
    }
}
