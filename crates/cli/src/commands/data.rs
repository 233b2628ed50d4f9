//! `mp-train data`.

use std::path::Path;

use anyhow::Context;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mp_data::{Packing, Splits};
use mp_train::Error;
use mp_train::folder::OutputFile;

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
        Data::Inspect { name, sheet, force, json, data_dir } => {
            let sheet = sheet.map(|path| OutputFile::new(&path, force, &[Path::new(&name)])).transpose()?;
            let splits = mp_data::open(&name, &data_dir.resolve_for(&name)?)?;
            let bar = images_bar(&splits);
            let report = mp_data::inspect(&splits, &|done| bar.set_position(done as u64));
            bar.finish_and_clear();
            if let Some(file) = &sheet {
                write_sheet(&splits, file)?;
            }
            let file = sheet.as_ref();
            if json { output::json_beside(file, &report) } else { output::text_beside(file, &report.to_string()) }
        }
        Data::Pack { name, out, size, encoded, force, data_dir } => {
            let file = OutputFile::new(&out, force, &[Path::new(&name)])?;
            let splits = mp_data::open(&name, &data_dir.resolve_for(&name)?)?;
            let packing = match size {
                Some(size) => Packing::Square(size as usize),
                None if splits.train.shape().is_some() && !encoded => Packing::Pixels,
                None => Packing::Original,
            };
            let bar = images_bar(&splits);
            let mut progress = |done| bar.set_position(done as u64);
            let pack = |path: &Path| mp_data::pack(&splits, path, packing, &mut progress).map_err(Error::from);
            let bytes = file.write_by(pack)?;
            bar.finish_and_clear();
            let images = thousands(splits.len() as u64);
            output::text_beside(&file, &format!("{images} images in {}, {} bytes", out.display(), thousands(bytes)))
        }
    }
}

fn write_sheet(splits: &Splits, file: &OutputFile) -> anyhow::Result<()> {
    let sheet = mp_data::sheet(splits)?;
    let (width, height) = (sheet.shape().width as u32, sheet.shape().height as u32);
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(sheet.pixels(), width, height, ExtendedColorType::Rgb8)
        .with_context(|| format!("cannot encode {}", file.path().display()))?;
    Ok(file.write(&bytes)?)
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
