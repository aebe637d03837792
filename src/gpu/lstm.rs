//! The gates of a long short-term memory, forward and backward.
//!
//! Gates lie side by side in the order i, f, g, o, as in [`host::lstm`](crate::host::lstm), whose
//! formulas these are. What is kept of all steps lies one step after the other.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::{Buffer, one_each};

/// What a window keeps for its way back.
pub(crate) struct Steps {
    pub steps: usize,
    pub batch: usize,
    pub units: usize,
    /// What goes into the gates, `[steps, batch, 4 * units]`; becomes the gates and, on the way
    /// back, `dL/dz`.
    pub gates: Buffer,
    /// `h` before every step and after the last, `[steps + 1, batch, units]`.
    pub h: Buffer,
    /// `c`, likewise.
    pub c: Buffer,
    /// `tanh(c_t)`, `[steps, batch, units]`.
    pub squashed: Buffer,
    /// `h_t` as it leaves a step, `[steps, batch, units]`.
    pub outputs: Buffer,
    /// The states after the first and the last step, `[2, batch, 2 * units]`.
    pub states: Buffer,
    /// What of the state before each step is kept, `[steps, batch]`; none for all.
    pub keep_mask: Option<Buffer>,
}

/// The gradients at what a window sends out.
pub(crate) struct Deltas {
    /// `[steps, batch, units]`
    pub outputs: Buffer,
    /// At the state after the first step, `[batch, 2 * units]`.
    pub first: Option<Buffer>,
    /// At the state after the last step, `[batch, 2 * units]`.
    pub last: Option<Buffer>,
}

impl Steps {
    /// Room for a window that begins in `state`, `[batch, 2 * units]`, with what the inputs send
    /// into the gates, `[steps, batch, 4 * units]`.
    pub fn new(gates: Buffer, state: &Buffer, units: usize, keep_mask: Option<Buffer>) -> Self {
        let batch = state.len() / (2 * units);
        let steps = gates.len() / (4 * batch * units);
        let [h, c] = [(); 2].map(|()| gates.new_beside([steps + 1, batch, units]));
        let [squashed, outputs] = [(); 2].map(|()| gates.new_beside([steps, batch, units]));
        let states = gates.new_beside([2, batch, 2 * units]);
        let client = gates.client();
        let (count, dim) = one_each(client, batch * units);
        // SAFETY: every index is that of a unit of a sequence.
        unsafe {
            begin_kernel::launch_unchecked(
                client,
                count,
                dim,
                state.arg(),
                h.arg(),
                c.arg(),
                keep_mask.as_ref().map(Buffer::arg).into(),
                batch,
                units,
            );
        };
        Self {
            steps,
            batch,
            units,
            gates,
            h,
            c,
            squashed,
            outputs,
            states,
            keep_mask,
        }
    }

    /// Step `t`, into whose gates the outputs before send `recurrent`, `[batch, 4 * units]`.
    pub fn forward(&self, t: usize, recurrent: &Buffer, bias: &Buffer) {
        let client = self.gates.client();
        let (count, dim) = one_each(client, self.batch * self.units);
        // SAFETY: every index is that of a unit of a sequence in step `t`, or of what comes after
        // it, for which there is room.
        unsafe {
            forward_kernel::launch_unchecked(
                client,
                count,
                dim,
                self.gates.arg(),
                recurrent.arg(),
                bias.arg(),
                self.h.arg(),
                self.c.arg(),
                self.squashed.arg(),
                self.outputs.arg(),
                self.states.arg(),
                self.keep_mask.as_ref().map(Buffer::arg).into(),
                t,
                self.steps,
                self.batch,
                self.units,
            );
        };
    }

