//! What the processor can do that matters to networks.

use std::fs;
use std::hint::black_box;

use serde::Serialize;

/// The flags of Linux's `/proc/cpuinfo` that kernels of libtorch's or of ours look for, on x86-64 and on arm64.
const FEATURES: [&str; 13] = [
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512_bf16",
    "amx_tile",
    "amx_bf16",
    "asimd",
    "sve",
    "bf16",
    "i8mm",
];

/// A processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Processor {
    /// Its name; the architecture's where the system does not say.
    pub name: String,
    /// Its vector instructions, as Linux names them; empty where the system does not say.
    pub features: Vec<&'static str>,
    /// Whether numbers below the least normal one, 1.2e-38, are kept, as the standard wants it, and not taken for 0.
    pub denormals: bool,
}

impl Processor {
    /// That of this machine.
    pub fn here() -> Self {
        Self {
            name: crate::machine::processor(),
            features: features(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            denormals: black_box(f32::MIN_POSITIVE) * black_box(0.5) != 0.0,
        }
    }

    /// The instructions that multiply bfloat16 numbers; `None` if it has none of them.
    pub fn bf16_products(&self) -> Option<&'static str> {
        ["amx_bf16", "avx512_bf16", "bf16"].into_iter().find(|name| self.features.contains(name))
    }
}

/// Those that the first processor of the table has.
fn features(table: &str) -> Vec<&'static str> {
    let names = ["flags", "Features"];
    let line = table.lines().find(|line| names.iter().any(|name| line.starts_with(name)));
    let flags = line.and_then(|line| line.split_once(':')).map(|(_, flags)| flags).unwrap_or_default();
    let has = |name: &&str| flags.split_whitespace().any(|flag| flag == *name);
    FEATURES.into_iter().filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_those_of_linuxs_table() {
        let intel = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sse2 avx2 fma amx_bf16 avx512_bf16\n";
        let found = Processor { features: features(intel), ..Processor::default() };
        assert_eq!(found.features, ["avx2", "fma", "avx512_bf16", "amx_bf16"]);
        assert_eq!(found.bf16_products(), Some("amx_bf16"));
        let arm = "processor\t: 0\nFeatures\t: fp asimd bf16\n";
        assert_eq!(features(arm), ["asimd", "bf16"]);
        assert_eq!(Processor { features: features(""), ..Processor::default() }.bf16_products(), None);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_standard_library_finds_the_same_here() {
        let here = Processor::here();
        if cfg!(target_os = "linux") {
            assert_eq!(here.features.contains(&"avx2"), std::is_x86_feature_detected!("avx2"));
            assert_eq!(here.features.contains(&"avx512bw"), std::is_x86_feature_detected!("avx512bw"));
        }
        assert!(here.denormals && !here.name.is_empty());
    }
}
