//! Products of matrices.
//!
//! burn's are made for GPUs: the units of a cube fill memory that they share with tiles of the
//! factors, and wait for each other. A driver that computes on the CPU gains nothing by sharing, while
//! each wait and each load is dear. There, every unit has a tile of the result for itself: a few wide
//! loads for many multiplications.

use burn::tensor::Tensor;
use burn_cubecl::Cube;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};

use super::Buffer;

/// Rows of a tile, and its columns.
const TILE: usize = 16;

/// Numbers of a wide load.
const WIDE: usize = 4;

/// `a b`, `[rows, columns]`, of `[rows, terms]` and `[terms, columns]`, which [suit](super::suits): in
/// tiles on a driver that computes on the CPU, if each lies in one piece, by rows or by columns;
/// otherwise by burn.
///
/// # Panics
///
/// If the factors do not fit each other.
pub(crate) fn product(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let ([rows, terms], [_, columns]) = (a.dims(), b.dims());
    let sizes = [rows, terms, columns];
    let fit = b.dims()[0] == terms && !sizes.contains(&0);
    if !(fit && is_on_cpu(&a)) {
        return a.matmul(b);
    }
    match (Factor::of(&a), Factor::of(&b.clone().transpose())) {
        (Some(a), Some(b)) => in_tiles(&a, &b, sizes),
        _ => a.matmul(b),
    }
}

/// Whether the driver of a tensor computes on the CPU, so that there is no card behind it.
fn is_on_cpu(tensor: &Tensor<2>) -> bool {
    let tensor = tensor.clone().try_into_primitive::<Cube>();
    tensor.is_ok_and(|tensor| tensor.client.properties().identity.physical.is_none())
}

/// A factor of a product by its lines: the rows of the left one, the columns of the right one.
struct Factor {
    /// As they lie, which need not be row after row.
    numbers: Buffer,
    /// Whether a line lies in one piece; otherwise it is the same term of all lines that does.
    in_lines: bool,
}

impl Factor {
    /// A factor of these lines, `[lines, terms]`; none if they lie otherwise.
    fn of(lines: &Tensor<2>) -> Option<Self> {
        let [count, terms] = lines.dims();
        let tensor = lines.clone().try_into_primitive::<Cube>().ok()?;
        let &[line, term] = &tensor.meta.strides()[..] else {
            return None;
        };
        // The stride of what there is only one of says nothing.
        let is = |stride: usize, expected: usize, of: usize| of == 1 || stride == expected;
        let in_lines = is(term, 1, terms) && is(line, terms, count);
        let in_terms = is(line, 1, count) && is(term, count, terms);
        (in_lines || in_terms).then(|| Self {
            numbers: Buffer(Box::new(tensor)),
            in_lines,
        })
    }

    /// How many numbers it is loaded by.
    fn width(&self, lines: usize) -> usize {
        match self.in_lines {
            true => 1,
            false => width(lines),
        }
    }
}

/// How many numbers are loaded at once of `count` that lie in one piece.
fn width(count: usize) -> usize {
    match count.is_multiple_of(WIDE) {
        true => WIDE,
        false => 1,
    }
}

/// `a b`, each tile by a unit.
fn in_tiles(a: &Factor, b: &Factor, [rows, terms, columns]: [usize; 3]) -> Tensor<2> {
    let c = a.numbers.new_beside([rows, columns]);
    let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
    // As many units as the driver computes at once; with more in a cube some threads would have none.
    let at_once = c.client().properties().hardware.plane_size_max.max(1);
    let dim = CubeDim::new_1d(at_once);
    let count = calculate_cube_count_elemwise(c.client(), tiles, dim);
    // SAFETY: every index is that of a row, a term and a column of its matrix.
    unsafe {
        product_kernel::launch_unchecked(
            c.client(),
            count,
            dim,
            a.width(rows),
            b.width(columns),
            width(columns),
            a.numbers.arg(),
            b.numbers.arg(),
            c.arg(),
            rows,
            terms,
            columns,
            a.in_lines,
            b.in_lines,
        );
    };
    c.into_tensor()
}

