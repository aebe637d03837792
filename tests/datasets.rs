//! Image sets: files that are whole, files that are not, and downloads from a server on loopback.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread;

use common::TempDir;
use common::server::{PATIENCE, Server, entries, places, send, write};
use dni::data::fetch::{Checksum, Fetched, Remote, fetch};
use dni::data::{ImageLibrary, Images, Places, read_cifar, read_idx, shakespeare};
use flate2::Compression;
use flate2::write::GzEncoder;
use md5::{Digest, Md5};
use proptest::prelude::*;

fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    for size in sizes {
        bytes.extend(size.to_be_bytes());
    }
    bytes.extend(values);
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// Three images of 2 x 3 pixels, whose values count up.
fn pixels() -> Vec<u8> {
    (0..18).collect()
}

fn read_pair(images: &[u8], labels: &[u8]) -> dni::Result<Images> {
    let place = TempDir::new();
    let images = write(place.path(), "images", images);
    let labels = write(place.path(), "labels", labels);
    read_idx(&images, &labels)
}

#[test]
fn idx_files_are_read_raw_and_gzipped() {
    let images = idx(&[3, 2, 3], &pixels());
    let labels = idx(&[3], &[7, 0, 9]);
    for (images, labels) in [
        (images.clone(), labels.clone()),
        (gzipped(&images), labels.clone()),
        (gzipped(&images), gzipped(&labels)),
    ] {
        let set = read_pair(&images, &labels).expect("they are whole");
        assert_eq!(set.len(), 3);
        assert_eq!(set.classes(), 10);
        let shape = set.shape();
        assert_eq!([shape.channels, shape.height, shape.width], [1, 2, 3]);
        assert_eq!(set.pixels(1), [6, 7, 8, 9, 10, 11]);
        assert_eq!([0, 1, 2].map(|i| set.label(i)), [7, 0, 9]);
        let (input, target) = set.rows(&[2, 0], &burn::tensor::Device::flex());
        let input = common::values(input);
        assert!((input[0] - 12.0 / 255.0).abs() < 1e-7 && input.len() == 12);
        let target = common::values(target);
        assert_eq!(target.iter().sum::<f32>(), 2.0);
        assert_eq!([target[9], target[17]], [1.0, 1.0]);
    }
}

/// Every way of being wrong is an error that names the file, what was expected and what to do.
#[test]
fn files_that_are_not_whole_are_refused() {
    let images = idx(&[3, 2, 3], &pixels());
    let labels = idx(&[3], &[7, 0, 9]);
    let mut broken_gzip = gzipped(&images);
    let length = broken_gzip.len();
    broken_gzip[length - 6] ^= 0xff;
    let too_long = [images.clone(), vec![1]].concat();
    let cases: Vec<(&str, Vec<u8>, Vec<u8>, &str)> = vec![
        ("empty", vec![], labels.clone(), "images'"),
        (
            "half a header",
            images[..7].to_vec(),
            labels.clone(),
            "IDX file of images",
        ),
        ("truncated", images[..20].to_vec(), labels.clone(), "only 4"),
        ("too long", too_long, labels.clone(), "more"),
        ("swapped", labels.clone(), images.clone(), "0x00000803"),
        (
            "text",
            b"<html>not found</html>".to_vec(),
            labels.clone(),
            "0x00000803",
        ),
        (
            "cut gzip",
            gzipped(&images)[..24].to_vec(),
            labels.clone(),
            "images'",
        ),
        ("broken gzip", broken_gzip, labels.clone(), "images'"),
        (
            "fewer labels",
            images.clone(),
            idx(&[2], &[1, 2]),
            "3 labels",
        ),
        (
            "label 10",
            images.clone(),
            idx(&[3], &[1, 2, 10]),
            "from 0 to 9",
        ),
        (
            "no images",
            idx(&[0, 2, 3], &[]),
            idx(&[0], &[]),
            "0 of 2 x 3",
        ),
        (
            "no pixels",
            idx(&[3, 0, 3], &[]),
            labels.clone(),
            "3 of 0 x 3",
        ),
        (
            "absurd sizes",
            idx(&[u32::MAX, u32::MAX, u32::MAX], &[1]),
            labels.clone(),
            "found",
        ),
    ];
    for (name, images, labels, word) in cases {
        let error = read_pair(&images, &labels).expect_err(name).to_string();
        assert!(error.contains(word), "{name}: {error}");
        assert!(error.contains("downloaded anew"), "{name}: {error}");
    }
    let missing = read_idx(Path::new("nowhere/images"), Path::new("nowhere/labels"));
    let error = missing.expect_err("there is none").to_string();
    assert!(error.contains("nowhere/images"), "{error}");
}

