//! Texts, character by character: what they are made of, and their three parts.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;

use super::Fingerprint;
use super::idx::GZIP;
use crate::error::{Error, Result};

/// The characters of a text, each with a code: its position among them in the order of Unicode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alphabet {
    characters: Vec<char>,
}

impl Alphabet {
    /// The most characters that have a code.
    const MOST: usize = 1 << 16;

    /// The characters that occur in a text.
    ///
    /// # Errors
    ///
    /// If there are more than 65,536 different ones.
    pub fn new(text: &str) -> Result<Self> {
        let characters: BTreeSet<char> = text.chars().collect();
        if characters.len() > Self::MOST {
            return Err(Error::Invalid(format!(
                "the text has {} different characters; choose one that has at most {}",
                characters.len(),
                Self::MOST
            )));
        }
        Ok(Self {
            characters: characters.into_iter().collect(),
        })
    }

    /// The number of characters.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// The character of a code.
    ///
    /// # Panics
    ///
    /// If no character has it.
    pub fn character(&self, code: u16) -> char {
        self.characters[usize::from(code)]
    }

    /// The codes of a text; `what` names the text in the error.
    ///
    /// # Errors
    ///
    /// If the text has a character that is not among these.
    pub fn encode(&self, text: &str, what: &str) -> Result<Vec<u16>> {
        let mut codes = Vec::with_capacity(text.len());
        for (place, character) in text.char_indices() {
            let code = self.characters.binary_search(&character);
            let code = code.map_err(|_| self.lacks(character, &text[..place], what))?;
            // There are at most 2^16.
            codes.push(code as u16);
        }
        Ok(codes)
    }

    /// The text of some codes.
    ///
    /// # Panics
    ///
    /// As [`character`](Self::character).
    pub fn decode(&self, codes: &[u16]) -> String {
        codes.iter().map(|&code| self.character(code)).collect()
    }

    /// The error of a character that stands after `before`.
    fn lacks(&self, character: char, before: &str, what: &str) -> Error {
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Error::Invalid(format!(
            "{what} has the character {} at line {line}, column {column}, which is none of the {} \
             characters of the training text; replace it there, or train on a text that has it",
            quoted(character),
            self.len()
        ))
    }
}

/// A character as one can see it, with its number in Unicode.
fn quoted(character: char) -> String {
    format!("{character:?} (U+{:04X})", u32::from(character))
}

/// A text in three parts, in the codes of one alphabet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// The characters.
    pub alphabet: Alphabet,
    /// The part for training.
    pub train: Vec<u16>,
    /// The part for choosing settings.
    pub valid: Vec<u16>,
    /// The part for measuring results.
    pub test: Vec<u16>,
}

/// What the parts are called in errors.
const PARTS: [&str; 3] = ["the training text", "the validation text", "the test text"];

impl Corpus {
    /// One text, of which the first 90 percent of the characters are to train on, the next 5 to
    /// validate and the last 5 to test with. The alphabet is that of the whole text.
    ///
    /// # Errors
    ///
    /// If the text is empty, or its alphabet too large.
    pub fn from_text(text: &str) -> Result<Self> {
        let text = without_mark(text);
        let text = match is_spaced(text) {
            true => join(text),
            false => text.to_string(),
        };
        refuse_empty(&text, "the text")?;
        let alphabet = Alphabet::new(&text)?;
        let mut train = alphabet.encode(&text, "the text")?;
        let held_out = train.len() / 20;
        let test = train.split_off(train.len() - held_out);
        let valid = train.split_off(train.len() - held_out);
        Ok(Self {
            alphabet,
            train,
            valid,
            test,
        })
    }

    /// A text to train on, one to validate and one to test with. The alphabet is that of the first.
    ///
    /// # Errors
    ///
    /// If a part is empty, the first has too large an alphabet, or another has a character that the
    /// first does not have.
    pub fn from_parts(parts: [&str; 3]) -> Result<Self> {
        Self::from_named(parts, PARTS)
    }

    /// [`from_parts`](Self::from_parts), with what errors call the parts.
    fn from_named(parts: [&str; 3], names: [&str; 3]) -> Result<Self> {
        let parts = parts.map(without_mark);
        let is_spaced = is_spaced(parts[0]);
        let parts = parts.map(|part| match is_spaced && is_tokens(part) {
            true => join(part),
            false => part.to_string(),
        });
        for (part, name) in parts.iter().zip(names) {
            refuse_empty(part, name)?;
        }
        let alphabet = Alphabet::new(&parts[0])?;
        let encode = |part: usize| alphabet.encode(&parts[part], names[part]);
        Ok(Self {
            train: encode(0)?,
            valid: encode(1)?,
            test: encode(2)?,
            alphabet,
        })
    }

