//! A language of our own, drawn from the run's seed, whose entropy is known exactly.

use rand::{Rng, RngExt};

use super::{Alphabet, Corpus, Stream, generator};

/// What a sentence begins with, each as often as any other.
const LETTERS: [char; 16] = [
    'b', 'c', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'q', 'r', 's', 't',
];
/// What runs are made of, and how often each is taken.
const VOWELS: [(char, f64); 4] = [('e', 0.7), ('a', 0.1), ('i', 0.1), ('o', 0.1)];
/// What opens and closes, each kind as often as any other.
const BRACKETS: [(char, char); 4] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>')];
/// The shortest run.
const RUN: usize = 8;
/// How often a run that is long enough ends, at each of its characters.
const ENDS: f64 = 0.5;
/// How many brackets may be open.
const DEPTH: usize = 2;
/// How often what comes after a run opens a bracket rather than closing one, or the sentence, by
/// how many are open.
const OPENS: [f64; DEPTH + 1] = [0.5, 0.3, 0.0];

/// A language whose entropy is known exactly, and in which characters depend on others that stand
/// far behind them.
///
/// Every line is a sentence such as
///
/// ```text
/// neoeieeee{oeeeieai{eeaaoaee}oeieeaaeeeeee}oeeaeoeeN
/// ```
///
/// It begins with one of 16 letters and ends with the capital of that letter. Between them are runs
/// of vowels, at least 8 long, and brackets of four kinds, at most two deep, each closed by its own
/// kind. So a character that is determined by an earlier one stands at least 9 characters behind
/// it, 25 on average: half of them at most 10, a quarter 29 or more. A window of 8 characters never
/// has both.
///
/// The next character depends on the state alone (the letter, the open brackets, the length of the
/// run), and the characters so far determine the state. So the probability of a text is the product
/// of those of its characters, and in the long run nothing predicts it better than the language
/// itself, with its [`entropy_per_character`](Self::entropy_per_character) of 1.60 bits. A model
/// that sees only the last 8 characters needs 1.84 ([`bits_in_context`](Self::bits_in_context)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Language;

impl Language {
    /// All its characters.
    pub fn alphabet(self) -> Alphabet {
        let capitals = LETTERS.map(|letter| letter.to_ascii_uppercase());
        let vowels = VOWELS.map(|(vowel, _)| vowel);
        let brackets = BRACKETS.iter().flat_map(|&(open, close)| [open, close]);
        let all = LETTERS.into_iter().chain(capitals).chain(vowels);
        let all: String = all.chain(brackets).chain(['\n']).collect();
        Alphabet::new(&all).expect("there are few")
    }

    /// The first `characters` characters of a text.
    pub fn generate(self, characters: usize, rng: &mut impl Rng) -> String {
        let mut state = State::Start;
        let draw = |_| {
            let choice = draw(state.choices(), rng);
            state = choice.then;
            choice.character
        };
        (0..characters).map(draw).collect()
    }

    /// Texts to train, to validate and to test with, of these numbers of characters, drawn from a
    /// run's seed. A shorter text is the beginning of a longer one.
    pub fn corpus(self, characters: [usize; 3], seed: u64) -> Corpus {
        let alphabet = self.alphabet();
        let part = |part: usize| {
            let rng = &mut generator(seed, Stream::Text(part as u64));
            let text = self.generate(characters[part], rng);
            let codes = alphabet.encode(&text, "the generated text");
            codes.expect("the language has no other characters")
        };
        Corpus {
            train: part(0),
            valid: part(1),
            test: part(2),
            alphabet,
        }
    }

    /// The entropy, in bits per character: in the long run no model can do better.
    ///
    /// That is the entropy of a sentence by its mean length, since sentences do not depend on each
    /// other.
    pub fn entropy_per_character(self) -> f64 {
        let vowel = entropy(VOWELS.map(|(_, p)| p));
        let kind = (BRACKETS.len() as f64).log2();
        let run = mean_run();
        // As a run goes on, whether it ends; after it, what comes.
        let of_run = |depth: usize| {
            let opens = OPENS[depth];
            run * vowel
                + entropy([ENDS, 1.0 - ENDS]) / ENDS
                + entropy([opens, 1.0 - opens])
                + opens * kind
        };
        let letter = (LETTERS.len() as f64).log2();
        let runs = runs_by_depth();
        let bits = letter + (0..=DEPTH).map(|d| runs[d] * of_run(d)).sum::<f64>();
        bits / mean_sentence()
    }

