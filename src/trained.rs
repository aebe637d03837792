//! A module together with what trains it, and how both are written to a checkpoint.

use std::any::{Any, type_name};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams, StateSink, StateSource};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_pack::{Reader, Writer};

use crate::backend;
use crate::cores::{Core, Sequence, Tick, Unrolled, View, advance};
use crate::error::{Error, Result};
use crate::optimizer::Optimizer;
use crate::pass::{Input, Pass, learning};
use crate::place::carry;
use crate::section::Section;

/// A module and its own optimizer.
#[derive(Debug, Clone)]
pub(crate) struct Trained<M> {
    /// `None` only while [`update`](Self::update) runs, which takes the module by value.
    module: Option<M>,
    optimizer: Optimizer,
    /// Which of its parameters [learn](learning).
    learns: Vec<bool>,
    /// Where the parameters lie, if there are any.
    home: Option<Device>,
}

impl<M: Module> Trained<M> {
    /// Keeps the module off the tape; a [pass](crate::pass::Pass::on_tape) puts a copy on it.
    ///
    /// # Panics
    ///
    /// If a parameter is no 32-bit float.
    pub fn new(module: M, optimizer: Optimizer) -> Self {
        module.visit(&mut OnlyF32);
        let device = module.devices().into_iter().next();
        Self {
            learns: learning(&module),
            module: Some(module.valid()),
            optimizer,
            home: device.map(Device::without_autodiff),
        }
    }

    /// # Panics
    ///
    /// If an update has failed, and lost it.
    pub fn module(&self) -> &M {
        self.module.as_ref().expect(LOST)
    }

    /// Which of its parameters [learn](learning).
    pub fn learns(&self) -> &[bool] {
        &self.learns
    }

    /// Whether those that learn can be [lent out](Optimizer::lends).
    pub fn lends(&self) -> bool {
        self.optimizer.lends(&self.learns)
    }

    /// Takes the module out, with the optimizer that lends its parameters and which of them
    /// [learn](learning).
    pub fn take(&mut self) -> (M, &mut Optimizer, &[bool]) {
        let module = self.module.take();
        let module = module.expect(LOST);
        (module, &mut self.optimizer, &self.learns)
    }

    /// Puts back the module that was [taken](Self::take), as the optimizer gives it.
    pub fn put_back(&mut self, module: impl FnOnce(&mut Optimizer) -> M) {
        self.module = Some(module(&mut self.optimizer));
    }

    /// Changes the module. If a parameter has another shape afterwards, or there are more or fewer, the
    /// optimizer begins anew.
    ///
    /// # Panics
    ///
    /// If a parameter is no 32-bit float afterwards. If `change` panics, the module is lost.
    pub fn change(&mut self, change: impl FnOnce(M) -> M) {
        let before = shapes(self.module());
        let module = self.module.take();
        let mut changed = Self::new(change(module.expect(LOST)), self.optimizer.clone());
        if shapes(changed.module()) != before {
            changed.optimizer.forget();
        }
        if let (Some(home), Some(module)) = (&self.home, changed.module.take()) {
            changed.module = Some(module.to_device(home));
            changed.home = Some(home.clone());
        }
        *self = changed;
    }

    /// A tensor where the parameters lie.
    pub fn bring(&self, tensor: Tensor<2>) -> Tensor<2> {
        match &self.home {
            Some(home) => carry(tensor, home),
            None => tensor,
        }
    }

    fn bring_input(&self, input: Input) -> Input {
        match &self.home {
            Some(home) => input.on(home),
            None => input,
        }
    }

    /// A copy that shares nothing with the original, not even the running statistics of batch
    /// norm: what is done to it leaves no trace.
    pub fn observer(&self) -> Self {
        Self::new(self.module().clone(), self.optimizer.clone())
    }
}

/// What can be done with a trained module whatever its type.
pub(crate) trait AnyTrained: Send {
    /// One step of the optimizer.
    fn update(&mut self, gradients: GradientsParams);

    /// The same on the sum of some gradients; none leave everything as it is.
    fn update_by_sum(&mut self, gradients: Vec<GradientsParams>);

    /// A copy of its gradients, which shares their values.
    fn copy_of(&self, gradients: &GradientsParams) -> GradientsParams;

    /// How many numbers its gradients have.
    fn numbers_in(&self, gradients: &GradientsParams) -> usize;

    /// Changes the learning rate from the next update on.
    fn set_learning_rate(&mut self, learning_rate: f64);

    /// Multiplies the learning rate by `factor` from the next update on.
    fn set_rate_factor(&mut self, factor: f64);

    /// Brings running statistics up to date. Batch norm keeps the newest ones by the thread that
    /// made them, and another thread that went on from there would miss them.
    fn sync_statistics(&mut self);

