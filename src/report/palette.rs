//! Colours of methods: each keeps its own, whichever others stand beside it.

use super::drawing::COLOURS;

/// The numbers of the colours of methods, each given with what it learns: a method that is known has
/// its own, the others the first that are free. Those of different tasks may be the same.
pub(super) fn colours<'a, T: PartialEq + 'a>(
    methods: impl Iterator<Item = (&'a str, T)>,
) -> Vec<usize> {
    let methods: Vec<(&str, T)> = methods.collect();
    let mut colours: Vec<Option<usize>> = vec![None; methods.len()];
    let is_free = |colours: &[Option<usize>], i: usize, colour: usize| {
        let others = methods.iter().zip(colours);
        let mut of_task = others.filter(|((_, task), _)| *task == methods[i].1);
        of_task.all(|(_, taken)| *taken != Some(colour))
    };
    for (i, (method, _)) in methods.iter().enumerate() {
        colours[i] = own(method).filter(|colour| is_free(&colours, i, *colour));
    }
    for i in 0..methods.len() {
        if colours[i].is_none() {
            colours[i] = (0..).find(|colour| is_free(&colours, i, *colour));
        }
    }
    colours.into_iter().flatten().collect()
}

/// The number of a method's own colour. Methods of different experiments that are the same idea have
/// the same.
fn own(method: &str) -> Option<usize> {
    let (name, only) = method.split_once('@').unwrap_or((method, ""));
    let own = match name {
        "backprop" | "bptt" | "coupled" => 0,
        "cdni" | "conditional" if only.is_empty() => 1,
        "dni" | "decoupled" if only.is_empty() => 2,
        "cdni" | "dni" | "dni-aux" => 3,
        "none" => 4,
        "delayed" => 5,
        "pipeline" => 6,
        _ if name.starts_with("lambda") => 7,
        _ => return None,
    };
    debug_assert!(own < COLOURS);
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_keeps_its_colour_whatever_stands_beside_it() {
        let of = |methods: &[&str]| colours(methods.iter().map(|method| (*method, "adder")));
        assert_eq!(of(&["backprop", "cdni", "dni", "dni@1"]), [0, 1, 2, 3]);
        assert_eq!(of(&["dni", "backprop"]), [2, 0]);
        assert_eq!(
            of(&["dni", "dni", "dni"]),
            [2, 0, 1],
            "no two have the same"
        );
        assert_eq!(of(&["mine", "backprop"]), [1, 0], "a known one comes first");
    }

    #[test]
    fn tasks_do_not_take_each_others_colours() {
        let all = [("dni", "adder"), ("dni", "images"), ("mine", "images")];
        assert_eq!(colours(all.into_iter()), [2, 2, 0]);
    }
}
