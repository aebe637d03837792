//! Random numbers: every use has its own stream of the run's seed.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// A use of a run's random numbers. Each use has its own stream, so that one more draw here changes
/// nothing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Initial values of parameters.
    Parameters,
    /// Which examples are drawn.
    Examples,
    /// The order of the examples in one epoch, counted from 0.
    Epoch(u64),
    /// The draws of one episode, counted from 0.
    Episode(u64),
    /// The draws of one span of a stream of digits, counted from 0.
    Digits(u64),
    /// The characters of one part of a generated text, counted from 0.
    Text(u64),
    /// Text sampled from a trained model.
    Sample,
    /// Episodes for measurements, which a network does not learn from.
    Measured,
    /// Which elements one application of dropout sets to zero; applications are counted from 0.
    Dropout(u64),
    /// Which sections learn in one step, counted from 0.
    Updates(u64),
}

/// The generator of a run for one use: a pure function of the run's seed and the stream, so a
/// checkpoint needs no generator state.
pub fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match stream {
        Stream::Parameters => 0,
        Stream::Examples => 1,
        Stream::Epoch(epoch) => 2 + epoch,
        // Neither epochs nor steps are ever so many.
        Stream::Sample => 1 << 60,
        Stream::Measured => (1 << 60) + 1,
        Stream::Episode(episode) => (1 << 62) + episode,
        Stream::Dropout(application) => (3 << 61) + application,
        Stream::Digits(span) => (1 << 61) + span,
        Stream::Text(part) => (1 << 63) + part,
        Stream::Updates(step) => u64::MAX - step,
    });
    rng
}
