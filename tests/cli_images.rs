//! `dni images` as its users meet it.

mod common;

use std::fs;

use common::program::*;
use serde_json::Value;

/// A call for a network that trains in milliseconds, on a few glyphs, changed by some flags.
fn tiny(flags: &str) -> String {
    const TINY: [(&str, u32); 6] = [
        ("--steps", 12),
        ("--depth", 3),
        ("--units", 8),
        ("--batch-size", 8),
        ("--examples", 64),
        ("--test-examples", 32),
    ];
    let is_given = |flag: &str| flags.split_whitespace().any(|given| given == flag);
    let mut call = "images".to_string();
    for (flag, value) in TINY {
        let is_replaced = is_given(flag) || (flag == "--steps" && is_given("--epochs"));
        if !is_replaced {
            call += &format!(" {flag} {value}");
        }
    }
    format!("{call} {flags}")
}

#[test]
fn every_method_has_a_result_of_the_documented_form() {
    let place = Place::new();
    let methods = ["backprop", "dni", "cdni", "none", "lambda:0.5"];
    let report = place.results(&tiny(&format!("--method {}", methods.join(","))));
    assert_eq!(report["experiment"], "images");
    assert_eq!(report["data"], "glyphs");
    let results = report["results"].as_array().expect("a list of results");
    assert_eq!(results.len(), methods.len());
    for (result, method) in results.iter().zip(methods) {
        assert_eq!(result["method"], method);
        assert_eq!(result["steps"], 12);
        for (part, examples) in [("train", 64), ("test", 32)] {
            let measures = &result[part];
            let error = measures["error"].as_f64().expect("an error is a number");
            assert!((0.0..=1.0).contains(&error), "{measures}");
            // A fraction of so many images.
            let wrong = error * f64::from(examples);
            assert!((wrong - wrong.round()).abs() < 1e-9, "{measures}");
            let loss = measures["loss"].as_f64().expect("a loss is a number");
            assert!(loss > 0.0, "{measures}");
            assert_eq!(measures["examples"], examples);
        }
        let interfaces = result["interfaces"].as_array().expect("a list");
        let expected = if ["backprop", "none"].contains(&method) {
            0
        } else {
            2
        };
        assert_eq!(interfaces.len(), expected, "{method}");
    }
}

/// Whatever can be said of the network and the training is heard.
#[test]
fn every_flag_has_its_effect() {
    let place = Place::new();
    let result = |flags: &str| {
        let report = place.results(&tiny(&format!("--method cdni {flags}")));
        timeless(report)["results"][0].clone()
    };
    let plain = result("");
    assert_eq!(result(""), plain, "the same seed is the same run");
    for flags in [
        "--depth 4",
        "--units 9",
        "--batch-size 16",
        "--steps 13",
        "--epochs 2",
        "--seed 2",
        "--examples 65",
        "--lr 0.01",
        "--synthesizer-lr 0.01",
        "--lr-schedule constant",
        "--lr-schedule 3:0.5,6:0.1",
        "--update-probability 0.5",
        "--unlock",
        "--unlock --input-units 3",
        "--sections 1,2",
        "--sections 2,1",
        "--synthesizer linear:2",
        "--synthesizer rls:2",
        "--synthesizer probe:2",
        "--synthesizer label",
        "--synthesizer mlp:8x4",
    ] {
        assert_ne!(result(flags), plain, "{flags} changed nothing");
    }
    for [a, b] in [
        ["--unlock", "--unlock --input-units 3"],
        ["--synthesizer rls:2", "--synthesizer probe:2"],
        [
            "--synthesizer rls:2",
            "--synthesizer rls:2 --synthesizer-lr 0.1",
        ],
    ] {
        assert_ne!(result(a), result(b), "{a} and {b} are the same");
    }
}

/// Whatever the layers are and wherever interfaces stand, exact gradients are exact.
#[test]
fn backpropagation_knows_no_sections() {
    let place = Place::new();
    for (i, model) in ["", "--model cnn --channels 3"].into_iter().enumerate() {
        let result = |sections: &str| {
            let flags = format!("{model} --depth 4 --method backprop --sections {sections}");
            let call = tiny(&format!("{flags} --run-dir {sections}-{i}"));
            timeless(place.results(&call))
        };
        let every = result("every");
        for sections in ["4", "1,3", "2,2"] {
            assert_eq!(result(sections), every, "{model} {sections}");
            let evaluated = place.run(&format!("eval {sections}-{i} --format json"));
            let figures = &evaluated.succeeds().json()["results"][0]["figures"];
            assert_eq!(figures["test_error"], every["results"][0]["test"]["error"]);
        }
    }
}