    /// The way back through step `t`: its gates become `dL/dz`. `dh` is what came back through the
    /// gates of the step after it, none after the last; `dc` moves on to the step before.
    pub fn backward(&self, t: usize, deltas: &Deltas, dh: Option<&Buffer>, dc: &Buffer) {
        let client = self.gates.client();
        let (count, dim) = one_each(client, self.batch * self.units);
        let here = |delta: &Option<Buffer>, is_here: bool| {
            let delta = delta.as_ref().filter(|_| is_here);
            delta.map(Buffer::arg).into()
        };
        // SAFETY: every index is that of a unit of a sequence in step `t`.
        unsafe {
            backward_kernel::launch_unchecked(
                client,
                count,
                dim,
                self.gates.arg(),
                self.c.arg(),
                self.squashed.arg(),
                deltas.outputs.arg(),
                dc.arg(),
                dh.map(Buffer::arg).into(),
                here(&deltas.first, t == 0),
                here(&deltas.last, t + 1 == self.steps),
                self.keep_mask.as_ref().map(Buffer::arg).into(),
                t,
                self.batch,
                self.units,
            );
        };
    }

    /// The gradient at the state before the window, `[batch, 2 * units]`.
    pub fn arrived(&self, dh: &Buffer, dc: &Buffer) -> Buffer {
        let client = self.gates.client();
        let state = dh.new_beside([self.batch, 2 * self.units]);
        let (count, dim) = one_each(client, self.batch * self.units);
        // SAFETY: every index is that of a unit of a sequence.
        unsafe {
            arrived_kernel::launch_unchecked(
                client,
                count,
                dim,
                dh.arg(),
                dc.arg(),
                state.arg(),
                self.keep_mask.as_ref().map(Buffer::arg).into(),
                self.units,
            );
        };
        state
    }
}

/// A state as an interface sees it, `[h; tanh(c)]`, and the derivative `[1; 1 - tanh(c)^2]`.
pub(crate) fn view(state: &Buffer, units: usize) -> [Buffer; 2] {
    let batch = state.len() / (2 * units);
    let [message, slope] = [(); 2].map(|()| state.new_beside([batch, 2 * units]));
    let (count, dim) = one_each(state.client(), state.len());
    // SAFETY: no unit reads or writes past an end.
    unsafe {
        view_kernel::launch_unchecked(
            state.client(),
            count,
            dim,
            state.arg(),
            message.arg(),
            slope.arg(),
            units,
        );
    };
    [message, slope]
}

#[cube]
fn sigmoid(z: f32) -> f32 {
    1.0 / (1.0 + (-z).exp())
}

/// How much of the state before step `t` a sequence keeps.
#[cube]
fn kept(keep_mask: &ComptimeOption<Box<[f32]>>, t: usize, batch: usize, sequence: usize) -> f32 {
    #[comptime]
    match keep_mask {
        ComptimeOption::Some(keep_mask) => keep_mask[t * batch + sequence],
        ComptimeOption::None => 1.0f32,
    }
}

/// One unit for each unit of each sequence, here and below.
#[cube(launch_unchecked)]
fn begin_kernel(
    state: &[f32],
    h: &mut [f32],
    c: &mut [f32],
    keep_mask: ComptimeOption<Box<[f32]>>,
    batch: usize,
    units: usize,
) {
    if ABSOLUTE_POS >= batch * units {
        terminate!();
    }
    let sequence = ABSOLUTE_POS / units;
    let at = sequence * 2 * units + ABSOLUTE_POS % units;
    let keep = kept(&keep_mask, 0, batch, sequence);
    h[ABSOLUTE_POS] = keep * state[at];
    c[ABSOLUTE_POS] = keep * state[at + units];
}

#[cube(launch_unchecked)]
fn forward_kernel(
    gates: &mut [f32],
    recurrent: &[f32],
    bias: &[f32],
    h: &mut [f32],
    c: &mut [f32],
    squashed: &mut [f32],
    outputs: &mut [f32],
    states: &mut [f32],
    keep_mask: ComptimeOption<Box<[f32]>>,
    t: usize,
    steps: usize,
    batch: usize,
    units: usize,
) {
    let size = batch * units;
    if ABSOLUTE_POS >= size {
        terminate!();
    }
    let sequence = ABSOLUTE_POS / units;
    let k = ABSOLUTE_POS % units;
    let from = sequence * 4 * units + k;
    let to = t * 4 * size + from;
    let i = sigmoid(gates[to] + recurrent[from] + bias[k]);
    let f = sigmoid(gates[to + units] + recurrent[from + units] + bias[k + units]);
    let g = (gates[to + 2 * units] + recurrent[from + 2 * units] + bias[k + 2 * units]).tanh();
    let o = sigmoid(gates[to + 3 * units] + recurrent[from + 3 * units] + bias[k + 3 * units]);
    gates[to] = i;
    gates[to + units] = f;
    gates[to + 2 * units] = g;
    gates[to + 3 * units] = o;
    let here = t * size + ABSOLUTE_POS;
    let cell = f * c[here] + i * g;
    let tanh = cell.tanh();
    let output = o * tanh;
    squashed[here] = tanh;
    outputs[here] = output;
    let mut keep = 1.0f32;
    if t + 1 < steps {
        keep = kept(&keep_mask, t + 1, batch, sequence);
    }
    h[here + size] = keep * output;
    c[here + size] = keep * cell;
    let state = sequence * 2 * units + k;
    if t == 0 {
        states[state] = output;
        states[state + units] = cell;
    }
    if t + 1 == steps {
        states[2 * size + state] = output;
        states[2 * size + state + units] = cell;
    }
}

