//! Texts: files as they are and as they should not be, downloads from a server on loopback, and a
//! recurrent network that reads them.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use burn::tensor::Device;
use common::server::{PATIENCE, Server, entries, places, write};
use common::{TempDir, seeded};
use dni::data::fetch::{Checksum, Fetched, Remote, fetch};
use dni::data::{Corpus, Lanes, Language, Places, Reading, shakespeare};
use dni::{DenseConfig, Loss, LstmConfig, Optimizer, Recurrent};

#[test]
fn one_file_or_three_are_a_corpus() {
    let place = TempDir::new();
    let file = |name: &str, text: &str| write(place.path(), name, text.as_bytes());
    let whole = Corpus::read(&[file("all.txt", &"né, ".repeat(50))]).expect("it is a text");
    assert_eq!(whole.alphabet.len(), 4);
    let parts = [&whole.train, &whole.valid, &whole.test];
    assert_eq!(parts.map(Vec::len), [180, 10, 10]);

    let files = [file("a", "bé\n"), file("b", "bbb"), file("c", "éééé")];
    let corpus = Corpus::read(&files).expect("they are texts");
    assert_eq!(corpus.alphabet.decode(&corpus.test), "éééé");
    assert_eq!([corpus.train.len(), corpus.valid.len()], [3, 3]);

    let spaced = "_ N ".repeat(60) + "\n";
    let corpus = Corpus::read(&[file("ptb.txt", &spaced)]).expect("it is a text");
    assert_eq!(corpus.alphabet.decode(&corpus.train[..4]), "_N_N");
}

/// Every way of being wrong is an error that names the file, what was found and what to do.
#[test]
fn files_that_are_no_texts_are_refused() {
    let place = TempDir::new();
    let file = |name: &str, bytes: &[u8]| write(place.path(), name, bytes);
    let (good, latin) = (file("good", b"abc\n"), file("latin", b"caf\xe9 noir"));
    let cases: Vec<(Vec<PathBuf>, &[&str])> = vec![
        (
            vec![latin.clone()],
            &["latin'", "byte 3", "0xe9", "convert it to UTF-8"],
        ),
        (
            vec![good.clone(), good.clone(), latin],
            &["latin'", "byte 3"],
        ),
        (vec![file("empty", b"")], &["empty'", "give a file"]),
        (
            vec![good.clone(), file("other", b"ab\nabz"), good.clone()],
            &["the validation text", "other'", "'z'", "line 2, column 3"],
        ),
        (vec![good.clone(), good], &["2 files", "or three"]),
        (vec![], &["0 files", "give one"]),
        (vec![place.path().join("nowhere")], &["nowhere'"]),
    ];
    for (paths, words) in cases {
        let error = Corpus::read(&paths).expect_err(words[0]).to_string();
        for word in words {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
    }
}

#[test]
fn a_file_is_checked_by_its_sha_256() {
    // The example of FIPS 180.
    let right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let server = Server::with(vec![("/abc".to_string(), b"abc".to_vec())]);
    let place = TempDir::new();
    let wrong = right.replace('b', "c");
    for (sum, is_right) in [(wrong.as_str(), false), (right, true)] {
        let remote = Remote {
            base: &server.base,
            name: "abc",
            checksum: Checksum::Sha256(sum),
        };
        match fetch(remote, place.path(), PATIENCE, &mut |_| {}) {
            Ok(path) => assert!(is_right && fs::read(path).expect("it is here") == b"abc"),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !is_right && error.contains(&format!("SHA-256 is {right}")),
                    "{error}"
                );
                assert!(entries(place.path()).is_empty());
            }
        }
    }
}