/// Depth is the paper's: hidden layers and the output layer. One flag makes it fifty.
#[test]
fn a_net_of_any_depth_is_one_flag() {
    let place = Place::new();
    for depth in [1, 2, 50] {
        let flags = tiny(&format!(
            "--steps 2 --depth {depth} --method cdni --run-dir d{depth}"
        ));
        let report = place.results(&flags);
        let interfaces = report["results"][0]["interfaces"].as_array();
        assert_eq!(interfaces.expect("a list").len(), depth - 1);
    }
}

/// Convolutional networks, with every kind of synthesizer, sparse and unlocked.
#[test]
fn convolutional_networks_train() {
    let place = Place::new();
    let cnn = "--model cnn --channels 3 --steps 2 --method dni,cdni";
    for (i, flags) in [
        "",
        "--synthesizer conv:2x2",
        "--synthesizer linear",
        "--synthesizer mlp:4",
        "--depth 4",
        "--depth 4 --pool-stride 2",
        "--depth 4 --sections 1,3 --unlock",
        "--unlock --update-probability 0.5",
    ]
    .into_iter()
    .enumerate()
    {
        let report = place.results(&tiny(&format!("{cnn} {flags} --run-dir r{i}")));
        assert_eq!(
            report["results"].as_array().map(Vec::len),
            Some(2),
            "{flags}"
        );
    }
    place
        .run(&tiny("--model cnn --depth 5"))
        .fails(2, &["3x3", "28x28", "--depth 4"]);
    for stride in [0, 4] {
        let flags = tiny(&format!("--model cnn --pool-stride {stride}"));
        place.run(&flags).fails(2, &["--pool-stride"]);
    }
}

#[test]
fn the_test_error_is_recorded_on_the_way() {
    let place = Place::new();
    let call = tiny("--method cdni --eval-every 5 --run-dir run");
    let done = place.run(&call).succeeds();
    let evaluations: Vec<Value> = events(&place.path("run"))
        .into_iter()
        .filter(|event| event["event"] == "evaluated")
        .collect();
    let steps: Vec<_> = evaluations.iter().map(|e| e["step"].as_u64()).collect();
    // And after the last step.
    assert_eq!(steps, [Some(5), Some(10), Some(12)]);
    for evaluation in &evaluations {
        let error = evaluation["figures"]["test_error"].as_f64();
        assert!(error.is_some_and(|e| (0.0..=1.0).contains(&e)));
        assert!(evaluation["figures"]["test_loss"].is_number());
    }
    assert!(done.stderr.contains("step 10: test error"), "{done}");
}

/// Sparse, unlocked, with drops and evaluations: a resumed run ends as an undisturbed one.
#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    const LONG: &str = "images --steps 3000 --depth 4 --units 24 --batch-size 8 --examples 64 \
                        --test-examples 32 --method cdni --unlock --update-probability 0.7 \
                        --lr-schedule 1000:0.5,2000:0.5 --eval-every 700 --run-dir run";
    let undisturbed = Place::new();
    undisturbed.run(LONG).succeeds();
    let place = Place::new();
    let folder = place.path("run");
    let mut child = place.start(LONG);
    wait_until(&mut child, || saved_step(&folder).is_some());
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    place.run("images --resume run").succeeds();
    assert_same_run(&folder, &undisturbed.path("run"));
    // The columns of an unlocked network that is evaluated and compared.
    let header = scalars(&folder)[0].join(",");
    assert_eq!(
        header,
        "step,loss,synthesizer_loss_hidden1,synthesizer_loss_hidden2,synthesizer_loss_hidden3,\
         input_loss_hidden1,input_loss_hidden2,input_loss_hidden3,rate_factor,\
         cosine_hidden1,cosine_hidden2,cosine_hidden3,norm_hidden1,norm_hidden2,norm_hidden3,\
         relative_error_hidden1,relative_error_hidden2,relative_error_hidden3,test_error,test_loss"
    );
}