#[cube(launch_unchecked)]
fn backward_kernel(
    gates: &mut [f32],
    c: &[f32],
    squashed: &[f32],
    at_outputs: &[f32],
    dc: &mut [f32],
    after: ComptimeOption<Box<[f32]>>,
    first: ComptimeOption<Box<[f32]>>,
    last: ComptimeOption<Box<[f32]>>,
    keep_mask: ComptimeOption<Box<[f32]>>,
    t: usize,
    batch: usize,
    units: usize,
) {
    let size = batch * units;
    if ABSOLUTE_POS >= size {
        terminate!();
    }
    let sequence = ABSOLUTE_POS / units;
    let k = ABSOLUTE_POS % units;
    let at = t * 4 * size + sequence * 4 * units + k;
    let here = t * size + ABSOLUTE_POS;
    let state = sequence * 2 * units + k;
    let mut dh = at_outputs[here];
    let mut dcell = 0.0f32;
    #[comptime]
    if let ComptimeOption::Some(after) = after {
        let keep = kept(&keep_mask, t + 1, batch, sequence);
        dh += keep * after[ABSOLUTE_POS];
        dcell += keep * dc[ABSOLUTE_POS];
    }
    #[comptime]
    if let ComptimeOption::Some(first) = first {
        dh += first[state];
        dcell += first[state + units];
    }
    #[comptime]
    if let ComptimeOption::Some(last) = last {
        dh += last[state];
        dcell += last[state + units];
    }
    let i = gates[at];
    let f = gates[at + units];
    let g = gates[at + 2 * units];
    let o = gates[at + 3 * units];
    let tanh = squashed[here];
    dcell += dh * o * (1.0 - tanh * tanh);
    gates[at] = dcell * g * i * (1.0 - i);
    gates[at + units] = dcell * c[here] * f * (1.0 - f);
    gates[at + 2 * units] = dcell * i * (1.0 - g * g);
    gates[at + 3 * units] = dh * tanh * o * (1.0 - o);
    dc[ABSOLUTE_POS] = dcell * f;
}

#[cube(launch_unchecked)]
fn arrived_kernel(
    dh: &[f32],
    dc: &[f32],
    state: &mut [f32],
    keep_mask: ComptimeOption<Box<[f32]>>,
    units: usize,
) {
    if ABSOLUTE_POS >= dh.len() {
        terminate!();
    }
    let sequence = ABSOLUTE_POS / units;
    let at = sequence * 2 * units + ABSOLUTE_POS % units;
    let keep = kept(&keep_mask, 0, 0, sequence);
    state[at] = keep * dh[ABSOLUTE_POS];
    state[at + units] = keep * dc[ABSOLUTE_POS];
}

/// One unit for each number of the state.
#[cube(launch_unchecked)]
fn view_kernel(state: &[f32], message: &mut [f32], slope: &mut [f32], units: usize) {
    if ABSOLUTE_POS >= state.len() {
        terminate!();
    }
    let value = state[ABSOLUTE_POS];
    let is_cell = ABSOLUTE_POS % (2 * units) >= units;
    let tanh = value.tanh();
    message[ABSOLUTE_POS] = select(is_cell, tanh, value);
    slope[ABSOLUTE_POS] = select(is_cell, 1.0 - tanh * tanh, 1.0);
}
