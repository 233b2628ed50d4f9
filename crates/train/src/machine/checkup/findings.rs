//! What is broken or slow about a machine, and how to mend it.

use serde::Serialize;

use super::{Checkup, Folder};

/// What a small network takes beside the libraries, in bytes.
const LEAST_MEMORY: u64 = 768 << 20;

/// What a few checkpoints of a small network take, in bytes.
const LEAST_ROOM: u64 = 100_000_000;

/// A GPU with less of its memory free than this share has other work.
const LEAST_FREE: f64 = 0.5;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Runs fail.
    Broken,
    /// Runs take longer than they must.
    Slow,
}

/// One thing that is not as it could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and where.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// What is wrong with what was seen, the worst first.
pub fn findings(checkup: &Checkup) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut note = |severity, what: String, remedy: String| found.push(Finding { severity, what, remedy });
    libtorch(checkup, &mut note);
    gpus(checkup, &mut note);
    processors(checkup, &mut note);
    memory(checkup, &mut note);
    for folder in &checkup.folders {
        room(folder, &mut note);
    }
    found.sort_by_key(|finding| finding.severity);
    found
}

/// The minor version `2.13` of `2.13.0`.
fn minor(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(end, _)| &version[..end])
}

fn libtorch(checkup: &Checkup, note: &mut dyn FnMut(Severity, String, String)) {
    let libtorch = &checkup.libtorch;
    let file = libtorch.file.as_deref().unwrap_or("a file that the system does not name");
    if let Some(version) = &libtorch.version
        && minor(version) != minor(&libtorch.built_for)
    {
        note(
            Severity::Broken,
            format!(
                "libtorch {version} is loaded from {file}, expected {}, which this program was built for",
                libtorch.built_for
            ),
            "let LD_LIBRARY_PATH name the folder of that one, or build for this one with `cargo xtask portable`"
                .to_owned(),
        );
    }
    if let Some(value) = checkup.variable("ATEN_CPU_CAPABILITY") {
        note(
            Severity::Slow,
            format!("ATEN_CPU_CAPABILITY={value} keeps libtorch's kernels from this processor's best instructions"),
            "unset it".to_owned(),
        );
    }
    if let Some(value) = checkup.variable("ONEDNN_MAX_CPU_ISA") {
        note(
            Severity::Slow,
            format!("ONEDNN_MAX_CPU_ISA={value} keeps convolutions from this processor's best instructions"),
            "unset it".to_owned(),
        );
    }
}

fn gpus(checkup: &Checkup, note: &mut dyn FnMut(Severity, String, String)) {
    for device in &checkup.devices {
        if let Some(defect) = &device.defect {
            note(
                Severity::Broken,
                format!("{} ({}) does not compute what it should: {defect}", device.device, device.hardware),
                "choose another by --device, or mend the driver and libraries".to_owned(),
            );
        }
        if let (Some(free), Some(memory)) = (device.memory_free, device.memory)
            && (free as f64) < LEAST_FREE * memory as f64
        {
            note(
                Severity::Slow,
                format!(
                    "{} has {} of {} free: something else runs there",
                    device.device,
                    gigabytes(free),
                    gigabytes(memory)
                ),
                "see nvidia-smi, and choose another by --device".to_owned(),
            );
        }
    }
    let seen = checkup.gpus().count();
    let visible = checkup.variable("CUDA_VISIBLE_DEVICES");
    if let (Some(driver), 0) = (&checkup.nvidia_driver, seen) {
        match (&checkup.libtorch.cuda, visible) {
            (None, _) => note(
                Severity::Slow,
                "there is a GPU, and this libtorch comes without CUDA".to_owned(),
                "use a PyTorch with CUDA: LIBTORCH_USE_PYTORCH=1, or `cargo xtask portable`".to_owned(),
            ),
            // Hidden on purpose.
            (Some(_), Some("" | "-1")) => {}
            (Some(_), Some(value)) => note(
                Severity::Slow,
                format!("CUDA_VISIBLE_DEVICES={value} shows none of the GPUs"),
                "let it list numbers that `nvidia-smi -L` lists, or unset it".to_owned(),
            ),
            (Some(cuda), None) => note(
                Severity::Slow,
                format!("libtorch, which was built for CUDA {cuda}, sees no GPU by NVIDIA's driver {driver}"),
                "see whether nvidia-smi lists one, whether the driver is new enough for that CUDA, and of a container, whether it was \
                 started with GPUs".to_owned(),
            ),
        }
    }
    if seen > 0 && !checkup.libtorch.own_cuda {
        note(
            Severity::Slow,
            "this program was built without CUDA's headers, so that steps are neither recorded nor fed beside the work"
                .to_owned(),
            "build it again with CUDA_HOME set, or with `cargo xtask portable`".to_owned(),
        );
    }
    if seen > 0 && checkup.variable("CUDA_LAUNCH_BLOCKING").is_some_and(|value| !matches!(value, "" | "0")) {
        note(
            Severity::Slow,
            "CUDA_LAUNCH_BLOCKING is set: the CPU waits for every op of the GPU".to_owned(),
            "unset it".to_owned(),
        );
    }
}