/// A few bytes that unpack to gigabytes are not unpacked.
#[test]
fn a_gzip_bomb_is_cut_off() {
    let bomb = gzipped(&[idx(&[3, 2, 3], &pixels()), vec![0; 1 << 24]].concat());
    let error = read_pair(&bomb, &idx(&[3], &[0, 0, 0])).expect_err("it is too long");
    assert!(error.to_string().contains("more"), "{error}");
    let bomb = gzipped(&idx(&[u32::MAX, 28, 28], &[0; 1 << 16]));
    let error = read_pair(&bomb, &idx(&[3], &[0, 0, 0])).expect_err("nobody has so much memory");
    assert!(error.to_string().contains("at most"), "{error}");
}

/// Nothing may stand behind the zipped part, where a reader might not look.
#[test]
fn bytes_after_a_gzip_are_noticed() {
    let images = [gzipped(&idx(&[3, 2, 3], &pixels())), vec![7; 20]].concat();
    read_pair(&images, &idx(&[3], &[0, 0, 0])).expect_err("there is more");
}

fn cifar(labels: &[u8]) -> Vec<u8> {
    let record = |(i, label): (usize, &u8)| {
        let mut bytes = vec![*label];
        bytes.extend((0..3072).map(|p| (p / 1024 * 50 + i) as u8));
        bytes
    };
    labels.iter().enumerate().flat_map(record).collect()
}

