//! Runs that earlier calls have left: found, read, and gone on with.

use std::path::{Path, PathBuf};

use anyhow::bail;
use dni::report;
use dni::run::RunFolder;

use crate::args::Misuse;
use crate::output;
use crate::shell::{self, quoted};

/// Reads the settings of a session of an experiment that is to go on.
pub fn read_settings<S: dni::run::Settings>(folder: &Path, experiment: &str) -> anyhow::Result<S> {
    let path = folder.join(RunFolder::SETTINGS);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        if folder.exists() {
            Misuse(format!(
                "cannot resume: '{}' cannot be read ({error}); is it the folder of a run?",
                path.display()
            ))
        } else {
            Misuse(format!(
                "cannot resume: there is no folder '{}'",
                folder.display()
            ))
        }
    })?;
    if let Some(other) = experiment_of(&text).filter(|found| found != experiment) {
        return Err(Misuse(format!(
            "cannot resume: the folder holds runs of the experiment '{other}'; use {} {other} \
             --resume",
            shell::program()
        ))
        .into());
    }
    dni::run::read_settings(&text).map_err(|error| {
        Misuse(format!(
            "cannot resume: '{}' is not whole, or of another experiment or version: {error}",
            path.display()
        ))
        .into()
    })
}

/// The runs in some folders. Those without any are said and left out.
pub fn find(folders: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let found = report::find(folders)?;
    for folder in found.without {
        output::say(&format!(
            "left out, as no run is in it: '{}'",
            folder.display()
        ));
    }
    Ok(found.runs)
}

/// The runs in some folders, read. One that is damaged does not keep the others from being shown:
/// [`Damaged::check`] is for the end.
pub fn read(folders: &[PathBuf]) -> anyhow::Result<(Vec<report::Group>, Damaged)> {
    let runs = find(folders)?;
    let (groups, mut errors) = report::read_each(&runs);
    if groups.is_empty() && !errors.is_empty() {
        return Err(errors.swap_remove(0).into());
    }
    for error in &errors {
        output::say(&format!("left out: {error}"));
    }
    let (damaged, all) = (errors.len(), runs.len());
    Ok((groups, Damaged { damaged, all }))
}

/// How many runs could not be used.
pub struct Damaged {
    pub damaged: usize,
    pub all: usize,
}

impl Damaged {
    /// Refuses to take it for a success if there are any.
    pub fn check(&self) -> anyhow::Result<()> {
        let Self { damaged, all } = self;
        match damaged {
            0 => Ok(()),
            _ => bail!("{damaged} of {all} runs were left out; what is said above says why"),
        }
    }
}

/// Refuses a folder of several runs where one is wanted.
pub fn check_single(folder: &Path) -> Result<(), Misuse> {
    // Of a folder without runs whoever reads it says what is missing.
    let found = report::find(&[folder.to_path_buf()]);
    let runs = found.map_or_else(|_| Vec::new(), |found| found.runs);
    if runs.is_empty() || runs == [folder] {
        return Ok(());
    }
    let names = runs.iter().map(|run| quoted(&run.display().to_string()));
    Err(Misuse(format!(
        "'{}' is not the folder of a run, but there are runs in it; name one of {}",
        folder.display(),
        names.collect::<Vec<_>>().join(", ")
    )))
}

/// The experiment that these settings are of, as far as they can be read.
pub fn experiment_of(settings: &str) -> Option<String> {
    let settings: toml::Table = settings.parse().ok()?;
    let experiment = settings.get("run")?.get("experiment")?.as_str()?;
    Some(experiment.to_string())
}
