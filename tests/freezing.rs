//! What the user froze with burn's `no_grad` or `freeze` stays as it is, on every path: values,
//! optimizer states and running statistics.

mod common;

use burn::module::{Module, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor};
use common::{
    Checks, Gated, Watched, floats, on_devices, on_every_device, parameters, random, seeded, values,
};
use dni::data::ImageShape;
use dni::recurrent::{Core, Deltas, Embedded, GruConfig, LstmConfig, Sequence};
use dni::{
    Backend, Batch, Chain, Conv, ConvConfig, ConvSynthesizerConfig, Credit, Data, Dense,
    DenseConfig, Init, Input, Interface, LabelSynthesizerConfig, LeastSquaresSynthesizerConfig,
    LinearSynthesizerConfig, Loss, LowRankSynthesizerConfig, LrSchedule, Mlp, MlpSynthesizerConfig,
    Optimizer, Pass, Section, Synthesizer, Threaded,
};

const BATCH: usize = 5;
const BACKENDS: [Backend; 2] = [Backend::Flex, Backend::Ndarray];

/// Freezes each parameter in turn, and all of them, and takes steps with gradients for whatever has
/// one.
fn check<M: Module>(
    name: &str,
    module: M,
    gradients: impl Fn(&M) -> GradientsParams,
    checks: &mut Checks,
) {
    let module = module.valid();
    let moved = Optimizer::sgd(1.0).update(module.clone(), gradients(&module));
    // What has no gradient stays anyway.
    let ids = parameters(&module).into_iter().map(|(id, _)| id);
    let ids: Vec<ParamId> = ids
        .filter(|&id| value(&moved, id) != value(&module, id))
        .collect();
    checks.that(format!("{name}: learns nothing"), !ids.is_empty());
    // Least squares moves on with every batch that it sees.
    let again = Optimizer::sgd(1.0).update(module.clone(), gradients(&module));
    let repeats = ids.iter().all(|&id| value(&again, id) == value(&moved, id));
    let alone = ids.iter().map(|&id| vec![id]);
    for frozen in alone.chain([ids.clone()]) {
        let name = format!("{name}, {} of {} frozen", frozen.len(), ids.len());
        let group = ParamGroup::from_ids(frozen.clone());
        let mut at_work = module.clone().freeze_group(group.clone());
        let new = || Optimizer::new(AdamWConfig::new().with_weight_decay(0.1), 0.1);
        let mut optimizer = new();
        for _ in 0..2 {
            let gradients = gradients(&at_work);
            at_work = optimizer.update(at_work, gradients);
        }
        for &id in &ids {
            let is_as_before = value(&at_work, id) == value(&module, id);
            let is_right = is_as_before == frozen.contains(&id);
            checks.that(
                format!("{name}: parameter {id} learned or did not"),
                is_right,
            );
        }
        // Thawed, it learns as if there had been no step before.
        if !repeats {
            continue;
        }
        let at_work = at_work.unfreeze_group(group);
        let after = optimizer.update(at_work.clone(), gradients(&at_work));
        let fresh = new().update(at_work.clone(), gradients(&at_work));
        for &id in &frozen {
            let is_same = value(&after, id) == value(&fresh, id);
            checks.that(format!("{name}: the state of {id} has moved"), is_same);
        }
    }
}

fn value<M: Module>(module: &M, id: ParamId) -> Vec<f32> {
    let found = floats(module).into_iter().find(|(other, _)| *other == id);
    values(found.expect("a parameter keeps its id").1)
}

/// A gradient at the output of a pass, sent back.
fn sent_back(pass: Pass) -> GradientsParams {
    let delta = random(pass.output.dims(), &mut seeded(5), &pass.output.device());
    pass.back(delta).parameters
}

fn check_section<S: Section>(
    name: &str,
    section: S,
    inputs: usize,
    device: &Device,
    checks: &mut Checks,
) {
    let input = random([BATCH, inputs], &mut seeded(3), device);
    for input in [Input::Data(input.clone()), Input::Message(input)] {
        let gradients = |section: &S| sent_back(section.pass(input.clone()));
        check(name, section.clone(), gradients, checks);
    }
}

#[test]
fn frozen_parameters_of_sections_stay() {
    on_devices(&BACKENDS, |device, checks| {
        let rng = &mut seeded(1);
        // Small and large: each has loops of its own.
        for units in [4, 600] {
            for norm in [false, true] {
                let name = format!("dense of {units}, batch norm {norm}");
                let dense = DenseConfig::new(90, units).with_batch_norm(norm);
                check_section(&name, dense.init(rng, device), 90, device, checks);
            }
        }
        let layers = [[3, 4], [4, 2]].map(|[i, o]| DenseConfig::new(i, o).init(rng, device));
        check_section("mlp", Mlp::new(layers.to_vec()), 3, device, checks);
        let [value, gate] = [(); 2].map(|()| DenseConfig::new(3, 4).linear().init(rng, device));
        check_section("gated", Gated { value, gate }, 3, device, checks);
        for norm in [false, true] {
            let conv = conv(norm, device);
            check_section("convolution", conv, shape().len(), device, checks);
        }
    });
}

