//! `dni backends`: what there is, what works here, and what to install.

use clap::Args;
use dni::Backend;
use dni::backend::{Adapter, Instructions, adapters, processors};
use serde::Serialize;

use crate::args::Format;
use crate::output;

/// Flags of `dni backends`.
#[derive(Debug, Args)]
pub struct BackendsArgs {
    /// Form of the list on stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Report {
    backends: Vec<State>,
    adapters: Vec<Adapter>,
    auto: Backend,
    /// What loops on the CPU run in.
    instructions: Instructions,
    /// Threads that run at once.
    processors: usize,
}

#[derive(Debug, Serialize)]
struct State {
    backend: Backend,
    works: bool,
    note: String,
}

/// `dni backends`.
pub fn run(args: BackendsArgs) -> anyhow::Result<()> {
    let adapters = adapters();
    let has_gpu = adapters.iter().any(|adapter| adapter.is_gpu);
    let report = Report {
        backends: Backend::ALL
            .map(|backend| State::of(backend, has_gpu))
            .into(),
        adapters,
        auto: Backend::auto(),
        instructions: Instructions::best(),
        processors: processors(),
    };
    output::print(&match args.format {
        Format::Json => serde_json::to_string(&report)? + "\n",
        Format::Text => report.to_text(),
    })
}

impl State {
    fn of(backend: Backend, has_gpu: bool) -> Self {
        let note = match backend {
            Backend::Flex => "CPU; the default",
            Backend::Ndarray => "CPU; deprecated by burn",
            Backend::Wgpu if has_gpu => "GPU, through the adapters below",
            Backend::Wgpu => "no GPU here: the adapters below compute on the CPU",
        };
        match backend.device() {
            Ok(_) => Self {
                backend,
                works: true,
                note: note.to_string(),
            },
            Err(error) => Self {
                backend,
                works: false,
                note: error.to_string(),
            },
        }
    }
}

impl Report {
    fn to_text(&self) -> String {
        let mut text = String::new();
        for state in &self.backends {
            let works = if state.works {
                "works"
            } else {
                "does not work"
            };
            text.push_str(&format!("{:8} {works}: {}\n", state.backend, state.note));
        }
        for adapter in &self.adapters {
            let kind = if adapter.is_gpu {
                ""
            } else {
                ", computes on the CPU"
            };
            text.push_str(&format!(
                "adapter: {} ({}{kind})\n",
                adapter.name, adapter.api
            ));
        }
        text.push_str(&format!("--backend auto is {} here\n", self.auto));
        text.push_str(&format!(
            "CPU: {} processors, vector instructions: {}\n",
            self.processors, self.instructions
        ));
        text
    }
}
