//! Whether runs have learned their task, in a sentence for each method.

use dni::report::Measure;

use crate::stats;

/// What the runs of one method came to, from several seeds.
pub struct Runs<'a> {
    pub method: &'a str,
    pub measures: &'a [Measure],
    /// What the synthetic gradients were worth in each run, by the interface.
    pub worths: &'a [(&'a str, f64)],
}

/// What `worth` means, for those who meet it in a sentence or in a table.
pub const WORTH: &str = "worth: the mean cosine of the synthetic with the true gradient over the \
                         run, weighted by the norm of the true one";

/// The sentence of a method, beside that by which the others are measured, if it has run.
pub fn sentence(runs: &Runs, reference: Option<&Runs>) -> String {
    let Some(own) = mean(runs.measures) else {
        return String::new();
    };
    let reference = reference.filter(|reference| reference.method != runs.method);
    let other = reference.and_then(|r| Some((r.method, mean(r.measures)?)));
    let guess = written(&own, own.guessing);
    let beside = match &other {
        Some((name, other)) => format!(
            "{} by {name}, {guess} by guessing",
            written(other, other.value)
        ),
        None => format!("{guess} by guessing"),
    };
    // To be as good as one who has learned nothing is nothing.
    let other = other.filter(|(_, other)| alone(other) != NOTHING);
    let learned = match &other {
        Some((name, other)) => against(&own, other).in_words(name),
        None => alone(&own).to_string(),
    };
    let (method, value, name) = (runs.method, written(&own, own.value), &own.name);
    let worth = worth(runs.worths).map_or(String::new(), |worth| format!("; {worth}"));
    format!("{method} {learned}: {value} {name} ({beside}){worth}.")
}

/// What synthetic gradients were worth, and where they were worth least.
fn worth(worths: &[(&str, f64)]) -> Option<String> {
    let mut of_interfaces: Vec<(&str, Vec<f64>)> = Vec::new();
    for (name, worth) in worths {
        match of_interfaces.iter_mut().find(|(known, _)| known == name) {
            Some((_, worths)) => worths.push(*worth),
            None => of_interfaces.push((name, vec![*worth])),
        }
    }
    let means = of_interfaces
        .iter()
        .map(|(name, worths)| (*name, stats::mean(worths)));
    let means: Vec<(&str, f64)> = means.collect();
    let said = "its synthetic gradients were worth";
    let (lowest, least) = means.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let most = means.iter().map(|(_, worth)| *worth).fold(*least, f64::max);
    Some(match means.len() {
        1 => format!("{said} {least:.2}"),
        _ => format!("{said} {least:.2} ({lowest}) to {most:.2}"),
    })
}

/// How much was learned beside another method.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beside {
    Better,
    AsWell,
    NearlyAsWell,
    InPart,
    Nothing,
}

impl Beside {
    fn in_words(self, other: &str) -> String {
        match self {
            Self::Better => format!("learned more than {other}"),
            Self::AsWell => format!("learned it as well as {other}"),
            Self::NearlyAsWell => format!("learned it nearly as well as {other}"),
            Self::InPart => format!("learned less than {other}"),
            Self::Nothing => NOTHING.to_string(),
        }
    }
}

/// The mean over several runs of a method; none of no runs.
fn mean(measures: &[Measure]) -> Option<Measure> {
    let of = |figure: fn(&Measure) -> f64| {
        let figures: Vec<f64> = measures.iter().map(figure).collect();
        stats::mean(&figures)
    };
    Some(Measure {
        value: of(|measure| measure.value),
        guessing: of(|measure| measure.guessing),
        ..measures.first()?.clone()
    })
}

/// How far a measure is from guessing.
fn way(of: &Measure) -> f64 {
    match of.less_is_better {
        true => of.guessing - of.value,
        false => of.value - of.guessing,
    }
}