#[test]
fn cifar_batches_are_read_one_after_the_other() {
    let place = TempDir::new();
    let paths = [vec![3, 4], vec![9]].map(|labels| {
        let name = format!("{}.bin", labels.len());
        write(place.path(), &name, &cifar(&labels))
    });
    let images = read_cifar(&paths).expect("they are whole");
    assert_eq!([0, 1, 2].map(|i| images.label(i)), [3, 4, 9]);
    let shape = images.shape();
    assert_eq!([shape.channels, shape.height, shape.width], [3, 32, 32]);
    let second = images.pixels(1);
    assert_eq!([second[0], second[1024], second[3071]], [1, 51, 101]);

    let whole = cifar(&[1]);
    for (bytes, word) in [
        (vec![], "0 bytes"),
        (whole[..3000].to_vec(), "3000 bytes"),
        (cifar(&[10]), "class 10"),
    ] {
        let path = write(place.path(), "bad.bin", &bytes);
        let error = read_cifar(&[path]).expect_err(word).to_string();
        assert!(error.contains(word) && error.contains("bad.bin"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever the bytes, there is no panic; and what is taken is what the header says.
    #[test]
    fn any_bytes_are_read_or_refused(
        mut images in prop::collection::vec(any::<u8>(), 0..80),
        has_header: bool,
        gzip: bool,
    ) {
        if has_header {
            images.splice(0..0, [0, 0, 8, 3, 0, 0, 0]);
        }
        if gzip {
            images.splice(0..0, [0x1f, 0x8b]);
        }
        if let Ok(set) = read_pair(&images, &idx(&[3], &[1, 2, 3])) {
            prop_assert_eq!(set.len(), 3);
        }
        let place = TempDir::new();
        let path = write(place.path(), "batch", &images);
        let _ = read_cifar(&[path]);
    }
}

// Downloads.

fn md5_of(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_file_is_fetched_whole_and_checked() {
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let server = Server::with(vec![("/a.gz".to_string(), content.clone())]);
    let place = TempDir::new();
    let folder = place.path().join("new/cache");
    let remote = Remote {
        base: &server.base,
        name: "a.gz",
        checksum: Checksum::Md5(&md5_of(&content)),
    };
    let heard = Mutex::new(Vec::new());
    let path = fetch(remote, &folder, PATIENCE, &mut |fetched: &Fetched| {
        heard.lock().expect("one thread").push(fetched.clone());
    })
    .expect("it is there");
    assert_eq!(fs::read(path).expect("it is here"), content);
    assert_eq!(entries(&folder), ["a.gz"]);
    let heard = heard.into_inner().expect("one thread");
    let last = heard.last().expect("there was progress");
    assert_eq!((last.done, last.total), (200_000, Some(200_000)));
    assert!(heard.is_sorted_by_key(|fetched| fetched.done));
}

/// Whatever goes wrong, there is an error with the address and no file.
#[test]
fn a_download_that_fails_leaves_nothing() {
    let content = vec![7; 100_000];
    let right = md5_of(&content);
    let whole = content.clone();
    let cut = content.clone();
    let servers: Vec<(&str, Server, &str)> = vec![
        (
            "another content",
            Server::with(vec![("/a".into(), vec![8; 100_000])]),
            "MD5",
        ),
        ("no such file", Server::with(Vec::new()), "404"),
        (
            "a body that is cut",
            Server::start(Box::new(move |_, stream| {
                send(stream, cut.len(), &cut[..50_000])
            })),
            "",
        ),
        (
            "a server that is silent in the middle",
            Server::start(Box::new(move |_, stream| {
                send(stream, whole.len(), &whole[..50_000]);
                thread::sleep(PATIENCE * 4);
            })),
            "said nothing",
        ),
        (
            "a server that is silent from the start",
            Server::start(Box::new(|_, _| thread::sleep(PATIENCE * 4))),
            "",
        ),
        (
            "nonsense",
            Server::start(Box::new(|_, stream| {
                let _ = stream.write_all(b"hello\r\n\r\n");
            })),
            "",
        ),
    ];
    let nobody = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = nobody.local_addr().expect("it is bound");
    drop(nobody);
    let unreachable = Server {
        base: format!("http://{address}/"),
        requests: Arc::default(),
    };
    let unreachable = ("nobody", unreachable, "");
    for (name, server, word) in servers.into_iter().chain([unreachable]) {
        let place = TempDir::new();
        let remote = Remote {
            base: &server.base,
            name: "a",
            checksum: Checksum::Md5(&right),
        };
        let error = fetch(remote, place.path(), PATIENCE, &mut |_| {});
        let error = error.expect_err(name).to_string();
        assert!(error.contains(&server.base), "{name}: {error}");
        assert!(error.contains(word), "{name}: {error}");
        assert!(entries(place.path()).is_empty(), "{name}");
    }
}

/// A small set in the format of MNIST.
fn write_mnist(folder: &Path, zip: bool, dotted: bool) {
    for (name, count) in [("train", 3), ("t10k", 2)] {
        let images = idx(&[count, 28, 28], &vec![9; 784 * count as usize]);
        let labels = idx(&[count], &vec![1; count as usize]);
        for (kind, bytes) in [("images-idx3", images), ("labels-idx1", labels)] {
            let name = format!("{name}-{kind}-ubyte");
            let name = if dotted {
                name.replace("-idx", ".idx")
            } else {
                name
            };
            match zip {
                true => write(folder, &format!("{name}.gz"), &gzipped(&bytes)),
                false => write(folder, &name, &bytes),
            };
        }
    }
}

/// The data folder comes first, then the cache, then burn's; all forms of the names do.
#[test]
fn sets_are_found_where_they_may_be() {
    let mut nothing = |_: &Fetched| panic!("nothing should be downloaded");
    for (zip, dotted) in [(true, false), (false, false), (false, true), (true, true)] {
        let place = TempDir::new();
        let inner = |name: &str| place.path().join(name);
        write_mnist(&inner("data/mnist"), zip, dotted);
        let from_data = Places {
            data: Some(inner("data")),
            ..places(&inner("cache"))
        };
        let set = ImageLibrary::Mnist.load(&from_data, &mut nothing);
        let set = set.expect("all four are there");
        assert_eq!([set.train.len(), set.test.len()], [3, 2]);

        write_mnist(&inner("cache/fashion-mnist"), zip, dotted);
        // There is no folder for this set among the data.
        let set = ImageLibrary::FashionMnist.load(&from_data, &mut nothing);
        assert_eq!(set.expect("it is in the cache").train.len(), 3);
    }
    let place = TempDir::new();
    let burn = place.path().join("burn");
    write_mnist(&burn.join("mnist"), false, false);
    for (split, folder) in [("train", "train"), ("t10k", "test")] {
        for kind in ["images-idx3", "labels-idx1"] {
            let name = format!("{split}-{kind}-ubyte");
            let to = burn.join("mnist").join(folder);
            fs::create_dir_all(&to).expect("a folder can be made");
            fs::rename(burn.join("mnist").join(&name), to.join(&name)).expect("it is there");
        }
    }
    let from_burn = Places {
        burn_cache: Some(burn),
        ..places(&place.path().join("cache"))
    };
    let set = ImageLibrary::Mnist.load(&from_burn, &mut nothing);
    assert_eq!(set.expect("all four are there").test.len(), 2);
}

/// The folder of data may be that of the set itself, or have torchvision's folders.
#[test]
fn sets_are_found_in_other_folders() {
    let mut nothing = |_: &Fetched| panic!("nothing should be downloaded");
    for (named, inner) in [
        ("data", "MNIST/raw"),
        ("data/MNIST", "raw"),
        ("data/MNIST/raw", ""),
        ("data", "mnist"),
    ] {
        let place = TempDir::new();
        let data = place.path().join(named);
        write_mnist(&data.join(inner), true, false);
        let places = Places {
            data: Some(data),
            ..places(&place.path().join("cache"))
        };
        let set = ImageLibrary::Mnist.load(&places, &mut nothing);
        assert_eq!(set.expect("all four are there").train.len(), 3, "{named}");
    }
    let place = TempDir::new();
    write_mnist(&place.path().join("FashionMNIST/raw"), false, false);
    let places = Places {
        data: Some(place.path().to_path_buf()),
        ..places(&place.path().join("cache"))
    };
    let set = ImageLibrary::FashionMnist.load(&places, &mut nothing);
    assert_eq!(set.expect("all four are there").test.len(), 2);
    let error = ImageLibrary::Mnist.load(&places, &mut |_| {});
    let error = error.expect_err("it is another set").to_string();
    assert!(error.contains("'mnist' is not in"), "{error}");
}

/// Digits under the same names are no clothing: their labels tell.
#[test]
fn one_set_is_not_taken_for_another() {
    let labels = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4];
    let place = TempDir::new();
    for (name, labels) in [("train", &labels[..]), ("t10k", &labels[..2])] {
        let count = labels.len() as u32;
        let images = idx(&[count, 28, 28], &vec![9; 784 * labels.len()]);
        write(place.path(), &format!("{name}-images-idx3-ubyte"), &images);
        let labels = idx(&[count], labels);
        write(place.path(), &format!("{name}-labels-idx1-ubyte"), &labels);
    }
    let places = Places {
        data: Some(place.path().to_path_buf()),
        ..places(&place.path().join("cache"))
    };
    assert!(ImageLibrary::Mnist.load(&places, &mut |_| {}).is_ok());
    let error = ImageLibrary::FashionMnist.load(&places, &mut |_| {});
    let error = error.expect_err("they are digits").to_string();
    for word in ["train-labels", "labels of fashion-mnist", "those of mnist"] {
        assert!(error.contains(word), "no {word} in {error}");
    }
}

/// A folder that is named and not there is a mistake of the user's.
#[test]
fn a_data_folder_must_be_there() {
    let place = TempDir::new();
    let data = place.path().join("nowhere");
    let places = Places {
        data: Some(data),
        ..places(&place.path().join("cache"))
    };
    for library in ImageLibrary::ALL {
        let error = library
            .load(&places, &mut |_| {})
            .expect_err("it is not there");
        assert!(error.to_string().contains("no folder"), "{error}");
    }
    assert!(shakespeare(&places, &mut |_| {}).is_err());
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..])
            .expect("memory can be written");
    }
    tar.into_inner().expect("memory can be written")
}