/// Presets carry the paper's settings, and flags change them.
#[test]
fn presets_hold_the_settings_of_the_paper() {
    let Some(data) = std::env::var_os("DNI_DATA_DIR") else {
        eprintln!("skipped: DNI_DATA_DIR does not say where MNIST is");
        return;
    };
    let place = Place::new();
    for (preset, words) in [
        (
            "paper-mnist-fcn",
            vec!["units = 256", "unlock = false", "mlp:1024x1024"],
        ),
        ("paper-mnist-unlock", vec!["unlock = true", "mlp:1024"]),
        (
            "paper-mnist-cnn",
            vec!["cnn", "channels = 64", "conv:64x64"],
        ),
    ] {
        let call = format!(
            "images --preset {preset} --steps 1 --batch-size 4 --examples 4 --method cdni --test-examples 4 --run-dir {preset}"
        );
        let mut command = place.command(&call);
        let done = Done::of(command.env("DNI_DATA_DIR", &data)).succeeds();
        let settings = read(place.path(preset).join("settings.toml"));
        let common = [
            "data = \"mnist\"",
            "lr = 0.00003",
            "lr_schedule = \"paper\"",
            "depth = 4",
        ];
        for word in common.into_iter().chain(words) {
            assert!(settings.contains(word), "no {word} in {settings}\n{done}");
        }
    }
}

#[test]
fn samples_are_shown_without_training() {
    let place = Place::new();
    let done = place.run("images --show sheet.png").succeeds();
    assert_eq!(done.stdout, "");
    let file = fs::read(place.path("sheet.png")).expect("there is a file");
    let decoder = png::Decoder::new(std::io::Cursor::new(file));
    let reader = decoder.read_info().expect("it is a PNG");
    let info = reader.info();
    // Sixteen of each of ten digits, 28 pixels and a gap of 2 each.
    assert_eq!([info.width, info.height], [16 * 30 + 2, 10 * 30 + 2]);
    assert!(!place.path("runs").exists(), "something was trained");
    place
        .run("images --show nowhere/sheet.png")
        .fails(1, &["nowhere/sheet.png"]);
    place
        .run("images --show sheet.jpg")
        .fails(2, &["sheet.jpg", ".png"]);
    assert!(!place.path("sheet.jpg").exists());
}

#[test]
fn wrong_use_is_told_with_the_cure() {
    let place = Place::new();
    for (flags, words) in [
        (
            "--update-probability 0",
            ["above 0", "--update-probability"],
        ),
        (
            "--update-probability 1.5",
            ["up to 1", "--update-probability"],
        ),
        (
            "--update-probability nan",
            ["up to 1", "--update-probability"],
        ),
        ("--depth 0", ["at least 1", "--depth"]),
        ("--batch-size 1", ["batch norm", "2 or more"]),
        ("--units 100000", ["268435456 parameters", "fewer units"]),
        ("--depth 99999999", ["268435456 parameters", "layers"]),
        ("--lr-schedule sometimes", ["STEP:FACTOR", "--lr-schedule"]),
        (
            "--lr-schedule 5:0.1,3:0.1",
            ["order of their steps", "--lr-schedule"],
        ),
        ("--synthesizer conv", ["conv:CHANNELS", "--synthesizer"]),
        ("--method cdni --synthesizer conv:4", ["conv:4", "cnn"]),
        ("--method dni --synthesizer label", ["label", "cdni"]),
        (
            "--method dni --synthesizer probe:4",
            ["probe:4", "rls:RANK"],
        ),
        (
            "--method cdni --synthesizer rls:0",
            ["rls:RANK", "--synthesizer"],
        ),
        ("--method backprop --unlock", ["--unlock", "dni or cdni"]),
        ("--batch-size 65", ["batch of 65", "from 1 to 64"]),
        ("--data imagenet", ["imagenet", "fashion-mnist"]),
        ("--eval-every 0", ["at least 1", "--eval-every"]),
    ] {
        let done = place.run(&tiny(flags)).fails(2, &words);
        assert!(
            !place.path("runs").exists(),
            "{flags} left a folder: {done}"
        );
    }
}

/// Two that start in the same second have a folder each.
#[test]
fn programs_that_start_at_once_do_not_share_a_folder() {
    let place = Place::new();
    let started: Vec<_> = (0..4)
        .map(|_| place.start(&tiny("--method none --steps 1")))
        .collect();
    for program in started {
        let output = program.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
    }
    let folders = fs::read_dir(place.path("runs")).expect("there are runs");
    assert_eq!(folders.count(), 4);
}

