//! `mp-train data`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Data;
use crate::output;

pub(crate) fn run(args: Data) -> anyhow::Result<()> {
    match args {
        Data::Fetch { name, data_dir } => {
            let bar = download_bar();
            let folder = mp_data::fetch(&name, &data_dir.resolve()?, &mut |progress| {
                if bar.message() != progress.file {
                    bar.set_message(progress.file.to_owned());
                    bar.reset_eta();
                }
                bar.set_length(progress.total.unwrap_or(progress.done));
                bar.set_position(progress.done);
            });
            bar.finish_and_clear();
            output::text(&format!("{name} is in {}", folder?.display()))
        }
        Data::Inspect { name, data_dir } => {
            let splits = mp_data::open(&name, &data_dir.resolve()?)?;
            output::text(&mp_data::inspect(&splits)?.to_string())
        }
    }
}

/// Shows itself on a terminal only.
fn download_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