/// The user's file comes first, and is neither taken for what it is not nor replaced.
#[test]
fn another_text_is_not_shakespeare() {
    let mut nothing = |_: &Fetched| panic!("nothing should be downloaded");
    for inner in ["data", "cache"] {
        let place = TempDir::new();
        let folder = place.path().join(inner).join("tinyshakespeare");
        let path = write(&folder, "input.txt", b"To be, or not to be");
        fs::create_dir_all(place.path().join("data")).expect("a folder can be made");
        let places = Places {
            data: Some(place.path().join("data")),
            ..places(&place.path().join("cache"))
        };
        let error = shakespeare(&places, &mut nothing);
        let error = error.expect_err("it is another text").to_string();
        for word in ["input.txt", "SHA-256 86c4e6aa", "19 bytes", "replace it"] {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
        assert!(path.is_file());
    }
    let place = TempDir::new();
    let file = "/tinyshakespeare/input.txt";
    let server = Server::with(vec![(file.to_string(), b"something else".to_vec())]);
    let places = Places {
        base: Some(server.base.clone()),
        ..places(place.path())
    };
    let error = shakespeare(&places, &mut |_| {});
    let error = error.expect_err("it is another text").to_string();
    assert!(error.contains(file) && error.contains("SHA-256"), "{error}");
    assert!(entries(&place.path().join("tinyshakespeare")).is_empty());
}

/// The real text, if it is at hand: read, and downloaded once from a server that has it.
#[test]
fn the_real_shakespeare_is_read_and_downloaded_once() {
    let Some(data) = std::env::var_os("DNI_DATA_DIR").map(PathBuf::from) else {
        eprintln!("skipped: DNI_DATA_DIR does not say where tinyshakespeare is");
        return;
    };
    let place = TempDir::new();
    let here = Places {
        data: Some(data.clone()),
        ..places(place.path())
    };
    let corpus = shakespeare(&here, &mut |_| panic!("nothing should be downloaded"));
    let corpus = corpus.expect("it is there");
    assert_eq!(corpus.alphabet.len(), 65);
    let parts = [&corpus.train, &corpus.valid, &corpus.test];
    assert_eq!(parts.map(Vec::len), [1_003_856, 55_769, 55_769]);
    let first = corpus.alphabet.decode(&corpus.train[..14]);
    assert_eq!(first, "First Citizen:");

    let bytes = fs::read(data.join("tinyshakespeare/input.txt")).expect("it can be read");
    let server = Server::with(vec![("/tinyshakespeare/input.txt".to_string(), bytes)]);
    let there = Places {
        base: Some(server.base.trim_end_matches('/').to_string()),
        ..places(place.path())
    };
    for _ in 0..2 {
        let downloaded = shakespeare(&there, &mut |_| {});
        assert_eq!(downloaded.expect("the server has it"), corpus);
    }
    assert_eq!(
        server.requests.load(Ordering::Relaxed),
        1,
        "the cache was not used"
    );
    assert_eq!(
        entries(&place.path().join("tinyshakespeare")),
        ["input.txt"]
    );
}

fn network(alphabet: usize, device: &Device) -> Recurrent {
    let (units, rng) = (16, &mut seeded(3));
    let core = LstmConfig::new(alphabet, units).init(rng, device);
    let readout = DenseConfig::new(units, alphabet).linear().init(rng, device);
    Recurrent::new(
        Loss::CrossEntropy,
        (core, Optimizer::adam(0.01)),
        (readout, Optimizer::adam(0.01)),
    )
}

/// Bits per character, over all of them but the first.
fn bits(network: &Recurrent, reading: &Reading, device: &Device) -> f64 {
    let (mut nats, mut state) = (0.0, None);
    for window in reading.windows(device) {
        let (outputs, after) = network.predict(&window.sequence, state);
        state = Some(after);
        let losses = network.losses(outputs, &window).sum();
        nats += f64::from(losses.into_scalar::<f32>());
    }
    nats / reading.targets() as f64 / std::f64::consts::LN_2
}

/// However many lanes and however long the windows: the bits are those of reading on without a
/// break, if the lanes warm up.
#[test]
fn a_text_is_measured_alike_in_every_cut() {
    let device = Device::flex();
    let corpus = Language.corpus([0, 701, 0], 1);
    let network = network(corpus.alphabet.len(), &device);
    let of = |lanes, steps, warm_up| {
        let alphabet = corpus.alphabet.len();
        let reading = Reading::new(&corpus.valid[..], alphabet, lanes, steps, warm_up);
        bits(&network, &reading.expect("it is long enough"), &device)
    };
    let straight = of(1, 701, 0);
    for (lanes, steps, warm_up) in [(1, 64, 0), (9, 10, 100), (9, 33, 700), (64, 7, 60)] {
        let cut = of(lanes, steps, warm_up);
        assert!((cut - straight).abs() < 1e-5, "{cut} is not {straight}");
    }
    // Each lane begins without a past.
    assert!((of(64, 7, 0) - straight).abs() > 1e-4);
}

/// A network that reads the lanes of a text learns what follows on what.
#[test]
fn a_network_learns_from_lanes() {
    let device = Device::flex();
    let corpus = Corpus::from_text(&"ab, cab; ".repeat(200)).expect("it is a text");
    let alphabet = corpus.alphabet.len();
    let mut network = network(alphabet, &device);
    let lanes = Lanes::new(corpus.train, alphabet, 8, 6).expect("it is long enough");
    let test = Reading::new(corpus.test, alphabet, 4, 10, 12).expect("it is long enough");
    let before = bits(&network, &test, &device);
    for step in 0..150 {
        network.step(lanes.window(step, &device));
    }
    let after = bits(&network, &test, &device);
    assert!(before > 2.0 && after < 0.2, "{before}, {after}");
}