fn shape() -> ImageShape {
    ImageShape {
        channels: 2,
        height: 4,
        width: 3,
    }
}

fn conv(norm: bool, device: &Device) -> Conv {
    ConvConfig::new(shape(), 3)
        .with_kernel(3)
        .with_batch_norm(norm)
        .init(&mut seeded(1), device)
}

fn check_synthesizer<M: Synthesizer>(
    name: &str,
    synthesizer: M,
    device: &Device,
    checks: &mut Checks,
) {
    let rng = &mut seeded(3);
    let message = random([BATCH, synthesizer.features()], rng, device);
    let contexts = synthesizer.contexts();
    let context = (contexts > 0).then(|| random([BATCH, contexts], rng, device));
    let gradients = |m: &M| sent_back(m.pass(message.clone(), context.clone()));
    check(name, synthesizer, gradients, checks);
}

#[test]
fn frozen_parameters_of_synthesizers_stay() {
    on_devices(&BACKENDS, |device, checks| {
        let rng = &mut seeded(1);
        let linear = LinearSynthesizerConfig::new(6).with_contexts(3);
        check_synthesizer("linear", linear.init(rng, device), device, checks);
        let low_rank = LowRankSynthesizerConfig::new(6, 2).with_contexts(3);
        let mut low_rank = low_rank.init(rng, device);
        // From zero on nothing would reach what lies below.
        let init = Init::Normal {
            mean: 0.0,
            std: 1.0,
        };
        low_rank.up = DenseConfig::new(5, 6)
            .linear()
            .with_init(init)
            .init(rng, device);
        check_synthesizer("low rank", low_rank, device, checks);
        let label = LabelSynthesizerConfig::new(6, 3).init(rng, device);
        check_synthesizer("label", label, device, checks);
        let mut mlp = MlpSynthesizerConfig::new(6, vec![4]).init(rng, device);
        mlp.map.layers[1] = DenseConfig::new(4, 6)
            .linear()
            .with_init(init)
            .init(rng, device);
        check_synthesizer("mlp", mlp, device, checks);
        let mut conv = ConvSynthesizerConfig::new(shape(), vec![3]).with_kernel(3);
        conv.batch_norm = false;
        let mut conv = conv.init(rng, device);
        let image = ImageShape {
            channels: 3,
            ..shape()
        };
        conv.layers[1] = ConvConfig::new(image, 2)
            .with_kernel(3)
            .linear()
            .init(rng, device);
        check_synthesizer("convolutional", conv, device, checks);
        let squares = LeastSquaresSynthesizerConfig::new(6, 2).with_contexts(3);
        check_synthesizer("least squares", squares.init(rng, device), device, checks);
    });
}

fn of_steps(features: usize, seed: u64, device: &Device) -> Tensor<3> {
    random([3 * BATCH, features], &mut seeded(seed), device).reshape([3, BATCH, features])
}

fn check_core<C: Core>(
    name: &str,
    core: C,
    inputs: impl Into<Data<3>>,
    device: &Device,
    checks: &mut Checks,
) {
    let (inputs, outputs) = (inputs.into(), of_steps(4, 4, device));
    let gradients = |core: &C| {
        let sequence = Sequence::new(inputs.clone());
        let state = Tensor::ones([BATCH, core.state_features()], device) * 0.3;
        let unrolled = core.unroll(sequence, state);
        let deltas = Deltas {
            outputs: outputs.clone(),
            first: None,
            last: None,
        };
        unrolled.back(deltas).0
    };
    check(name, core, gradients, checks);
}

#[test]
fn frozen_parameters_of_cores_stay() {
    on_devices(&BACKENDS, |device, checks| {
        let rng = &mut seeded(1);
        let numbers = || of_steps(2, 3, device);
        let lstm = LstmConfig::new(2, 4).init(rng, device);
        let table = Embedded::new(7, 2, lstm.clone(), rng, device);
        check_core("lstm", lstm, numbers(), device, checks);
        let gru = GruConfig::new(2, 4).init(rng, device);
        check_core("gru", gru, numbers(), device, checks);
        let tokens = Tensor::<1, Int>::arange(0..3 * BATCH as i64, device) % 7;
        let tokens = tokens.reshape::<2, _>([3, BATCH]);
        check_core("embedded", table, tokens, device, checks);
    });
}

