//! The CUDA kernels without a GPU: `emulate/` runs their own text on the CPU, thread by thread, against their definitions.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SOURCES: [&str; 5] = ["main", "gate_inputs", "mix", "norm", "route"];

/// As C++ for another machine: with what a GPU would refuse, a misaligned vector and an index beyond an array of known length.
const CHECKED: [&str; 2] = ["-fsanitize=alignment,bounds", "-fno-sanitize-recover=all"];

fn finish(child: Child) {
    let output = child.wait_with_output().expect("the compiler ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_kernels_text_agrees_with_its_definitions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = env!("MP_NATIVE_TARGET");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++20").target(target).host(target).opt_level(1).debug(false).cargo_metadata(false);
    let compiler = build.try_get_compiler().expect("the compiler that built this crate");
    let command = |to: &Path| {
        let mut command = compiler.to_command();
        command.args(CHECKED).arg("-o").arg(to).stderr(Stdio::piped());
        command
    };
    // All files at once.
    let compiling: Vec<(PathBuf, Child)> = SOURCES
        .iter()
        .map(|name| {
            let object = folder.path().join(name).with_extension("o");
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulate").join(name).with_extension("cpp");
            let mut compile = command(&object);
            compile.arg("-c").arg(source).args(["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]);
            (object, compile.spawn().expect("the compiler starts"))
        })
        .collect();
    let program = folder.path().join("emulate");
    let mut link = command(&program);
    for (object, child) in compiling {
        finish(child);
        link.arg(object);
    }
    finish(link.spawn().expect("the compiler starts"));
    let output = Command::new(program).output().expect("what was built runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "all CUDA kernels agree with their definitions\n");
}
