//! `mp-train doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mp_train::machine::checkup::{Checkup, Finding, Folder, Found, Limits, Severity, findings};
use serde::Serialize;

use crate::args::Doctor;
use crate::output::{self, Align, Table};

#[derive(Serialize)]
struct Report {
    version: &'static str,
    program: Option<PathBuf>,
    #[serde(flatten)]
    checkup: Checkup,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: Doctor) -> anyhow::Result<ExitCode> {
    let data = args.data_dir.find();
    let temporary = std::env::temp_dir();
    let mut folders = vec![("runs", Path::new("runs")), ("temporary files", temporary.as_path())];
    folders.extend(data.as_deref().map(|data| ("data", data)));
    let checkup = Checkup::new(&folders);
    let mut findings = findings(&checkup);
    let mut refuse = |what: String, remedy: &str| {
        findings.insert(0, Finding { severity: Severity::Broken, what, remedy: remedy.to_owned() });
    };
    if let Err(error) = args.on.device.device() {
        refuse(error.to_string(), "choose another by --device");
    }
    if data.is_none() {
        let remedy = "give --data-dir, or set MULTIPATH_DATA or HOME";
        refuse("there is no folder for downloaded data sets".to_owned(), remedy);
    }
    let broken = findings.iter().any(|finding| finding.severity == Severity::Broken);
    let program = std::env::current_exe().ok();
    let report = Report { version: env!("CARGO_PKG_VERSION"), program, checkup, findings };
    match args.json {
        true => output::json(&report)?,
        false => print(&report)?,
    }
    Ok(if broken { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

fn print(report: &Report) -> anyhow::Result<()> {
    let Report { version, program, checkup, findings } = report;
    let mut table = Table::new(&[("what", Align::Left), ("here", Align::Left)]);
    let mut row = |what: &str, here: String| table.row([what.to_owned(), here]);
    let program = program.as_deref().map_or_else(String::new, |program| format!(", {}", program.display()));
    row("program", format!("{version}{program}"));
    row("libtorch", libtorch(checkup));
    row("", checkup.libtorch.file.clone().unwrap_or_default());
    row("processor", processor(checkup));
    row("processors", processors(&checkup.limits, checkup.threads));
    row("memory", memory(&checkup.limits));
    if let Some(driver) = &checkup.nvidia_driver {
        row("NVIDIA driver", driver.clone());
    }
    for found in &checkup.devices {
        row(&found.device, device(found));
    }
    for holds in &checkup.folders {
        row(&holds.holds, folder(holds));
    }
    for variable in &checkup.environment {
        row(&variable.name, variable.value.clone());
    }
    table.print()?;
    let verdicts = findings.iter().map(|Finding { severity, what, remedy }| {
        let severity = match severity {
            Severity::Broken => "broken",
            Severity::Slow => "slow",
        };
        format!("{severity}: {what}: {remedy}")
    });
    let verdicts: Vec<String> = verdicts.collect();
    let verdict = if verdicts.is_empty() { "all is well".to_owned() } else { verdicts.join("\n") };
    output::text(&format!("\n{verdict}"))
}

fn libtorch(checkup: &Checkup) -> String {
    let libtorch = &checkup.libtorch;
    let version = libtorch.version.as_deref().unwrap_or("of an unknown version");
    let mut text = format!("{version}, built for {}", libtorch.built_for);
    match (&libtorch.cuda, &libtorch.cudnn) {
        (Some(cuda), Some(cudnn)) => text += &format!(", with CUDA {cuda} and cuDNN {cudnn}"),
        (Some(cuda), None) => text += &format!(", with CUDA {cuda}"),
        (None, _) => text += ", without CUDA",
    }
    text + &libtorch.vectors.as_ref().map_or_else(String::new, |vectors| format!(", kernels for {vectors}"))
}

fn processor(checkup: &Checkup) -> String {
    let processor = &checkup.processor;
    let bf16 = processor.bf16_products().map_or("none for bf16".to_owned(), |name| format!("{name} for bf16"));
    let denormals = if processor.denormals { "kept" } else { "taken for 0" };
    match processor.features.is_empty() {
        true => processor.name.clone(),
        false => format!("{}: {}; {bf16}; denormals {denormals}", processor.name, processor.features.join(" ")),
    }
}

fn processors(limits: &Limits, threads: usize) -> String {
    let unknown = |number: Option<usize>| number.map_or("an unknown number".to_owned(), |number| number.to_string());
    let quota = limits.quota.map_or("no quota".to_owned(), |quota| format!("a quota of {quota}"));
    let load = limits.load.map_or_else(String::new, |load| format!(", load {load}"));
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    format!("{threads}; bound to {} of {}, {quota}{load}", unknown(limits.bound), unknown(limits.online))
}

fn memory(limits: &Limits) -> String {
    let (Some(available), Some(memory)) = (limits.memory_available, limits.memory) else {
        return "unknown".to_owned();
    };
    let limit = limits.memory_limit.map_or("no limit".to_owned(), |limit| format!("a limit of {}", gigabytes(limit)));
    format!("{} of {} available, {limit}", gigabytes(available), gigabytes(memory))
}

fn device(found: &Found) -> String {
    let mut text = found.hardware.clone();
    if let Some(capability) = found.capability {
        text += &format!(", compute capability {}.{}", capability / 10, capability % 10);
    }
    if let (Some(free), Some(memory)) = (found.memory_free, found.memory) {
        text += &format!(", {} of {} free", gigabytes(free), gigabytes(memory));
    }
    text + if found.defect.is_none() { ", computes what it should" } else { ", does not compute what it should" }
}

fn folder(folder: &Folder) -> String {
    let mut text = folder.path.display().to_string();
    if !folder.exists {
        text += ", not there yet";
    }
    if let Some(why) = &folder.unwritable {
        text += &format!(", not writable ({why})");
    }
    text + &folder.free.map_or_else(String::new, |free| format!(", {} free", gigabytes(free)))
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
