//! What is written down so that a run can be repeated.

use std::env;

use dni::run::Origin;

use crate::shell;

/// This machine, and the command that this program was called by, without the folder: a second run
/// needs another.
pub fn origin() -> Origin {
    let arguments = env::args_os().skip(1);
    let arguments = arguments.map(|argument| argument.to_string_lossy().into_owned());
    Origin::here(command(arguments, env::var("DNI_BACKEND").ok()))
}

/// The command of these arguments. A backend that came from the environment is spelled out.
fn command(mut arguments: impl Iterator<Item = String>, backend: Option<String>) -> String {
    let mut words = vec!["dni".to_string()];
    let mut has_backend = false;
    while let Some(argument) = arguments.next() {
        has_backend |= argument.split('=').next() == Some("--backend");
        if argument == "--run-dir" {
            arguments.next();
        } else if !argument.starts_with("--run-dir=") {
            words.push(shell::quoted(&argument));
        }
    }
    if let Some(backend) = backend.filter(|_| !has_backend) {
        words.extend(["--backend".to_string(), shell::quoted(&backend)]);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_folder_is_left_out_and_the_backend_spelled_out() {
        let of = |text: &str, backend: Option<&str>| {
            command(text.split(' ').map(String::from), backend.map(String::from))
        };
        let call = "images --run-dir a --seeds 3 --run-dir=b --quiet";
        assert_eq!(of(call, None), "dni images --seeds 3 --quiet");
        assert_eq!(
            of("--steps 3", Some("wgpu")),
            "dni --steps 3 --backend wgpu"
        );
        assert_eq!(of("--backend=flex", Some("wgpu")), "dni --backend=flex");
    }
}