fn processors(checkup: &Checkup, note: &mut dyn FnMut(Severity, String, String)) {
    let features = &checkup.processor.features;
    // Where the system does not say, the list is empty. All of arm64 has `asimd`.
    if !features.is_empty() && !features.contains(&"avx2") && !features.contains(&"asimd") {
        note(
            Severity::Slow,
            "the processor has no AVX2, which kernels are written for".to_owned(),
            "in a virtual machine, let it pass the processor of its host on (QEMU: -cpu host)".to_owned(),
        );
    }
    let limits = &checkup.limits;
    if let (Some(quota), Some(bound)) = (limits.quota, limits.bound)
        && quota < bound as f64
    {
        note(
            Severity::Slow,
            format!("a control group gives this process the time of {quota} of {bound} processors"),
            "ask for more, where it was started: docker --cpus, the batch system's CPUs per task".to_owned(),
        );
    }
    let usable = usable(checkup);
    if let Some(value) = checkup.variable("OMP_NUM_THREADS")
        && checkup.threads < usable
    {
        note(
            Severity::Slow,
            format!("OMP_NUM_THREADS={value} leaves {} of {usable} processors idle", usable - checkup.threads),
            "unset it, or set train.threads".to_owned(),
        );
    }
    if let (Some(load), Some(online)) = (limits.load, limits.online)
        && load > online as f64
    {
        note(
            Severity::Slow,
            format!("in the last minute {load} threads wanted the machine's {online} processors at a time"),
            "wait for other work to end, or use fewer threads by train.threads".to_owned(),
        );
    }
    if let Some(value) = checkup.variable("OMP_WAIT_POLICY").filter(|value| value.eq_ignore_ascii_case("active")) {
        note(
            Severity::Slow,
            format!("OMP_WAIT_POLICY={value} lets threads that wait keep their processors, whoever else wants them"),
            "unset it: mp-train then makes waits short while the processors are crowded".to_owned(),
        );
    }
}

/// How many threads can run at a time, as far as the system says.
fn usable(checkup: &Checkup) -> usize {
    let quota = checkup.limits.quota.map_or(usize::MAX, |quota| (quota as usize).max(1));
    checkup.limits.bound.map_or(checkup.threads, |bound| bound.min(quota))
}

fn memory(checkup: &Checkup, note: &mut dyn FnMut(Severity, String, String)) {
    let limits = &checkup.limits;
    let Some(left) = [limits.memory_available, limits.memory_limit].into_iter().flatten().min() else { return };
    if left < LEAST_MEMORY {
        note(
            Severity::Broken,
            format!("{} MB of memory are left, expected at least {} MB", left >> 20, LEAST_MEMORY >> 20),
            "end what takes the rest, or ask for more where the process is started".to_owned(),
        );
    }
}

fn room(folder: &Folder, note: &mut dyn FnMut(Severity, String, String)) {
    let (holds, path) = (&folder.holds, folder.path.display());
    if let Some(why) = &folder.unwritable {
        // Data that others have fetched is read all the same.
        if !(folder.exists && folder.path.is_dir() && holds == "data") {
            let remedy = format!("choose another folder by {}", option(holds));
            note(Severity::Broken, format!("{holds} cannot be written to {path}: {why}"), remedy);
        }
    } else if let Some(free) = folder.free.filter(|free| *free < LEAST_ROOM) {
        note(
            Severity::Broken,
            format!(
                "{path} has {} MB left for {holds}, expected at least {} MB",
                free / 1_000_000,
                LEAST_ROOM / 1_000_000
            ),
            format!("make room, or choose another folder by {}", option(holds)),
        );
    }
}

