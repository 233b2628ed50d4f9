//! `mp-train data`.

use std::path::Path;

use anyhow::{Context, bail};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mp_data::{Packing, Splits};
use mp_train::atomic::{self, Existing};

use crate::args::Data;
use crate::output::{self, thousands};

pub(crate) fn run(args: Data) -> anyhow::Result<()> {
    match args {
        Data::Fetch { name, data_dir } => {
            let bar = bar("{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left", 0);
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
        Data::Inspect { name, sheet, json, data_dir } => {
            let splits = mp_data::open(&name, &data_dir.resolve_for(&name)?)?;
            let bar = images_bar(&splits);
            let report = mp_data::inspect(&splits, &|done| bar.set_position(done as u64));
            bar.finish_and_clear();
            if let Some(path) = sheet {
                write_sheet(&splits, &path)?;
            }
            if json { output::json(&report) } else { output::text(&report.to_string()) }
        }
        Data::Pack { name, out, size, encoded, force, data_dir } => {
            if !force && out.symlink_metadata().is_ok() {
                bail!("{} is there already: choose another name, or replace it with --force", out.display());
            }
            let splits = mp_data::open(&name, &data_dir.resolve_for(&name)?)?;
            let packing = match size {
                Some(size) => Packing::Square(size as usize),
                None if splits.train.shape().is_some() && !encoded => Packing::Pixels,
                None => Packing::Original,
            };
            let bar = images_bar(&splits);
            let bytes = pack(&splits, &out, packing, &bar)?;
            bar.finish_and_clear();
            let images = thousands(splits.len() as u64);
            output::text(&format!("{images} images in {}, {} bytes", out.display(), thousands(bytes)))
        }
    }
}

/// Writes the packed file; over an earlier one, it is first written into a folder beside it.
fn pack(splits: &Splits, out: &Path, packing: Packing, bar: &ProgressBar) -> anyhow::Result<u64> {
    let mut progress = |done| bar.set_position(done as u64);
    let (true, Some(name)) = (out.symlink_metadata().is_ok(), out.file_name()) else {
        return Ok(mp_data::pack(splits, out, packing, &mut progress)?);
    };
    let failed = || format!("cannot replace {}", out.display());
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new().prefix(".packing-").tempdir_in(folder).with_context(failed)?;
    let file = beside.path().join(name);
    let bytes = mp_data::pack(splits, &file, packing, &mut progress).with_context(failed)?;
    std::fs::rename(&file, out).with_context(failed)?;
    Ok(bytes)
}

fn write_sheet(splits: &Splits, path: &Path) -> anyhow::Result<()> {
    let sheet = mp_data::sheet(splits)?;
    let (width, height) = (sheet.shape().width as u32, sheet.shape().height as u32);
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(sheet.pixels(), width, height, ExtendedColorType::Rgb8)
        .with_context(|| format!("cannot encode {}", path.display()))?;
    Ok(atomic::write(path, &bytes, Existing::Replace)?)
}

/// For one pass over all images.
fn images_bar(splits: &Splits) -> ProgressBar {
    bar("{wide_bar} {pos}/{len} images, {per_sec}, {eta} left", splits.len() as u64)
}

/// Shows itself on a terminal only.
fn bar(template: &str, length: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