    /// Reads one file, which is cut as by [`from_text`](Self::from_text), or three, as in
    /// [`from_parts`](Self::from_parts), in UTF-8, as they are or gzipped.
    ///
    /// The character files of the Penn Treebank are read as they are: if all tokens between white
    /// space are single characters, and there are many, the tokens are the characters, and the
    /// white space only separates them.
    ///
    /// # Errors
    ///
    /// If there are neither one nor three files, a file cannot be read or is not UTF-8, or as in
    /// these methods.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let texts: Vec<String> = paths.iter().map(read).collect::<Result<_>>()?;
        let names: Vec<String> = paths
            .iter()
            .zip(PARTS)
            .map(|(path, part)| format!("{part} '{}'", path.display()))
            .collect();
        match (&texts[..], &names[..]) {
            ([text], _) => Self::from_text(text),
            ([train, valid, test], [a, b, c]) => Self::from_named([train, valid, test], [a, b, c]),
            _ => Err(Error::Invalid(format!(
                "{} files are not a corpus; give one, which is cut into parts, or three: to train, \
                 to validate and to test with",
                paths.len()
            ))),
        }
    }

    /// The fingerprint of the text; `origins` says where its training, validation and test parts
    /// come from.
    pub fn fingerprint(&self, origins: [&str; 3]) -> Fingerprint {
        let bytes = |codes: &[u16]| -> Vec<u8> {
            codes.iter().flat_map(|code| code.to_le_bytes()).collect()
        };
        let characters = (0..self.alphabet.len()).map(|code| self.alphabet.character(code as u16));
        let alphabet: String = characters.collect();
        let parts = [&self.train, &self.valid, &self.test];
        let named = [Fingerprint::TRAIN, "validate", Fingerprint::TEST]
            .into_iter()
            .zip(origins);
        named.zip(parts).fold(
            Fingerprint::default().with_term(Fingerprint::ALPHABET, alphabet),
            |fingerprint, ((name, origin), codes)| {
                fingerprint.with_part(name, origin, [&bytes(codes)[..]])
            },
        )
    }
}

/// A file's text.
fn read(path: &PathBuf) -> Result<String> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let wrong = |reason, cure| Error::Text {
        path: path.clone(),
        reason,
        cure,
    };
    let bytes = match bytes.starts_with(&GZIP) {
        true => unzipped(&bytes).map_err(|error| {
            let reason = format!("it is gzipped, and damaged ({error})");
            wrong(reason, "unpack it, or replace it")
        })?,
        false => bytes,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[place];
        wrong(
            format!("at byte {place}, counted from 0, is 0x{byte:02x}, which is not UTF-8"),
            "convert it to UTF-8",
        )
    })?;
    if text.is_empty() {
        return Err(wrong("it is empty".into(), "give a file with a text"));
    }
    Ok(text)
}

/// What gzipped bytes unpack to.
fn unzipped(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut content)?;
    Ok(content)
}

/// A text without the byte-order mark that some editors put in front of it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn refuse_empty(text: &str, what: &str) -> Result<()> {
    match text.is_empty() {
        true => Err(Error::Invalid(format!(
            "{what} is empty; give one that has characters"
        ))),
        false => Ok(()),
    }
}

/// A text of fewer tokens may look like one of the Penn Treebank by chance.
const FEWEST_TOKENS: usize = 100;

/// Whether a text is in the form of the Penn Treebank's character files.
fn is_spaced(text: &str) -> bool {
    let is_long = text.split_whitespace().nth(FEWEST_TOKENS - 1).is_some();
    is_long && is_tokens(text)
}

/// Whether every token is a single character.
fn is_tokens(text: &str) -> bool {
    text.split_whitespace()
        .all(|token| token.chars().nth(1).is_none())
}

