//! The kernels under sanitizers: `sanitize/` is built with the kernels' own sources, without libtorch, and run.
//!
//! A compiler that has no sanitizer is no failure: the test says so and passes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

const SOURCES: &[&str] = &[
    "tests/sanitize/main.cpp",
    "tests/sanitize/conv.cpp",
    "tests/sanitize/direct.cpp",
    "tests/sanitize/gate.cpp",
    "tests/sanitize/mix.cpp",
    "tests/sanitize/norm.cpp",
    "tests/sanitize/pool.cpp",
    "tests/sanitize/step.cpp",
    "cpp/conv_kernels.cpp",
    "cpp/direct_conv.cpp",
    "cpp/gate_kernels.cpp",
    "cpp/mix_kernels.cpp",
    "cpp/norm_kernels.cpp",
    "cpp/pool_kernels.cpp",
    "cpp/step_kernels.cpp",
];

/// A program that was built under a sanitizer.
struct Sanitized {
    folder: TempDir,
}

impl Sanitized {
    /// Builds the checks; `None` where the compiler cannot build anything under those sanitizers.
    fn build(sanitizers: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources: Vec<PathBuf> = SOURCES.iter().map(|source| crate_folder.join(source)).collect();
        let Err(message) = compile(sanitizers, &sources, &folder.path().join("checks")) else {
            return Some(Self { folder });
        };
        let (source, nothing) = (folder.path().join("nothing.cpp"), folder.path().join("nothing"));
        std::fs::write(&source, "int main() {}\n").expect("the temporary folder takes files");
        let works = compile(sanitizers, &[source], &nothing).is_ok()
            && Command::new(nothing).output().is_ok_and(|output| output.status.success());
        assert!(!works, "the checks do not compile: {message}");
        // Not by a macro: the test runner would keep that to itself.
        let _ = writeln!(std::io::stderr(), "skipped: the C++ compiler cannot build with {sanitizers:?}");
        None
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(self.folder.path().join("checks")).args(arguments).output().expect("what was built runs")
    }
}

/// Compiles and links with the compiler that the crate is built with, or says why that cannot be.
fn compile(sanitizers: &[&str], sources: &[PathBuf], to: &Path) -> Result<(), String> {
    let target = env!("MP_NATIVE_TARGET");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++20").target(target).host(target).opt_level(1).debug(false).cargo_metadata(false);
    let compiler = build.try_get_compiler().map_err(|error| error.to_string())?;
    let command = || {
        let mut command = compiler.to_command();
        command.args(sanitizers).args(["-fno-sanitize-recover=all", "-pthread", "-o"]);
        command.stderr(Stdio::piped());
        command
    };
    let finish = |child: Child| -> Result<(), String> {
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    };
    // All files at once: the vectors take the compiler long.
    let mut compiling = Vec::new();
    for source in sources {
        let object = to.with_file_name(source.file_name().expect("a source has a name")).with_extension("o");
        let mut compile = command();
        compile.arg(&object).arg("-c").arg(source).args(["-g1", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"]);
        compile.args(["-fopenmp-simd", "-ffp-contract=off", "-fno-math-errno"]).args(widest_vectors());
        if !source.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("cpp")) {
            // Only the kernels must be as they are elsewhere; the checks compile sooner so.
            compile.arg("-O0");
        }
        compiling.push((object, compile.spawn().map_err(|error| format!("{compile:?}: {error}"))?));
    }
    let mut link = command();
    link.arg(to);
    for (object, child) in compiling {
        finish(child)?;
        link.arg(object);
    }
    finish(link.spawn().map_err(|error| format!("{link:?}: {error}"))?)
}

/// The widest of the vectors that the kernels are compiled for and this CPU has: under a sanitizer there are no clones.
fn widest_vectors() -> Option<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512vl") && std::is_x86_feature_detected!("avx512bw") {
            return Some("-march=x86-64-v4");
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return Some("-march=x86-64-v3");
        }
    }
    None
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn assert_clean(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout), "all kernels agree with their definitions\n");
}

#[track_caller]
fn assert_found(output: &Output, report: &str) {
    let found = text(&output.stderr);
    assert!(!output.status.success() && found.contains(report), "expected a report of {report}, found: {found}");
}

#[test]
fn no_kernel_touches_memory_beyond_its_arrays_or_does_what_is_undefined() {
    // What `address` finds as well is left out of `undefined`: with vectors it doubles the time to compile.
    let found_by_both = "-fno-sanitize=alignment,bounds,null,object-size,pointer-overflow";
    let sanitizers = ["-fsanitize=address,undefined", found_by_both];
    let Some(checks) = Sanitized::build(&sanitizers) else { return };
    assert_clean(&checks.run(&[]));
    assert_found(&checks.run(&["overrun"]), "AddressSanitizer: heap-buffer-overflow");
    assert_found(&checks.run(&["overflow"]), "runtime error: signed integer overflow");
}

#[test]
#[ignore = "builds everything once more, for loops that share nothing by the look of them"]
fn calls_from_several_threads_share_nothing() {
    let Some(checks) = Sanitized::build(&["-fsanitize=thread"]) else { return };
    assert_clean(&checks.run(&[]));
    assert_found(&checks.run(&["race"]), "ThreadSanitizer: data race");
}