/// What cannot be had is an error that says where it was looked for, and nothing is left behind.
#[test]
fn data_that_cannot_be_had_is_a_failure() {
    let place = Place::new();
    let mut command = place.command("images --data mnist --steps 1 --method none");
    let command = command
        .env("XDG_CACHE_HOME", place.path("user"))
        .env("DNI_DATA_URL", "http://127.0.0.1:9/sets");
    Done::of(command).fails(
        1,
        &[
            "http://127.0.0.1:9/sets/mnist/train-images-idx3-ubyte.gz",
            "try again",
        ],
    );

    fs::create_dir_all(place.path("data/mnist")).expect("a folder can be made");
    fs::write(place.path("data/mnist/train-images-idx3-ubyte"), "half")
        .expect("a file can be written");
    place
        .run("images --data mnist --data-dir data --steps 1 --method none")
        .fails(1, &["train-labels-idx1-ubyte", "data/mnist"]);
}

/// A folder of one experiment is not gone on with by another.
#[test]
fn folders_of_another_experiment_are_refused() {
    let place = Place::new();
    place.run(&tiny("--method none --run-dir run")).succeeds();
    place
        .run("adder --resume run")
        .fails(2, &["experiment 'images'", "dni images --resume"]);
    place.run("images --resume run").succeeds();
    place
        .run("images --resume run --depth 9")
        .fails(2, &["leave out the flags"]);
}

/// On wgpu it trains as on flex.
#[test]
fn wgpu_trains_as_flex_does() {
    if common::devices().iter().all(|(name, _)| *name != "wgpu") {
        return;
    }
    let place = Place::new();
    let [flex, wgpu] = ["flex", "wgpu"].map(|backend| {
        let call = tiny(&format!("--steps 3 --method cdni,dni --backend {backend}"));
        place.results(&format!("{call} --run-dir {backend}"))
    });
    for i in 0..2 {
        let [a, b] = [&flex, &wgpu].map(|r| r["results"][i]["test"]["loss"].as_f64());
        let (a, b) = (a.expect("a number"), b.expect("a number"));
        assert!((a - b).abs() < 1e-3 * a, "{a} and {b}");
    }
}

/// A file in the IDX format.
fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// A network knows the images that it was trained on; it may be measured on others that are asked
/// for.
#[test]
fn other_images_under_the_same_name_are_refused() {
    const IMAGES: usize = 20;
    let place = Place::new();
    let folder = place.path("data/mnist");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let write = |part: &str, first_pixel: u8| {
        let mut pixels: Vec<u8> = (0..IMAGES * 28 * 28).map(|i| (i % 251) as u8).collect();
        pixels[0] = first_pixel;
        let labels: Vec<u8> = (0..IMAGES).map(|i| (i % 10) as u8).collect();
        for (kind, bytes) in [
            ("images-idx3", idx(&[IMAGES as u32, 28, 28], &pixels)),
            ("labels-idx1", idx(&[IMAGES as u32], &labels)),
        ] {
            let path = folder.join(format!("{part}-{kind}-ubyte"));
            fs::write(path, bytes).expect("a file can be written");
        }
    };
    let images = "images --depth 2 --units 4 --steps 2 --method cdni";
    let clocks = "clocks --period 2 --units 4 --steps 2 --method decoupled";
    for (i, call) in [images, &format!("{images} --workers 2"), clocks]
        .into_iter()
        .enumerate()
    {
        let (command, _) = call.split_once(' ').expect("there are flags");
        let resume = &format!("{command} --resume run{i} --data-dir data --quiet");
        let eval = &format!("eval run{i} --data-dir data");
        write("train", 0);
        write("t10k", 0);
        let flags = format!("--data mnist --data-dir data --batch-size 4 --run-dir run{i} --quiet");
        place.run(&format!("{call} {flags}")).succeeds();
        place.run(resume).succeeds();
        place.run(eval).succeeds();
        write("t10k", 1);
        let words = [
            "mnist in data",
            "is not what this network was trained on",
            "test",
        ];
        place.run(resume).fails(1, &words);
        place.run(eval).fails(1, &words);
        write("t10k", 0);
        write("train", 1);
        let words = ["mnist", "the part to train with"];
        place.run(resume).fails(1, &words);
        place.run(eval).fails(1, &words);
        let others = format!("{eval} --data glyphs --test-examples 10");
        place.run(&others).succeeds();
    }
}
