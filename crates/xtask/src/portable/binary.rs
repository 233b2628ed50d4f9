//! What a program asks of the machine that it is to run on, as `readelf` shows it.

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;

/// The needs of a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// The libraries that it names itself.
    pub(super) libraries: Vec<String>,
    /// The newest version of glibc whose symbols it uses, such as `2.34`; empty if it uses none.
    pub(super) glibc: String,
    /// As `glibc`, of the C++ library, such as `3.4.32`.
    pub(super) glibcxx: String,
}

impl Needs {
    /// Those of the program in `file`.
    pub(super) fn of(file: &Path) -> Result<Self, Failure> {
        let output = Command::new("readelf").args(["--wide", "--dynamic", "--version-info"]).arg(file).output();
        let output = output.map_err(|error| {
            Failure::setup(format!("readelf, which shows what a program needs, did not run: {error}; install binutils"))
        })?;
        if !output.status.success() {
            return Err(Failure::step(format!("readelf could not read {}", file.display())));
        }
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(text: &str) -> Self {
        let after = |line: &str, mark: &str, end: &[char]| {
            let (_, rest) = line.split_once(mark)?;
            rest.split(end).next().map(String::from)
        };
        let needed = |line: &str| after(line, "(NEEDED)", &[]).and_then(|rest| after(&rest, "[", &[']']));
        let newest = |mark: &str| {
            let versions = text.lines().filter_map(|line| after(line, mark, &[' ']));
            versions.max_by_key(|version| numbers(version)).unwrap_or_default()
        };
        Self {
            libraries: text.lines().filter_map(needed).collect(),
            glibc: newest("Name: GLIBC_"),
            glibcxx: newest("Name: GLIBCXX_"),
        }
    }
}

/// Versions compare as lists of numbers: 2.9 comes before 2.34.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_read_from_the_tables_of_readelf() {
        let text = "
Dynamic section at offset 0x10 contains 3 entries:
  Tag        Type                         Name/Value
 0x0000000000000001 (NEEDED)             Shared library: [libtorch_cuda.so]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000001d (RUNPATH)            Library runpath: [/somewhere/torch/lib]

Version needs section '.gnu.version_r' contains 2 entries:
 Addr: 0x0000000000001000  Offset: 0x001000  Link: 6 (.dynstr)
  000000: Version: 1  File: libc.so.6  Cnt: 3
  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 12
  0x0020:   Name: GLIBC_2.34  Flags: none  Version: 11
  0x0030:   Name: GLIBC_2.2.5  Flags: none  Version: 10
  0x0040: Version: 1  File: libstdc++.so.6  Cnt: 1
  0x0050:   Name: GLIBCXX_3.4.29  Flags: none  Version: 9
";
        assert_eq!(
            Needs::parse(text),
            Needs {
                libraries: vec!["libtorch_cuda.so".to_owned(), "libc.so.6".to_owned()],
                glibc: "2.34".to_owned(),
                glibcxx: "3.4.29".to_owned(),
            }
        );
        assert_eq!(Needs::parse(""), Needs { libraries: vec![], glibc: String::new(), glibcxx: String::new() });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_test_needs_the_c_library() {
        let needs = Needs::of(&std::env::current_exe().expect("a program")).expect("binutils come with a compiler");
        assert!(needs.libraries.iter().any(|library| library == "libc.so.6"), "{needs:?}");
    }
}