/// How much was learned beside another method. As well is: within a tenth of what the other one
/// still lacks and a five-hundredth of its way from guessing, or where nobody knows what it lacks,
/// within a fiftieth of its way.
fn against(own: &Measure, other: &Measure) -> Beside {
    let (own, others) = (way(own), way(other));
    let margin = match other.best {
        Some(best) => (other.value - best).abs() / 10.0 + others.abs() / 500.0,
        None => others.abs() / 50.0,
    };
    match own - others {
        more if more > margin => Beside::Better,
        more if more >= -margin => Beside::AsWell,
        _ if own >= 0.9 * others => Beside::NearlyAsWell,
        _ if own >= 0.1 * others => Beside::InPart,
        _ => Beside::Nothing,
    }
}

/// What is said of one who is no better than guessing.
const NOTHING: &str = "learned next to nothing";

/// How much was learned, beside guessing alone.
fn alone(own: &Measure) -> &'static str {
    let Some(best) = own.best else {
        // Nobody knows how much there is.
        return match way(own) > 0.0 {
            true => "learned",
            false => NOTHING,
        };
    };
    match way(own) / (own.guessing - best).abs() {
        0.9.. => "learned it",
        0.1.. => "learned it in part",
        _ => NOTHING,
    }
}

/// A value of a measure, in its unit.
fn written(of: &Measure, value: f64) -> String {
    match of.is_share {
        true => format!("{:.2} %", 100.0 * value),
        false => format!("{}", (1e3 * value).round() / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(value: f64) -> Measure {
        Measure {
            name: "of the test images wrong".to_string(),
            value,
            guessing: 0.9,
            best: Some(0.0),
            less_is_better: true,
            is_share: true,
        }
    }

    fn longest(value: f64) -> Measure {
        Measure {
            name: "symbols at most".to_string(),
            value,
            guessing: 0.0,
            best: None,
            less_is_better: false,
            is_share: false,
        }
    }

    #[test]
    fn a_method_is_held_against_backprop_and_guessing() {
        let of = |method, measures| Runs {
            method,
            measures,
            worths: &[],
        };
        let (backprop, dni) = ([error(0.02), error(0.04)], [error(0.3)]);
        let (backprop, dni) = (of("backprop", &backprop), of("dni", &dni));
        assert_eq!(
            sentence(&backprop, Some(&backprop)),
            "backprop learned it: 3.00 % of the test images wrong (90.00 % by guessing)."
        );
        let worths = [("hidden1", 0.25), ("hidden2", 0.75), ("hidden1", 0.35)];
        let dni = Runs {
            worths: &worths,
            ..dni
        };
        assert_eq!(
            sentence(&dni, Some(&backprop)),
            "dni learned less than backprop: 30.00 % of the test images wrong (3.00 % by backprop, \
             90.00 % by guessing); its synthetic gradients were worth 0.30 (hidden1) to 0.75."
        );
        let (none, nothing) = ([error(0.89)], [error(0.88)]);
        let (none, nothing) = (of("none", &none), of("backprop", &nothing));
        let said = sentence(&none, Some(&nothing));
        assert!(
            said.starts_with("none learned next to nothing: 89.00 %"),
            "{said}"
        );
        assert!(sentence(&dni, None).starts_with("dni learned it in part: 30.00 %"));
    }

    #[test]
    fn words_are_those_of_the_distance() {
        for (own, other, expected) in [
            (0.018, 0.020, Beside::AsWell),
            (0.010, 0.020, Beside::Better),
            (0.013, 0.002, Beside::NearlyAsWell),
            (0.300, 0.020, Beside::InPart),
            (0.890, 0.020, Beside::Nothing),
            (0.950, 0.020, Beside::Nothing),
        ] {
            assert_eq!(
                against(&error(own), &error(other)),
                expected,
                "{own} {other}"
            );
        }
        for (own, other, expected) in [
            (9.0, 6.0, Beside::Better),
            (6.0, 6.0, Beside::AsWell),
            (3.0, 6.0, Beside::InPart),
            (0.0, 6.0, Beside::Nothing),
        ] {
            assert_eq!(against(&longest(own), &longest(other)), expected, "{own}");
        }
        assert_eq!(alone(&longest(0.0)), NOTHING);
    }
}