/// What says where a folder is.
fn option(holds: &str) -> &'static str {
    match holds {
        "data" => "--data-dir or MULTIPATH_DATA",
        "temporary files" => "TMPDIR",
        _ => "--out",
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Found, Variable};
    use super::*;

    /// A machine with nothing wrong about it.
    fn well() -> Checkup {
        let mut checkup = Checkup { threads: 4, ..Checkup::default() };
        checkup.libtorch.built_for = "2.13.0".to_owned();
        checkup.libtorch.version = Some("2.13.0".to_owned());
        checkup.libtorch.cuda = Some("13.0".to_owned());
        checkup.libtorch.own_cuda = true;
        checkup.processor.features = vec!["avx2"];
        checkup.limits.bound = Some(4);
        checkup.limits.online = Some(8);
        checkup.limits.load = Some(3.0);
        checkup.limits.memory_available = Some(8 << 30);
        checkup.devices = vec![Found { device: "cpu".to_owned(), ..Found::default() }];
        checkup
    }

    fn with_gpu(free: u64) -> Checkup {
        let mut checkup = well();
        let (device, hardware) = ("cuda:0".to_owned(), "NVIDIA H100".to_owned());
        let memory = Some(80_000_000_000);
        checkup.devices.push(Found { device, hardware, memory, memory_free: Some(free), ..Found::default() });
        checkup.nvidia_driver = Some("580.65.06".to_owned());
        checkup
    }

    fn set(checkup: &mut Checkup, name: &str, value: &str) {
        checkup.environment.push(Variable { name: name.to_owned(), value: value.to_owned() });
    }

    fn folder(holds: &str, unwritable: Option<&str>, free: u64) -> Folder {
        let unwritable = unwritable.map(String::from);
        Folder { holds: holds.to_owned(), path: PathBuf::from("/"), exists: true, unwritable, free: Some(free) }
    }

    /// The only finding, of this severity, in a line.
    #[track_caller]
    fn only(checkup: &Checkup, severity: Severity) -> String {
        let found = findings(checkup);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, severity, "{found:?}");
        format!("{}: {}", found[0].what, found[0].remedy)
    }

    #[test]
    fn a_machine_with_nothing_wrong_has_no_findings() {
        assert_eq!(findings(&well()), []);
        assert_eq!(findings(&with_gpu(79_000_000_000)), []);
        // Where a system says nothing, nothing is held against it.
        assert_eq!(findings(&Checkup::default()), []);
    }

    #[test]
    fn another_minor_version_of_libtorch_is_broken_and_another_patch_is_not() {
        let mut checkup = well();
        checkup.libtorch.version = Some("2.13.1".to_owned());
        assert_eq!(findings(&checkup), []);
        checkup.libtorch.version = Some("2.11.0".to_owned());
        checkup.libtorch.file = Some("/lib/libtorch_cpu.so".to_owned());
        let line = only(&checkup, Severity::Broken);
        assert!(
            line.starts_with("libtorch 2.11.0 is loaded from /lib/libtorch_cpu.so, expected 2.13.0, which"),
            "{line}"
        );
    }

    #[test]
    fn gpus_that_cannot_be_used_are_told_apart_by_why() {
        let unseen = || Checkup { devices: well().devices, ..with_gpu(0) };
        assert!(
            only(&unseen(), Severity::Slow).contains("built for CUDA 13.0, sees no GPU by NVIDIA's driver 580.65.06")
        );
        let mut wrong = unseen();
        set(&mut wrong, "CUDA_VISIBLE_DEVICES", "7");
        assert!(only(&wrong, Severity::Slow).starts_with("CUDA_VISIBLE_DEVICES=7 shows none of the GPUs"));
        let mut hidden = unseen();
        set(&mut hidden, "CUDA_VISIBLE_DEVICES", "");
        assert_eq!(findings(&hidden), []);
        let mut without = unseen();
        without.libtorch.cuda = None;
        assert!(only(&without, Severity::Slow).starts_with("there is a GPU, and this libtorch comes without CUDA"));
    }

    #[test]
    fn a_gpu_that_computes_wrongly_is_broken_and_one_that_others_use_is_slow() {
        let mut checkup = with_gpu(79_000_000_000);
        checkup.devices[1].defect = Some("CUDA error: no kernel image is available".to_owned());
        let line = only(&checkup, Severity::Broken);
        assert!(
            line.starts_with("cuda:0 (NVIDIA H100) does not compute what it should: CUDA error: no kernel"),
            "{line}"
        );
        assert!(only(&with_gpu(8_000_000_000), Severity::Slow).starts_with("cuda:0 has 8.0 GB of 80.0 GB free"));

        let mut checkup = with_gpu(79_000_000_000);
        set(&mut checkup, "CUDA_LAUNCH_BLOCKING", "1");
        assert!(only(&checkup, Severity::Slow).starts_with("CUDA_LAUNCH_BLOCKING is set"));
        let mut checkup = with_gpu(79_000_000_000);
        checkup.libtorch.own_cuda = false;
        assert!(only(&checkup, Severity::Slow).contains("without CUDA's headers"));
    }

    #[test]
    fn fewer_processors_than_there_are_is_slow() {
        let mut checkup = well();
        checkup.limits.quota = Some(2.5);
        checkup.threads = 2;
        assert!(
            only(&checkup, Severity::Slow)
                .starts_with("a control group gives this process the time of 2.5 of 4 processors")
        );

        let mut checkup = well();
        checkup.threads = 1;
        // As a flag of the user's own would.
        assert_eq!(findings(&checkup), []);
        set(&mut checkup, "OMP_NUM_THREADS", "1");
        assert!(only(&checkup, Severity::Slow).starts_with("OMP_NUM_THREADS=1 leaves 3 of 4 processors idle"));
    }

    #[test]
    fn other_work_and_old_or_restrained_processors_are_slow() {
        let mut checkup = well();
        checkup.limits.load = Some(8.5);
        assert!(only(&checkup, Severity::Slow).starts_with("in the last minute 8.5 threads wanted the machine's 8"));
        let mut checkup = well();
        checkup.processor.features = vec!["fma"];
        assert!(only(&checkup, Severity::Slow).starts_with("the processor has no AVX2"));
        checkup.processor.features = vec!["asimd"];
        assert_eq!(findings(&checkup), []);
        for (name, value) in
            [("ATEN_CPU_CAPABILITY", "default"), ("ONEDNN_MAX_CPU_ISA", "SSE41"), ("OMP_WAIT_POLICY", "ACTIVE")]
        {
            let mut checkup = well();
            set(&mut checkup, name, value);
            assert!(only(&checkup, Severity::Slow).starts_with(&format!("{name}={value} ")));
        }
        let mut passive = well();
        set(&mut passive, "OMP_WAIT_POLICY", "passive");
        assert_eq!(findings(&passive), []);
    }

    #[test]
    fn too_little_memory_is_broken_whoever_limits_it() {
        let mut checkup = well();
        checkup.limits.memory_limit = Some(512 << 20);
        assert!(only(&checkup, Severity::Broken).starts_with("512 MB of memory are left, expected at least 768 MB"));
        checkup.limits.memory_limit = Some(1 << 30);
        assert_eq!(findings(&checkup), []);
    }

    #[test]
    fn a_folder_needs_room_and_all_but_data_must_be_writable() {
        let with = |folder| Checkup { folders: vec![folder], ..well() };
        let full = only(&with(folder("data", None, 5_000_000)), Severity::Broken);
        assert!(full.starts_with("/ has 5 MB left for data, expected at least 100 MB: make room, or"), "{full}");
        let denied = only(&with(folder("runs", Some("Permission denied"), 0)), Severity::Broken);
        assert_eq!(denied, "runs cannot be written to /: Permission denied: choose another folder by --out");
        assert_eq!(findings(&with(folder("data", Some("Read-only file system"), 0))), []);
        let absent = Folder {
            path: PathBuf::from("/nowhere/data"),
            exists: false,
            ..folder("data", Some("Permission denied"), 0)
        };
        assert!(only(&with(absent), Severity::Broken).ends_with("--data-dir or MULTIPATH_DATA"));
    }

    #[test]
    fn what_is_broken_comes_first() {
        let mut checkup = well();
        checkup.limits.quota = Some(1.0);
        checkup.threads = 1;
        checkup.folders = vec![folder("runs", None, 0)];
        let severities: Vec<Severity> = findings(&checkup).iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Broken, Severity::Slow]);
    }
}