/// One unit for each tile.
#[cube(launch_unchecked)]
fn product_kernel<WidthA: Size, WidthB: Size, WidthC: Size>(
    a: &[Vector<f32, WidthA>],
    b: &[Vector<f32, WidthB>],
    c: &mut [Vector<f32, WidthC>],
    rows: usize,
    terms: usize,
    columns: usize,
    #[comptime] a_in_lines: bool,
    #[comptime] b_in_lines: bool,
) {
    let tiles = columns.div_ceil(TILE);
    let row = ABSOLUTE_POS / tiles * TILE;
    let column = ABSOLUTE_POS % tiles * TILE;
    if row >= rows {
        terminate!();
    }
    let across = comptime!(TILE / WIDE);
    let mut sums = Array::<Vector<f32, Const<WIDE>>>::new(comptime!(TILE * across));
    #[unroll]
    for i in 0..comptime!(TILE * across) {
        sums[i] = Vector::new(0.0);
    }
    for term in 0..terms {
        let left = load(a, row, rows, term, terms, a_in_lines);
        let right = load(b, column, columns, term, terms, b_in_lines);
        #[unroll]
        for j in 0..across {
            let mut numbers = Vector::<f32, Const<WIDE>>::new(0.0);
            #[unroll]
            for n in 0..WIDE {
                numbers.insert(n, right[j * WIDE + n]);
            }
            #[unroll]
            for i in 0..TILE {
                sums[i * across + j] += Vector::new(left[i]) * numbers;
            }
        }
    }
    let width = c.vector_size();
    #[unroll]
    for i in 0..TILE {
        #[unroll]
        for j in 0..comptime!(TILE / width) {
            let first = column + j * width;
            if row + i < rows && first < columns {
                let mut numbers = Vector::new(0.0f32);
                #[unroll]
                for n in 0..width {
                    let sum = comptime!(j * width + n);
                    numbers.insert(n, sums[i * across + sum / WIDE].extract(sum % WIDE));
                }
                c[((row + i) * columns + first) / width] = numbers;
            }
        }
    }
}

/// One term of each line of a tile. A tile may reach beyond the factor's last lines, which are loaded
/// again in the place of those that are not there.
#[cube]
fn load<Width: Size>(
    factor: &[Vector<f32, Width>],
    line: usize,
    lines: usize,
    term: usize,
    terms: usize,
    #[comptime] in_lines: bool,
) -> Array<f32> {
    let width = factor.vector_size();
    let mut numbers = Array::<f32>::new(TILE);
    #[unroll]
    for i in 0..comptime!(TILE / width) {
        let first = (line + i * width).min(lines - width);
        let place = if in_lines {
            first * terms + term
        } else {
            (term * lines + first) / width
        };
        let loaded = factor[place];
        #[unroll]
        for n in 0..width {
            numbers[i * width + n] = loaded.extract(n);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData, Tolerance};

    use super::*;
    use crate::backend::Backend;

    fn adapter() -> Option<Device> {
        match Backend::Wgpu.device() {
            Ok(device) => Some(device),
            Err(error) if std::env::var_os("CI").is_some() => panic!("{error}"),
            Err(error) => {
                eprintln!("skipped: {error}");
                None
            }
        }
    }

    fn host() -> Device {
        Backend::Flex.device().expect("it is always there")
    }

    /// A matrix of small integers, whose products are exact. As a transpose it lies in columns, where
    /// the device can have views after other numbers of the same buffer.
    fn matrix([rows, columns]: [usize; 2], is_transposed: bool, device: &Device) -> Tensor<2> {
        let number = |i: usize| ((i * 7 + i / columns * 3) % 11) as f32 - 5.0;
        let numbers: Vec<f32> = (0..rows * columns).map(number).collect();
        let matrix = Tensor::from_data(TensorData::new(numbers, [rows, columns]), device);
        match is_transposed {
            true => Tensor::cat(vec![matrix.clone().transpose(); 2], 0)
                .slice([columns..2 * columns, 0..rows])
                .transpose(),
            false => matrix,
        }
    }

    #[test]
    fn tiles_make_the_product_of_any_shape_as_it_lies() {
        let Some(adapter) = adapter() else { return };
        for sizes @ [rows, terms, columns] in [
            [1, 1, 1],
            [16, 4, 16],
            [17, 5, 3],
            [33, 12, 20],
            [3, 64, 40],
            [40, 7, 1],
            [70, 5, 70],
        ] {
            for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                let factors = |device: &Device| {
                    let a = matrix([rows, terms], transposed[0], device);
                    (a, matrix([terms, columns], transposed[1], device))
                };
                let (a, b) = factors(&adapter);
                let (a, b) = (Factor::of(&a), Factor::of(&b.transpose()));
                let (a, b) = (a.expect("it is one"), b.expect("it is one"));
                let tiles: Tensor<2> = in_tiles(&a, &b, sizes);
                let (a, b) = factors(&host());
                let expected = a.matmul(b).into_data();
                assert_eq!(tiles.into_data(), expected, "{sizes:?}, {transposed:?}");
            }
        }
    }

    #[test]
    fn what_lies_otherwise_is_left_to_burn() {
        let Some(adapter) = adapter() else { return };
        // One row that stands for six.
        let repeated = |device: &Device| matrix([1, 8], false, device).expand([6, 8]);
        let a: Tensor<2> = repeated(&adapter);
        assert!(Factor::of(&a).is_none());
        let actual = product(a.clone(), a.transpose()).into_data();
        let a: Tensor<2> = repeated(&host());
        let expected = a.clone().matmul(a.transpose()).into_data();
        actual.assert_approx_eq::<f32>(&expected, Tolerance::default());
    }
}