    /// Whether every parameter is a finite number, as far as there are any.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    fn is_finite(&self) -> Result<bool>;

    /// Where its parameters lie, if it has any.
    fn home(&self) -> Option<&Device>;

    /// Itself, a [`Trained`] of its module's type.
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// Where its parameters lie; the default device if it has none.
    fn device(&self) -> Device {
        self.home().cloned().unwrap_or_default()
    }

    /// Moves parameters and optimizer states to another device.
    ///
    /// # Errors
    ///
    /// If a state cannot be moved.
    fn move_to(&mut self, device: &Device) -> Result<()>;

    /// Writes parameters as `prefix.parameters.path` and optimizer states as `prefix.optimizer.*`.
    ///
    /// # Errors
    ///
    /// If a parameter cannot be written, or an update has failed and lost them.
    fn save(&self, prefix: &str, sink: &mut StateSink) -> Result<()>;

    /// Reads back what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// If a parameter is missing or has another shape.
    fn load(&mut self, prefix: &str, source: &mut StateSource) -> Result<()>;
}

impl<M: Module + 'static> AnyTrained for Trained<M> {
    fn update(&mut self, gradients: GradientsParams) {
        let module = self.module.take();
        self.module = module.map(|module| {
            self.optimizer
                .update_learning(module, gradients, &self.learns)
        });
    }

    fn update_by_sum(&mut self, gradients: Vec<GradientsParams>) {
        let mut sum = GradientsAccumulator::new();
        for gradients in gradients {
            sum.accumulate(self.module(), gradients);
        }
        self.update(sum.grads());
    }

    fn copy_of(&self, gradients: &GradientsParams) -> GradientsParams {
        let mut copy = Copied {
            gradients,
            copy: GradientsParams::new(),
        };
        self.module().visit(&mut copy);
        copy.copy
    }

    fn numbers_in(&self, gradients: &GradientsParams) -> usize {
        let mut count = Count {
            gradients,
            numbers: 0,
        };
        self.module().visit(&mut count);
        count.numbers
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    fn set_rate_factor(&mut self, factor: f64) {
        self.optimizer.set_rate_factor(factor);
    }

    fn sync_statistics(&mut self) {
        self.module = self.module.take().map(|module| module.valid());
    }

    fn is_finite(&self) -> Result<bool> {
        let mut sums = Sums(Vec::new());
        if let Some(module) = &self.module {
            module.visit(&mut sums);
        }
        if sums.0.is_empty() {
            return Ok(true);
        }
        let sums = backend::read(Tensor::cat(sums.0, 0))?;
        Ok(sums.iter().all(|sum| sum.is_finite()))
    }

    fn home(&self) -> Option<&Device> {
        self.home.as_ref()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn move_to(&mut self, device: &Device) -> Result<()> {
        if self.home.is_none() {
            return Ok(());
        }
        self.sync_statistics();
        self.module = self.module.take().map(|module| module.to_device(device));
        self.home = Some(device.clone().without_autodiff());
        self.optimizer.move_to(device)
    }

    fn save(&self, prefix: &str, sink: &mut StateSink) -> Result<()> {
        // `valid` brings the running statistics of batch norm up to date, of which a record
        // would miss the last step.
        let module = self.module.as_ref().ok_or_else(lost)?;
        let record = module.valid().into_record().into_bytes()?;
        for tensor in Reader::from_bytes(record)?.into_tensors()? {
            let (name, dtype, shape, _, bytes) = tensor.into_parts()?;
            let data = TensorData::from_bytes(bytes, shape, dtype);
            sink.push_tensor(&parameters(prefix), &name, data);
        }
        self.optimizer.save(&optimizer(prefix), sink);
        Ok(())
    }

    fn load(&mut self, prefix: &str, source: &mut StateSource) -> Result<()> {
        let module = self.module.clone().ok_or_else(lost)?;
        let mut paths = Paths::default();
        module.visit(&mut paths);
        let mut tensors = Vec::new();
        for path in &paths.found {
            let data = source
                .take_tensor(&parameters(prefix), path)
                .ok_or_else(|| Error::MissingTensor {
                    name: format!("{}.{path}", parameters(prefix)),
                })?;
            let (bytes, shape, dtype) = data.into_parts();
            tensors.push(burn_pack::Tensor::new(
                path.clone(),
                dtype,
                shape,
                None,
                bytes,
            ));
        }
        let record = ModuleRecord::from_bytes(Writer::new(tensors).into_bytes()?)?;
        self.module = Some(module.try_load_record(record)?);
        let parameters = paths.found.len();
        if parameters > 0 {
            self.optimizer
                .load(&optimizer(prefix), parameters, source, &self.device())?;
        }
        Ok(())
    }
}

/// A section of any type with its optimizer.
pub(crate) trait AnySection: AnyTrained {
    fn pass(&self, input: Input) -> Pass;
    fn predict(&self, input: Input) -> Tensor<2>;
    fn observer(&self) -> Box<dyn AnySection>;
    fn as_any(&self) -> &dyn Any;
    fn name_of_type(&self) -> &'static str;
}

impl<S: Section> AnySection for Trained<S> {
    fn pass(&self, input: Input) -> Pass {
        self.module().pass(self.bring_input(input))
    }

    fn predict(&self, input: Input) -> Tensor<2> {
        let section = self.module().valid();
        let input = match self.bring_input(input) {
            Input::Data(input) | Input::Message(input) => input,
            Input::Tokens(tokens) => section.embed(tokens),
        };
        section.predict(input)
    }

    fn observer(&self) -> Box<dyn AnySection> {
        Box::new(Trained::observer(self))
    }

    fn as_any(&self) -> &dyn Any {
        self.module()
    }

    fn name_of_type(&self) -> &'static str {
        type_name::<S>()
    }
}

