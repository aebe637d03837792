//! Parameters for other tools: what an exported file holds, and that it computes the same there.

mod common;

use std::fs;
use std::process::Command;

use burn::tensor::{Device, Tensor};
use common::kept::written;
use common::program::Place;
use common::{TempDir, random, seeded, values};
use dni::learner::Network;
use dni::run::Checkpoint;
use dni::{
    Batch, Chain, Core, Credit, Dense, DenseConfig, GruConfig, Interface, LinearSynthesizerConfig,
    Loss, LstmConfig, Optimizer, Recurrent, Sequence, Window,
};
use safetensors::SafeTensors;
use serde_json::json;

const BATCH: usize = 5;

/// The file that a checkpoint of a network is exported to.
fn exported(network: &impl Network) -> Vec<u8> {
    let (_folder, path) = written(network);
    Checkpoint::read(&path)
        .and_then(|checkpoint| checkpoint.to_safetensors())
        .expect("a checkpoint can be exported")
}

/// Checks with Python, if it has safetensors, that the parameters answer as the network does.
fn check_in_python<const D: usize>(kind: &str, file: &[u8], input: Tensor<D>, output: Tensor<D>) {
    let run = |arguments: &[&str]| Command::new("python3").args(arguments).output();
    let has_safetensors = run(&["-c", "import numpy, safetensors"]);
    if !has_safetensors.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped {kind}, as Python has no safetensors and numpy");
        return;
    }
    let folder = TempDir::new();
    let [parameters, case] = ["net.safetensors", "case.json"].map(|name| folder.path().join(name));
    let text = json!({
        "kind": kind,
        "input": values(input.clone()),
        "input_shape": input.dims().to_vec(),
        "output": values(output),
    });
    fs::write(&parameters, file).expect("a file can be written");
    fs::write(&case, text.to_string()).expect("a file can be written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/export.py");
    let [parameters, case] = [parameters, case].map(|path| path.display().to_string());
    let output = run(&[script, &parameters, &case]).expect("python has just been started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kind}: {stderr}");
}

/// A chain of two sections that has learned a little.
fn chain(device: &Device) -> Chain {
    let rng = &mut seeded(1);
    let hidden = DenseConfig::new(3, 4).with_batch_norm(true);
    let synthesizer = LinearSynthesizerConfig::new(4).with_contexts(2);
    let output = DenseConfig::new(4, 2).linear();
    let mut chain = Chain::new(Loss::SquaredError)
        .section("hidden", hidden.init(rng, device), Optimizer::adam(0.01))
        .interface(Interface::new(
            synthesizer.init(rng, device),
            Optimizer::adam(0.01),
        ))
        .section("output", output.init(rng, device), Optimizer::adam(0.01));
    for seed in 2..22 {
        let target = random([BATCH, 2], &mut seeded(seed + 100), device);
        let input = random([BATCH, 3], &mut seeded(seed), device);
        let context = Some(target.clone());
        chain.step(
            Batch {
                context,
                ..Batch::new(input, target)
            },
            Credit::Synthetic,
        );
    }
    chain
}

#[test]
fn a_chain_has_the_names_and_layouts_of_pytorch() {
    let device = &Device::flex();
    let chain = chain(device);
    let file = exported(&chain);
    let tensors = SafeTensors::deserialize(&file).expect("it is a safetensors file");
    let mut shapes: Vec<_> = tensors
        .iter()
        .map(|(name, view)| (name, view.shape().to_vec()))
        .collect();
    shapes.sort();
    let expected = [
        ("sections.0.norm.bias", vec![4]),
        ("sections.0.norm.running_mean", vec![4]),
        ("sections.0.norm.running_var", vec![4]),
        ("sections.0.norm.weight", vec![4]),
        ("sections.0.weight", vec![4, 3]),
        ("sections.1.bias", vec![2]),
        ("sections.1.weight", vec![2, 4]),
        ("synthesizers.0.map.bias", vec![4]),
        ("synthesizers.0.map.weight", vec![4, 6]),
    ];
    assert_eq!(shapes, expected);
    let hidden: &Dense = chain.get("hidden").expect("it is there");
    let bytes = |tensor: Tensor<2>| -> Vec<u8> {
        values(tensor)
            .into_iter()
            .flat_map(f32::to_le_bytes)
            .collect()
    };
    let weight = tensors.tensor("sections.0.weight").expect("it is there");
    assert_eq!(weight.data(), bytes(hidden.weight.val().transpose()));
}

#[test]
fn exported_parameters_answer_as_the_network_does() {
    let device = &Device::flex();
    let chain = chain(device);
    let file = exported(&chain);
    let input = random([BATCH, 3], &mut seeded(50), device);
    check_in_python("chain", &file, input.clone(), chain.predict(input));

    let [message, context] = [(4, 51), (2, 52)]
        .map(|(features, seed)| random([BATCH, features], &mut seeded(seed), device));
    let both = Tensor::cat(vec![message.clone(), context.clone()], 1);
    let interface = &chain.interfaces()[0];
    let prediction = interface.predict(message, Some(context));
    // Synthesizers predict the gradient of one example's loss, of which a chain takes the mean.
    let of_example = prediction.delta_hat().mul_scalar(BATCH as f32);
    check_in_python("synthesizer", &file, both, of_example);

    let lstm = LstmConfig::new(3, 4).init(&mut seeded(1), device);
    check_recurrent("lstm", lstm, device);
    let gru = GruConfig::new(3, 4).init(&mut seeded(1), device);
    check_recurrent("gru", gru, device);
}