#[test]
fn cifar_is_read_from_its_archive() {
    let place = TempDir::new();
    let batches = (1..=5).map(|i| (format!("data_batch_{i}.bin"), cifar(&[i, i])));
    let batches = batches.chain([("test_batch.bin".to_string(), cifar(&[0, 7]))]);
    let batches = batches.map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes));
    let mut batches: Vec<_> = batches.collect();
    // They need not lie there in order.
    batches.reverse();
    let places = Places {
        data: Some(place.path().to_path_buf()),
        ..places(&place.path().join("cache"))
    };
    let load = |batches: &[_]| {
        let archive = gzipped(&tar_of(batches));
        write(place.path(), "cifar-10-binary.tar.gz", &archive);
        ImageLibrary::Cifar10.load(&places, &mut |_| panic!("nothing should be downloaded"))
    };
    let set = load(&batches).expect("all six are there");
    assert_eq!([set.train.len(), set.test.len()], [10, 2]);
    assert_eq!(
        [set.train.label(0), set.train.label(9), set.test.label(1)],
        [1, 5, 7]
    );
    let error = load(&batches[1..]).expect_err("one is missing").to_string();
    for word in ["cifar-10-binary.tar.gz", "6 batches", "found 5"] {
        assert!(error.contains(word), "no {word} in {error}");
    }
}