/// The text without its white space, but for the ends of lines.
fn join(text: &str) -> String {
    text.chars()
        .filter(|&character| character == '\n' || !character.is_whitespace())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_places_in_the_alphabet() {
        let alphabet = Alphabet::new("banana é\n").unwrap();
        assert_eq!(alphabet.len(), 6);
        let codes = alphabet.encode("é ban\n", "it").unwrap();
        assert_eq!(codes, [5, 1, 3, 2, 4, 0]);
        assert_eq!(alphabet.decode(&codes), "é ban\n");
    }

    #[test]
    fn a_foreign_character_is_named_with_its_place() {
        let alphabet = Alphabet::new("ab\n").unwrap();
        let error = alphabet.encode("ab\nab\taé", "the test text").unwrap_err();
        let error = error.to_string();
        for word in ["the test text", r"'\t' (U+0009)", "line 2, column 3"] {
            assert!(error.contains(word), "{error}");
        }
        let error = alphabet.encode("aé", "it").unwrap_err().to_string();
        assert!(
            error.contains("'é' (U+00E9) at line 1, column 2"),
            "{error}"
        );
    }

    #[test]
    fn one_text_is_cut_by_characters() {
        let text: String = ('\0'..='\u{1ff}').take(205).collect();
        let corpus = Corpus::from_text(&text).unwrap();
        assert_eq!(corpus.alphabet.len(), 205);
        let parts = [&corpus.train, &corpus.valid, &corpus.test];
        assert_eq!(parts.map(Vec::len), [185, 10, 10]);
        assert_eq!(parts.map(|part| part[0]), [0, 185, 195]);
    }

    #[test]
    fn single_characters_between_spaces_are_the_characters() {
        let spaced = " a b _ c \n d _ N \n".repeat(20);
        let corpus = Corpus::from_text(&spaced).unwrap();
        assert_eq!(corpus.alphabet.decode(&corpus.train[..9]), "ab_c\nd_N\n");
        assert_eq!(corpus.alphabet.len(), 7);
        // The first part says what form they have, however short the others are.
        let corpus = Corpus::from_parts([&spaced, " a b\n", "_ _"]).unwrap();
        assert_eq!(corpus.alphabet.decode(&corpus.valid), "ab\n");
        assert_eq!(corpus.test.len(), 2);
        let error = Corpus::from_parts([&spaced, " a b\n", "ab a"]).unwrap_err();
        assert!(error.to_string().contains("' ' (U+0020)"), "{error}");
    }

    #[test]
    fn other_texts_keep_their_spaces() {
        for text in [&"a b ".repeat(20), &"a b cd".repeat(200)] {
            let corpus = Corpus::from_text(text).unwrap();
            assert!(corpus.alphabet.encode(" ", "it").is_ok(), "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_letter() {
        let text = "ab".repeat(40);
        let marked = format!("\u{feff}{text}");
        let corpus = Corpus::from_text(&marked).unwrap();
        assert_eq!(corpus, Corpus::from_text(&text).unwrap());
        let corpus = Corpus::from_parts([&text, &marked, &marked]).unwrap();
        assert_eq!(corpus.valid.len(), text.len());
        assert!(Corpus::from_text("\u{feff}").is_err(), "it is empty");
        // Elsewhere it is a character like others.
        assert_eq!(Corpus::from_text("a\u{feff}b").unwrap().alphabet.len(), 3);
    }

    #[test]
    fn no_characters_are_refused() {
        assert!(Corpus::from_text("").is_err());
        let error = Corpus::from_parts(["a", "", "a"]).unwrap_err().to_string();
        assert!(error.contains("the validation text is empty"), "{error}");
        assert!(Corpus::read(&[]).is_err());
    }

    fn fingerprint(text: &str, origin: &str) -> Fingerprint {
        Corpus::from_text(text).unwrap().fingerprint([origin; 3])
    }

    #[test]
    fn other_data_are_told_with_their_file_and_how_they_differ() {
        let known = fingerprint(&"abc ".repeat(50), "/old/a.txt");
        assert!(
            known
                .check(&fingerprint(&"abc ".repeat(50), "/new/a.txt"))
                .is_ok()
        );
        let said = |met: &Fingerprint| known.check(met).unwrap_err().to_string();
        // As many characters, but others.
        let other = said(&fingerprint(&"abd ".repeat(50), "b.txt"));
        for word in ["'b.txt'", "alphabet was ' abc'", "here it is ' abd'"] {
            assert!(other.contains(word), "no {word:?} in {other}");
        }
        let other = said(&fingerprint(&"acb ".repeat(50), "b.txt"));
        for word in ["'b.txt'", "the part to test with was", "CRC-32"] {
            assert!(other.contains(word), "no {word:?} in {other}");
        }
        let mut without = fingerprint(&"acb ".repeat(50), "b.txt");
        without.parts.clear();
        assert!(known.check(&without).is_ok(), "it has the same meaning");
        // A long alphabet is not shown whole.
        let all: String = ('a'..='\u{2000}').collect();
        assert!(said(&fingerprint(&all, "c.txt")).len() < 400);
    }
}