    /// Bits per character of a text under the probabilities of the language itself: the mean of
    /// `-log2` of the probabilities of its characters. Infinite if it is not a text of
    /// the language, or the beginning of one.
    pub fn bits(self, text: &str) -> f64 {
        let mut known = Belief(vec![(State::Start, 1.0)]);
        mean(text.chars().map(|character| known.observe(character)))
    }

    /// The same if each character is predicted from the last `context` characters alone: the mean
    /// over all characters that have so many before them. Infinite if some are not of the language.
    pub fn bits_in_context(self, text: &str, context: usize) -> f64 {
        let characters: Vec<char> = text.chars().collect();
        let anywhere = Belief::anywhere();
        mean(characters.windows(context + 1).map(|characters| {
            let mut known = anywhere.clone();
            let bits = characters.iter().map(|&character| known.observe(character));
            bits.last().unwrap_or_default()
        }))
    }
}

/// Zero if there are none.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    if count == 0.0 { 0.0 } else { sum / count }
}

/// In bits.
fn entropy<const N: usize>(probabilities: [f64; N]) -> f64 {
    let positive = probabilities.into_iter().filter(|&p| p > 0.0);
    positive.map(|p| -p * p.log2()).sum()
}

/// Characters in a run.
fn mean_run() -> f64 {
    RUN as f64 + (1.0 - ENDS) / ENDS
}

/// Runs in a sentence, by how many brackets are open: one is opened as often as it is closed.
fn runs_by_depth() -> [f64; DEPTH + 1] {
    let mut runs = [1.0 / (1.0 - OPENS[0]); DEPTH + 1];
    for depth in 0..DEPTH {
        runs[depth + 1] = runs[depth] * OPENS[depth] / (1.0 - OPENS[depth + 1]);
    }
    runs
}

/// Characters in a sentence: its letter, its runs with what comes after each, the end of the line.
fn mean_sentence() -> f64 {
    2.0 + runs_by_depth().iter().sum::<f64>() * (mean_run() + 1.0)
}

/// What determines how a text goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a sentence.
    Start,
    /// In a sentence.
    Inside(Inside),
    /// Before the end of a line.
    End,
}

/// A place in a sentence. What was read before anybody looked is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Inside {
    /// Which letter it began with.
    letter: Option<usize>,
    /// How many brackets are open.
    depth: usize,
    /// Their kinds, from the outermost on.
    kinds: [Option<usize>; DEPTH],
    /// The length of the run so far, up to [`RUN`].
    run: usize,
}

/// A way to go on.
#[derive(Debug, Clone, Copy)]
struct Choice {
    character: char,
    probability: f64,
    then: State,
}

impl State {
    /// All ways to go on, each with another character.
    fn choices(self) -> Vec<Choice> {
        match self {
            Self::Start => LETTERS.iter().enumerate().map(begin).collect(),
            Self::Inside(place) => place.choices(),
            Self::End => vec![Choice {
                character: '\n',
                probability: 1.0,
                then: Self::Start,
            }],
        }
    }
}

fn begin((letter, &character): (usize, &char)) -> Choice {
    Choice {
        character,
        probability: 1.0 / LETTERS.len() as f64,
        then: State::Inside(Inside {
            letter: Some(letter),
            depth: 0,
            kinds: [None; DEPTH],
            run: 0,
        }),
    }
}

impl Inside {
    fn choices(self) -> Vec<Choice> {
        if self.run < RUN {
            return self.go_on(1.0).collect();
        }
        let opens = ENDS * OPENS[self.depth];
        let closes = ENDS - opens;
        let mut choices: Vec<Choice> = self.go_on(1.0 - ENDS).collect();
        if self.depth < DEPTH {
            choices.extend(self.open(opens));
        }
        match self.depth {
            0 => choices.extend(self.end(closes)),
            _ => choices.extend(self.close(closes)),
        }
        choices
    }

    /// Vowels.
    fn go_on(self, probability: f64) -> impl Iterator<Item = Choice> {
        let run = (self.run + 1).min(RUN);
        let then = State::Inside(Self { run, ..self });
        VOWELS.iter().map(move |&(character, share)| Choice {
            character,
            probability: probability * share,
            then,
        })
    }