#[test]
fn cifar_is_read_from_a_folder() {
    let place = TempDir::new();
    let folder = place.path().join("data/cifar10/cifar-10-batches-bin");
    for i in 1..=5 {
        write(&folder, &format!("data_batch_{i}.bin"), &cifar(&[i, i]));
    }
    write(&folder, "test_batch.bin", &cifar(&[0, 0]));
    let places = Places {
        data: Some(place.path().join("data")),
        ..places(&place.path().join("cache"))
    };
    let set = ImageLibrary::Cifar10.load(&places, &mut |_| {});
    let set = set.expect("all six are there");
    assert_eq!([set.train.len(), set.test.len()], [10, 2]);
    assert_eq!(set.train.label(9), 5);

    // A batch that was cut off after a whole image.
    write(&folder, "data_batch_3.bin", &cifar(&[3]));
    let error = ImageLibrary::Cifar10.load(&places, &mut |_| {});
    let error = error.expect_err("one image is missing").to_string();
    assert!(error.contains("data_batch_3.bin"), "{error}");
    assert!(error.contains("6146 bytes"), "{error}");
}

/// A folder of the user's that lacks a file is not filled up behind their back.
#[test]
fn an_incomplete_folder_is_an_error_that_names_the_file() {
    let place = TempDir::new();
    let folder = place.path().join("data/mnist");
    write_mnist(&folder, true, false);
    fs::remove_file(folder.join("t10k-labels-idx1-ubyte.gz")).expect("it is there");
    let places = Places {
        data: Some(place.path().join("data")),
        ..places(&place.path().join("cache"))
    };
    let error = ImageLibrary::Mnist.load(&places, &mut |_| {});
    let error = error.expect_err("one is missing").to_string();
    assert!(error.contains("t10k-labels-idx1-ubyte"), "{error}");
}