fn check_recurrent(kind: &str, core: impl Core, device: &Device) {
    const STEPS: usize = 6;
    let readout = DenseConfig::new(4, 2).linear().init(&mut seeded(2), device);
    let adam = || Optimizer::adam(0.05);
    let mut network = Recurrent::new(Loss::SquaredError, (core, adam()), (readout, adam()));
    let random = |features: usize, seed: u64| {
        let rows = random([STEPS * BATCH, features], &mut seeded(seed), device);
        rows.reshape([STEPS, BATCH, features])
    };
    let sequence = |seed: u64| Sequence::new(random(3, seed));
    for seed in 0..10 {
        network.step(Window {
            sequence: sequence(seed),
            targets: random(2, seed + 100).into(),
            weights: None,
            next: None,
        });
    }
    let (outputs, _) = network.predict(&sequence(50), None);
    check_in_python(kind, &exported(&network), random(3, 50), outputs);
}

const RUN: &str = "images --steps 3 --depth 2 --units 8 --batch-size 8 --examples 32 \
                   --test-examples 16 --method cdni --quiet --run-dir run";

#[test]
fn runs_are_exported_and_measured_again() {
    let place = Place::new();
    let result = &place.results(RUN)["results"][0];
    let done = place.run("export run --output net.safetensors").succeeds();
    assert_eq!(done.stdout, "parameters after step 3: net.safetensors\n");
    let file = fs::read(place.path("net.safetensors")).expect("there is a file");
    let (_, metadata) = SafeTensors::read_metadata(&file).expect("it is a safetensors file");
    let metadata = metadata.metadata().as_ref().expect("it has metadata");
    assert_eq!(metadata["step"], "3");
    assert!(metadata["settings"].contains("experiment = \"images\""));

    let again = place.results("eval run");
    assert_eq!(again["results"][0]["run"], "run");
    let figures = &again["results"][0]["figures"];
    assert_eq!(figures["test_error"], result["test"]["error"]);
    assert_eq!(figures["test_loss"], result["test"]["loss"]);
    let table = place.run("eval run --test-examples 4").succeeds();
    assert!(
        table
            .stdout
            .starts_with("run  step  test error %  test loss\nrun     3"),
        "{table}"
    );
}

#[test]
fn wrong_uses_are_explained() {
    let place = Place::new();
    place.run(RUN).succeeds();
    place
        .run("export run -o net.pt")
        .fails(2, &["net.pt", ".safetensors"]);
    place
        .run("export nowhere -o a.safetensors")
        .fails(1, &["nowhere"]);
    place
        .run("eval run --data cifar10")
        .fails(2, &["another shape"]);
    place
        .run("adder --steps 2 --method dni -q --run-dir sums")
        .succeeds();
    place
        .run("eval sums --data mnist")
        .fails(2, &["leave out --data"]);
    place
        .run("copy --budget 5 --units 4 --method bptt -q --run-dir copy")
        .succeeds();
    place
        .run("eval copy --data mnist")
        .fails(2, &["copy uses no images", "leave out --data"]);
}

/// What a run has measured at its end, or at its best, it measures again; Copy on other episodes.
#[test]
fn recurrent_runs_are_measured_again() {
    let place = Place::new();
    let tiny = "--units 8 --batch-size 4 --method";
    let run = |call: &str| place.results(call)["results"][0].clone();
    let again = |folder: &str| run(&format!("eval {folder}"))["figures"].clone();

    let text = run(&format!(
        "text --characters 2000 --budget 6 --eval-every 3 {tiny} dni --run-dir text"
    ));
    let figures = again("text");
    let bits = &text["bits_per_character"];
    assert_eq!(figures["valid_bits_per_character"], bits["valid"]);
    assert_eq!(figures["test_bits_per_character"], bits["test"]);

    let clocks = run(&format!(
        "clocks --period 2 --examples 64 --test-examples 32 --steps 6 {tiny} conditional --run-dir \
         clocks"
    ));
    let figures = again("clocks");
    assert_eq!(figures["slow_error"], clocks["slow"]["error"]);
    assert_eq!(figures["fast_loss"], clocks["fast"]["loss"]);

    run(&format!("copy --budget 400 {tiny} dni --run-dir copy"));
    let figures = again("copy");
    let bits = figures["bits"].as_f64().expect("a number");
    assert!((0.5..1.1).contains(&bits), "{figures}");
    assert_eq!(figures["longest"], 0.0);
    assert!(figures["longest_bits"].is_null());
}

#[test]
fn shells_get_their_completions() {
    let place = Place::new();
    for (shell, words) in [
        ("bash", ["complete -F", "--update-probability"]),
        ("zsh", ["#compdef dni", "--update-probability"]),
        ("fish", ["complete -c dni", "update-probability"]),
    ] {
        let done = place.run(&format!("completions {shell}")).succeeds();
        for word in words {
            assert!(done.stdout.contains(word), "no {word} in that of {shell}");
        }
    }
    place.run("completions cmd").fails(2, &["bash", "fish"]);
}