    /// Opening brackets. There must be room for one.
    fn open(self, probability: f64) -> impl Iterator<Item = Choice> {
        either(None, BRACKETS.len()).map(move |(kind, share)| {
            let mut then = self.after_run(self.depth + 1);
            then.kinds[self.depth] = Some(kind);
            Choice {
                character: BRACKETS[kind].0,
                probability: probability * share,
                then: State::Inside(then),
            }
        })
    }

    /// The closing bracket, or all that it may be. There must be an open one.
    fn close(self, probability: f64) -> impl Iterator<Item = Choice> {
        let mut then = self.after_run(self.depth - 1);
        let kind = then.kinds[then.depth].take();
        either(kind, BRACKETS.len()).map(move |(kind, share)| Choice {
            character: BRACKETS[kind].1,
            probability: probability * share,
            then: State::Inside(then),
        })
    }

    /// The capital, or all that it may be.
    fn end(self, probability: f64) -> impl Iterator<Item = Choice> {
        either(self.letter, LETTERS.len()).map(move |(letter, share)| Choice {
            character: LETTERS[letter].to_ascii_uppercase(),
            probability: probability * share,
            then: State::End,
        })
    }

    /// Before a new run with so many open brackets.
    fn after_run(self, depth: usize) -> Self {
        let run = 0;
        Self { depth, run, ..self }
    }
}

/// What is known, for certain, or each of `count` things with its share.
fn either(known: Option<usize>, count: usize) -> impl Iterator<Item = (usize, f64)> {
    let things = known.map_or(0..count, |known| known..known + 1);
    let share = 1.0 / things.len() as f64;
    things.map(move |thing| (thing, share))
}

fn draw(choices: Vec<Choice>, rng: &mut impl Rng) -> Choice {
    let mut rest: f64 = rng.random();
    let chosen = choices.iter().find(|choice| {
        rest -= choice.probability;
        rest < 0.0
    });
    // The probabilities may come to a little less than one.
    *chosen.unwrap_or(&choices[choices.len() - 1])
}

/// In which states a text may be, and how likely each is.
#[derive(Debug, Clone)]
struct Belief(Vec<(State, f64)>);

impl Belief {
    /// What is known of the state at any place, before anything was read: how often each is met
    /// in the long run.
    fn anywhere() -> Self {
        let inside = |depth, run| {
            State::Inside(Inside {
                letter: None,
                depth,
                kinds: [None; DEPTH],
                run,
            })
        };
        let runs = runs_by_depth();
        let mut visits = vec![(State::Start, 1.0), (State::End, 1.0)];
        for (depth, runs) in runs.into_iter().enumerate() {
            visits.extend((0..RUN).map(|run| (inside(depth, run), runs)));
            visits.push((inside(depth, RUN), runs / ENDS));
        }
        for (_, visits) in &mut visits {
            *visits /= mean_sentence();
        }
        Self(visits)
    }