/// Files of another set under the names of this one.
#[test]
fn images_of_another_shape_are_refused() {
    let place = TempDir::new();
    let folder = place.path().join("cache/mnist");
    write_mnist(&folder, true, false);
    let images = gzipped(&idx(&[2, 2, 3], &[9; 12]));
    write(&folder, "t10k-images-idx3-ubyte.gz", &images);
    let error = ImageLibrary::Mnist.load(&places(&place.path().join("cache")), &mut |_| {});
    let error = error.expect_err("it is too small").to_string();
    for word in ["t10k-images", "28 x 28", "2 x 3"] {
        assert!(error.contains(word), "{error}");
    }
}

/// What burn has of a set is of no use if it is not all: the set is downloaded.
#[test]
fn half_a_set_of_burns_is_passed_over() {
    let place = TempDir::new();
    write_mnist(&place.path().join("burn/mnist"), false, false);
    let file = place.path().join("burn/mnist/t10k-images-idx3-ubyte");
    fs::remove_file(file).expect("it is there");
    let places = Places {
        burn_cache: Some(place.path().join("burn")),
        ..places(&place.path().join("cache"))
    };
    let error = ImageLibrary::Mnist.load(&places, &mut |_| {});
    let error = error.expect_err("there is no such server").to_string();
    assert!(error.contains("http://127.0.0.1:9/mnist/"), "{error}");
}

/// What the server sends is not MNIST: nothing is kept, and the address is named.
#[test]
fn a_server_with_other_files_is_refused() {
    let place = TempDir::new();
    let cache = place.path().join("cache");
    let name = "/mnist/train-images-idx3-ubyte.gz".to_string();
    let server = Server::with(vec![(name, gzipped(b"something else"))]);
    let places = Places {
        base: Some(server.base.clone()),
        ..places(&cache)
    };
    let error = ImageLibrary::Mnist.load(&places, &mut |_| {});
    let error = error.expect_err("it is another file").to_string();
    assert!(
        error.contains("/mnist/train-images-idx3-ubyte.gz"),
        "{error}"
    );
    assert!(
        error.contains("f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "{error}"
    );
    assert!(entries(&cache.join("mnist")).is_empty());
}

/// The real files of MNIST, if they are at hand: read, and downloaded once from a server that has
/// them.
#[test]
fn the_real_mnist_is_read_and_downloaded_once() {
    let Some(data) = std::env::var_os("DNI_DATA_DIR").map(PathBuf::from) else {
        eprintln!("skipped: DNI_DATA_DIR does not say where MNIST is");
        return;
    };
    let files: Vec<(String, Vec<u8>)> = entries(&data.join("mnist"))
        .into_iter()
        .map(|name| {
            let mut bytes = Vec::new();
            let file = fs::File::open(data.join("mnist").join(&name));
            let read = file.and_then(|mut file| file.read_to_end(&mut bytes));
            read.expect("it can be read");
            (format!("/mnist/{name}"), bytes)
        })
        .collect();
    let server = Server::with(files);
    let place = TempDir::new();
    let places = Places {
        base: Some(server.base.trim_end_matches('/').to_string()),
        ..places(place.path())
    };
    for _ in 0..2 {
        let set = ImageLibrary::Mnist.load(&places, &mut |_| {});
        let set = set.expect("the server has it");
        assert_eq!([set.train.len(), set.test.len()], [60_000, 10_000]);
        assert_eq!([0, 1, 2].map(|i| set.train.label(i)), [5, 0, 4]);
    }
    assert_eq!(
        server.requests.load(Ordering::Relaxed),
        4,
        "the cache was not used"
    );
    assert_eq!(entries(&place.path().join("mnist")).len(), 4);
}