/// A recurrent core of any type with its optimizer.
pub(crate) trait AnyCore: AnyTrained {
    fn state_features(&self) -> usize;
    fn view(&self, state: Tensor<2>) -> View;
    /// Step `t` of a sequence, from the state that the one before left.
    fn step(&self, sequence: &Sequence, t: usize, state: Tensor<2>) -> Tick;
    fn unroll(&self, sequence: Sequence, state: Tensor<2>) -> Unrolled;
    fn observer(&self) -> Box<dyn AnyCore>;
    fn as_any(&self) -> &dyn Any;
}

impl<C: Core> AnyCore for Trained<C> {
    fn state_features(&self) -> usize {
        self.module().state_features()
    }

    fn view(&self, state: Tensor<2>) -> View {
        self.module().view(state)
    }

    fn step(&self, sequence: &Sequence, t: usize, state: Tensor<2>) -> Tick {
        let state = sequence.kept(state, t);
        advance(self.module(), sequence.inputs.step(t), state)
    }

    fn unroll(&self, sequence: Sequence, state: Tensor<2>) -> Unrolled {
        self.module().unroll(sequence, state)
    }

    fn observer(&self) -> Box<dyn AnyCore> {
        Box::new(Trained::observer(self))
    }

    fn as_any(&self) -> &dyn Any {
        self.module()
    }
}

/// What is left of a module whose update panicked.
const LOST: &str = "an update of this network failed half-way and parameters were lost; build it \
                    anew and go on from the last checkpoint";

fn lost() -> Error {
    Error::Invalid(LOST.to_string())
}

fn parameters(prefix: &str) -> String {
    format!("{prefix}.parameters")
}

fn optimizer(prefix: &str) -> String {
    format!("{prefix}.optimizer")
}

/// Collects the dotted path of every float parameter.
#[derive(Default)]
struct Paths {
    current: Vec<String>,
    found: Vec<String>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.current.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.current.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.found.push(self.current.join("."));
    }
}

/// Refuses parameters of other numbers than are computed with.
struct OnlyF32;

impl ModuleVisitor for OnlyF32 {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let dtype = param.val().dtype();
        assert!(
            dtype == DType::F32,
            "networks are trained in 32-bit floats, but a parameter of this module is of {dtype:?}; \
             build it with a device whose floats have 32 bits, or cast it"
        );
    }
}

/// Copies the gradients of a module.
struct Copied<'a> {
    gradients: &'a GradientsParams,
    copy: GradientsParams,
}

impl ModuleVisitor for Copied<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.copy.register(param.id, gradient);
        }
    }
}

/// Counts the numbers in the gradients of a module.
struct Count<'a> {
    gradients: &'a GradientsParams,
    numbers: usize,
}

impl ModuleVisitor for Count<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = self.gradients.get::<D>(param.id);
        self.numbers += gradient.map_or(0, |gradient| gradient.shape().num_elements());
    }
}

/// The shape of every parameter.
fn shapes<M: Module>(module: &M) -> Vec<Vec<usize>> {
    let mut shapes = Shapes(Vec::new());
    module.visit(&mut shapes);
    shapes.0
}

struct Shapes(Vec<Vec<usize>>);

impl ModuleVisitor for Shapes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().dims().to_vec());
    }
}

/// The sum of every float parameter. It is finite only if every term is, but for an overflow, which is
/// as bad.
struct Sums(Vec<Tensor<1>>);

impl ModuleVisitor for Sums {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().inner().sum());
    }
}