    /// Takes notice of a character: how many bits it was worth.
    fn observe(&mut self, character: char) -> f64 {
        let mut probability = 0.0;
        self.0.retain_mut(|(state, belief)| {
            let choices = state.choices();
            let choice = choices.iter().find(|choice| choice.character == character);
            let Some(choice) = choice else { return false };
            *state = choice.then;
            *belief *= choice.probability;
            probability += *belief;
            true
        });
        for (_, belief) in &mut self.0 {
            *belief /= probability;
        }
        -probability.log2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(characters: usize) -> String {
        Language.generate(characters, &mut generator(1, Stream::Text(0)))
    }

    #[test]
    fn sentences_are_well_nested_and_agree() {
        let text = sample(20_000);
        let whole = &text[..=text.rfind('\n').expect("there are many")];
        let mut deepest = 0;
        for sentence in whole.lines() {
            let mut open = Vec::new();
            for character in sentence.chars() {
                if let Some(&(_, close)) = BRACKETS.iter().find(|(open, _)| *open == character) {
                    open.push(close);
                } else if BRACKETS.iter().any(|&(_, close)| close == character) {
                    assert_eq!(open.pop(), Some(character), "{sentence}");
                }
                deepest = deepest.max(open.len());
            }
            assert!(open.is_empty(), "{sentence}");
            let first = sentence.chars().next().expect("it is not empty");
            assert!(LETTERS.contains(&first), "{sentence}");
            assert!(sentence.ends_with(first.to_ascii_uppercase()), "{sentence}");
            let runs = sentence.split(|character| VOWELS.iter().all(|&(v, _)| v != character));
            let shortest = runs.map(str::len).filter(|&length| length > 0).min();
            assert!(shortest >= Some(RUN), "{sentence}");
        }
        assert_eq!(deepest, DEPTH);
    }

    /// The mean over all states of the entropy of what comes next.
    #[test]
    fn the_entropy_is_that_of_the_states() {
        let Belief(states) = Belief::anywhere();
        let total: f64 = states.iter().map(|(_, share)| share).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
        let known = |state: State| match state {
            State::Inside(place) => State::Inside(Inside {
                letter: Some(3),
                kinds: [Some(1); DEPTH],
                ..place
            }),
            other => other,
        };
        let of = |&(state, share): &(State, f64)| {
            let choices = known(state).choices();
            let total: f64 = choices.iter().map(|choice| choice.probability).sum();
            assert!((total - 1.0).abs() < 1e-12, "{state:?}: {total}");
            let probabilities = choices.iter().map(|choice| choice.probability);
            share * probabilities.map(|p| -p * p.log2()).sum::<f64>()
        };
        let expected: f64 = states.iter().map(of).sum();
        assert!(
            (Language.entropy_per_character() - expected).abs() < 1e-12,
            "{expected}"
        );
    }

    /// One step from the frequencies of the states leads to the same frequencies.
    #[test]
    fn the_frequencies_of_states_are_stationary() {
        let forget = |state: State| match state {
            State::Inside(place) => State::Inside(Inside {
                letter: None,
                kinds: [None; DEPTH],
                ..place
            }),
            other => other,
        };
        let Belief(states) = Belief::anywhere();
        let mut arrived = vec![0.0; states.len()];
        for &(state, share) in &states {
            for choice in state.choices() {
                let then = forget(choice.then);
                let place = states.iter().position(|&(state, _)| state == then);
                arrived[place.expect("all states are there")] += share * choice.probability;
            }
        }
        for ((state, share), arrived) in states.iter().zip(arrived) {
            assert!((share - arrived).abs() < 1e-12, "{state:?}");
        }
    }

    /// The bits of long texts are around the entropy, by as little as chance allows.
    #[test]
    fn texts_take_as_many_bits_as_the_entropy_says() {
        let text = sample(400_000);
        let bits: Vec<f64> = text
            .as_bytes()
            .chunks(4000)
            .scan(Belief(vec![(State::Start, 1.0)]), |known, chunk| {
                let bits = chunk.iter().map(|&byte| known.observe(char::from(byte)));
                Some(mean(bits))
            })
            .collect();
        let (count, mean) = (bits.len() as f64, mean(bits.iter().copied()));
        assert!((mean - Language.bits(&text)).abs() < 1e-9);
        let variance = bits.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let error = (variance / count).sqrt();
        let entropy = Language.entropy_per_character();
        assert!(error < 0.005, "{error}");
        assert!((mean - entropy).abs() < 4.0 * error, "{mean}, {entropy}");
    }

    #[test]
    fn a_short_context_is_not_enough() {
        let text = sample(20_000);
        let best = Language.bits(&text);
        let beyond = |context| Language.bits_in_context(&text, context) - best;
        let [none, eight, sixteen, many] = [0, 8, 16, 64].map(beyond);
        assert!(eight > 0.15, "{eight}");
        let all = [many, sixteen, eight, none];
        assert!(many > 0.0 && all.is_sorted(), "{all:?}");
    }

    #[test]
    fn what_is_not_of_the_language_is_impossible() {
        assert!(Language.bits("beeeeeeee").is_finite());
        for text in ["eeee", "beee(", "beeeeeeeeC", "beeeeeeee(eeeeeeee]", "b?"] {
            assert_eq!(Language.bits(text), f64::INFINITY, "{text}");
        }
        assert_eq!(Language.bits_in_context("ee(eb", 2), f64::INFINITY);
        assert_eq!(Language.bits(""), 0.0);
    }

    #[test]
    fn parts_are_drawn_apart_and_grow_at_their_end() {
        let (small, large) = (
            Language.corpus([300, 200, 100], 5),
            Language.corpus([400, 300, 300], 5),
        );
        assert_eq!(small.train, large.train[..300]);
        assert_eq!(small.test, large.test[..100]);
        assert_ne!(large.train[..300], large.valid);
        assert_ne!(large.valid, large.test);
        assert_ne!(Language.corpus([300, 0, 0], 6).train, small.train);
        let text = small.alphabet.decode(&small.train);
        assert!(Language.bits(&text).is_finite());
    }
}