/// A norm that is frozen whole takes its running statistics in training too, and leaves them.
#[test]
fn a_frozen_norm_keeps_its_statistics() {
    fn check_norm<S: Section>(name: &str, section: S, input: Tensor<2>, checks: &mut Checks) {
        let section = section.valid();
        // Other statistics than those it begins with.
        section.pass(Input::Data(input.clone() * 2.0 + 1.0));
        let section = section.valid().freeze();
        let before = all_values(&section);
        let pass = section.pass(Input::Message(input.clone()));
        checks.close(
            format!("{name}: output"),
            &values(pass.output),
            &values(section.valid().forward(input)),
            1e-5,
        );
        checks.that(
            format!("{name}: statistics"),
            all_values(&section) == before,
        );
    }
    on_devices(&BACKENDS, |device, checks| {
        let rng = &mut seeded(2);
        let dense = DenseConfig::new(6, 4)
            .with_batch_norm(true)
            .init(rng, device);
        check_norm("dense", dense, random([BATCH, 6], rng, device), checks);
        let images = random([BATCH, shape().len()], rng, device);
        check_norm("convolution", conv(true, device), images, checks);
    });
}

/// Takes three steps on a batch.
type Train = fn(Chain, &Batch) -> Chain;

fn step_by_step(credit: Credit, mut chain: Chain, batch: &Batch) -> Chain {
    for _ in 0..3 {
        chain.step(batch.clone(), credit);
    }
    chain
}

fn by_workers(threaded: dni::Result<Threaded>, credit: Credit, batch: &Batch) -> Chain {
    let mut threaded = threaded.expect("the split is right");
    threaded
        .train(0..3, &credit.into(), &LrSchedule::default(), |_| {
            batch.clone()
        })
        .expect("nothing goes wrong");
    threaded.into_chain()
}

/// Every way to train a chain of three sections.
const WAYS: [(&str, Train); 6] = [
    ("backprop", |chain, batch| {
        step_by_step(Credit::Backprop, chain, batch)
    }),
    ("synthetic", |chain, batch| {
        step_by_step(Credit::Synthetic, chain, batch)
    }),
    ("mixed", |chain, batch| {
        step_by_step(Credit::Mixed { lambda: 0.5 }, chain, batch)
    }),
    ("workers", |chain, batch| {
        by_workers(Threaded::new(chain, &[1; 3]), Credit::Synthetic, batch)
    }),
    ("pipeline", |chain, batch| {
        by_workers(
            Threaded::pipeline(chain, &[1; 3], 2),
            Credit::Backprop,
            batch,
        )
    }),
    ("data-parallel", |chain, batch| {
        by_workers(Threaded::data_parallel(chain, 2), Credit::Backprop, batch)
    }),
];

/// Whole sections and a synthesizer, in a chain: what is above and between them goes on learning.
#[test]
fn what_is_frozen_in_a_chain_stays() {
    on_every_device(|device, checks| {
        for (way, train) in WAYS {
            let rng = &mut seeded(1);
            let [value, gate] = [(); 2].map(|()| DenseConfig::new(3, 4).linear().init(rng, device));
            let gated = Gated { value, gate }.freeze();
            let dense = |inputs, rng: &mut _| DenseConfig::new(inputs, 4).init(rng, device);
            let (mut half, top) = (dense(4, rng), dense(4, rng).no_grad());
            half.bias = half.bias.map(|bias| bias.no_grad());
            let synthesizer = LinearSynthesizerConfig::new(4).init(rng, device);
            let (frozen, notes) = Watched::new(synthesizer.clone().no_grad());
            let chain = Chain::new(Loss::SquaredError)
                .section("gated", gated.clone(), Optimizer::adam(0.1))
                .interface(Interface::new(frozen, Optimizer::adam(0.1)))
                .section("half", half.clone(), Optimizer::adam(0.1))
                .interface(Interface::new(synthesizer, Optimizer::adam(0.1)))
                .section("top", top.clone(), Optimizer::adam(0.1));
            let batch = Batch::new(
                random([BATCH, 3], rng, device),
                random([BATCH, 4], rng, device),
            );
            let chain = train(chain, &batch);
            let now = chain.get::<Gated>("gated").expect("it is one");
            let is_same = all_values(now) == all_values(&gated);
            checks.that(format!("{way}: a frozen section learned"), is_same);
            let now = chain.get::<Dense>("top").expect("it is one");
            let is_same = all_values(now) == all_values(&top);
            checks.that(format!("{way}: the frozen top learned"), is_same);
            let now = all_values(chain.get::<Dense>("half").expect("it is one"));
            let before = all_values(&half);
            checks.that(format!("{way}: a weight rests"), now[0] != before[0]);
            checks.that(format!("{way}: a frozen bias learned"), now[1] == before[1]);
            let zeros = notes.read().concat().iter().all(|&value| value == 0.0);
            checks.that(format!("{way}: a frozen synthesizer learned"), zeros);
        }
    });
}

fn all_values<M: Module>(module: &M) -> Vec<Vec<f32>> {
    floats(module).into_iter().map(|(_, v)| values(v)).collect()
}
