//! How figures of evaluations are called, and in which unit they are shown.

/// Whether a figure is a share, which is shown in percent.
pub fn is_share(name: &str) -> bool {
    name.ends_with("_error")
}

/// What a figure of a name is called, with its unit.
pub fn title(name: &str) -> String {
    let percent = if is_share(name) { " %" } else { "" };
    name.replace('_', " ") + percent
}

/// What its value is multiplied by where it is shown.
pub fn factor(name: &str) -> f64 {
    if is_share(name) { 100.0 } else { 1.0 }
}

/// A figure in words, as `test error 1.96 %`.
pub fn told(name: &str, value: f64) -> String {
    let name_alone = name.replace('_', " ");
    match is_share(name) {
        true => format!("{name_alone} {:.2} %", 100.0 * value),
        false => format!("{name_alone} {}", (1e4 * value).round() / 1e4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_percent() {
        assert_eq!(told("test_error", 0.25), "test error 25.00 %");
        assert_eq!(told("longest", 7.0), "longest 7");
        assert_eq!(title("test_error"), "test error %");
        assert_eq!(
            (title("test_loss").as_str(), factor("test_loss")),
            ("test loss", 1.0)
        );
    }
}
