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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_in_percent() {
        assert_eq!(title("test_error"), "test error %");
        assert_eq!(
            (title("test_loss").as_str(), factor("test_loss")),
            ("test loss", 1.0)
        );
    }
}
