//! Letters made of strokes, for pictures that have no font to draw with.

/// Units from the base line to the top of a capital letter.
const CAPITAL: f64 = 6.0;
/// Units from a letter's left edge to the next one's.
const ADVANCE: f64 = 5.6;

/// How wide a text is whose capital letters are 0.7 of `size` high.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * ADVANCE * unit(size)
}

/// The strokes of a text whose base line begins at a point.
pub(super) fn strokes(text: &str, [x, y]: [f64; 2], size: f64) -> Vec<Vec<[f64; 2]>> {
    let unit = unit(size);
    let mut strokes = Vec::new();
    for (i, letter) in text.chars().enumerate() {
        let left = x + i as f64 * ADVANCE * unit;
        for digits in shape(letter).split_whitespace() {
            let digits: Vec<f64> = digits.bytes().map(|b| f64::from(b - b'0')).collect();
            // The base line is two units above the bottom, for letters that hang below it.
            let place = |point: &[f64]| [left + point[0] * unit, y - (point[1] - 2.0) * unit];
            strokes.push(digits.chunks_exact(2).map(place).collect());
        }
    }
    strokes
}

fn unit(size: f64) -> f64 {
    0.7 * size / CAPITAL
}

/// Strokes parted by spaces, each the coordinates of its points: x from 0 to 4, and y from 0 to 8,
/// upwards. An unknown letter is a box.
fn shape(letter: char) -> &'static str {
    match letter {
        '0' => "120307183847433212",
        '1' => "072822 1232",
        '2' => "07183847450242",
        '3' => "0718384746354443321203 1535",
        '4' => "32380444",
        '5' => "480805354443321203",
        '6' => "4738180703123243443505",
        '7' => "084812",
        '8' => "15060718384746351504031232434435",
        '9' => "0312324347381807061545",
        'A' => "022842 1434",
        'B' => "02083847463505 3544433202",
        'C' => "4738180703123243",
        'D' => "02082846442202",
        'E' => "48080242 0535",
        'F' => "480802 0535",
        'G' => "47381807031232434525",
        'H' => "0208 4248 0545",
        'I' => "1838 2822 1232",
        'J' => "4843321203",
        'K' => "0208 4804 1542",
        'L' => "080242",
        'M' => "0208254842",
        'N' => "02084248",
        'O' => "120307183847433212",
        'P' => "02083847463505",
        'Q' => "120307183847433212 2442",
        'R' => "02083847463505 2542",
        'S' => "473818070615354443321203",
        'T' => "0848 2822",
        'U' => "080312324348",
        'V' => "082248",
        'W' => "0812253248",
        'X' => "0248 0842",
        'Y' => "082548 2522",
        'Z' => "08480242",
        'a' => "4536160503123243 4642",
        'b' => "0802 0516364543321203",
        'c' => "4536160503123243",
        'd' => "4842 4536160503123243",
        'e' => "04444536160503123243",
        'f' => "38281712 0636",
        'g' => "46413010 4536160503123243",
        'h' => "0802 0516364542",
        'i' => "2622 28",
        'j' => "26211000 28",
        'k' => "0802 4604 1542",
        'l' => "282332",
        'm' => "0602 05162522 25364542",
        'n' => "0602 0516364542",
        'o' => "120305163645433212",
        'p' => "0600 0516364543321203",
        'q' => "4640 4536160503123243",
        'r' => "0602 051636",
        's' => "45361605143443321203",
        't' => "18132232 0636",
        'u' => "0603123243 4642",
        'v' => "062246",
        'w' => "0612243246",
        'x' => "0246 0642",
        'y' => "0622 4610",
        'z' => "06460242",
        ' ' => "",
        '.' => "22",
        ',' => "2211",
        ':' => "22 25",
        '-' => "0444",
        '+' => "0444 2226",
        '=' => "0343 0545",
        '_' => "0141",
        '/' => "0148",
        '%' => "0248 0708181707 3233434232",
        '(' => "38161432",
        ')' => "18363412",
        '±' => "0545 2327 0242",
        '×' => "1335 1533",
        '|' => "2820",
        '<' => "360432",
        '>' => "063402",
        '[' => "38181232",
        ']' => "18383212",
        '·' => "24",
        _ => "0208484202",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stay_within_their_cell() {
        for letter in (' '..='~').chain(['±', '×', '·']) {
            for stroke in shape(letter).split_whitespace() {
                assert!(stroke.len().is_multiple_of(2), "{letter}");
                for point in stroke.as_bytes().chunks(2) {
                    let inside = (b'0'..=b'4').contains(&point[0]) && point[1] <= b'8';
                    assert!(inside, "{letter}");
                }
            }
        }
    }

    #[test]
    fn no_two_letters_are_alike() {
        let mut shapes: Vec<_> = ('a'..='z')
            .chain('1'..='9')
            .chain('A'..='Z')
            .map(shape)
            .collect();
        let count = shapes.len();
        shapes.sort_unstable();
        shapes.dedup();
        assert_eq!(shapes.len(), count);
    }
}
