//! The packages of the Python registry that hold libtorch, pinned to the byte.
//!
//! PyTorch's own downloads of libtorch are not mirrored by package registries; its wheels are, and hold the same
//! libraries. The Linux wheels are built for CUDA, so `libtorch_cpu` asks for two small CUDA libraries even on a
//! machine with no GPU; they come from NVIDIA's wheels.

/// The version that `torch-sys` 0.26 was written for.
pub(crate) const VERSION: &str = "2.13.0";

/// libtorch for one platform.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) platform: &'static str,
    pub(crate) wheels: &'static [Wheel],
    /// What stands in for the wheel's `libtorch.so`, which would ask for all of CUDA.
    pub(crate) linker_script: Option<&'static str>,
}

/// One file of the Python registry and what is taken from it.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    pub(crate) platform_tags: &'static [&'static str],
    pub(crate) bytes: u64,
    pub(crate) sha256: &'static str,
    /// The folder inside the wheel that holds `libraries`.
    pub(crate) folder: &'static str,
    pub(crate) libraries: &'static [Library],
    /// The folder inside the wheel that becomes `include`, if any.
    pub(crate) headers: Option<&'static str>,
}

/// A shared library and its size in bytes.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) bytes: u64,
}

const fn library(name: &'static str, bytes: u64) -> Library {
    Library { name, bytes }
}

impl Build {
    /// The build for a platform, named as in [`std::env::consts`]; `None` where there is no such wheel.
    pub(crate) fn find(os: &str, arch: &str) -> Option<&'static Self> {
        match (os, arch) {
            ("linux", "x86_64") => Some(&LINUX_X86_64),
            ("linux", "aarch64") => Some(&LINUX_AARCH64),
            ("macos", "aarch64") => Some(&MACOS_AARCH64),
            _ => None,
        }
    }

    pub(crate) fn libraries(&self) -> impl Iterator<Item = &'static Library> {
        self.wheels.iter().flat_map(|wheel| wheel.libraries)
    }

    pub(crate) fn download_bytes(&self) -> u64 {
        self.wheels.iter().map(|wheel| wheel.bytes).sum()
    }

    /// The most that fetching takes on disk: pip copies what it downloaded, and each wheel goes once it is unpacked.
    pub(crate) fn peak_bytes(&self) -> u64 {
        let headers = 100_000_000;
        let unpacked = self.libraries().map(|library| library.bytes).sum::<u64>() + headers;
        self.download_bytes() + self.download_bytes().max(unpacked)
    }
}

const CPU_LINKER_SCRIPT: &str = "INPUT(libtorch_cpu.so libc10.so)\n";

static LINUX_X86_64: Build = Build {
    platform: "x86_64 Linux",
    linker_script: Some(CPU_LINKER_SCRIPT),
    wheels: &[
        Wheel {
            package: "torch",
            version: VERSION,
            platform_tags: &["manylinux_2_28_x86_64"],
            bytes: 526_605_292,
            sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
            folder: "torch/lib",
            libraries: &[
                library("libtorch_cpu.so", 438_418_417),
                library("libc10.so", 1_623_185),
                library("libgomp.so.1", 254_009),
            ],
            headers: Some("torch/include"),
        },
        Wheel {
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            platform_tags: &["manylinux2014_x86_64", "manylinux_2_17_x86_64"],
            bytes: 2_243_632,
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            folder: "nvidia/cu13/lib",
            libraries: &[library("libcudart.so.13", 704_288)],
            headers: None,
        },
        Wheel {
            package: "nvidia-cuda-cupti",
            version: "13.0.85",
            platform_tags: &["manylinux_2_25_x86_64"],
            bytes: 10_715_597,
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            folder: "nvidia/cu13/lib",
            libraries: &[library("libcupti.so.13", 4_152_208)],
            headers: None,
        },
    ],
};

static LINUX_AARCH64: Build = Build {
    platform: "aarch64 Linux",
    linker_script: Some(CPU_LINKER_SCRIPT),
    wheels: &[
        Wheel {
            package: "torch",
            version: VERSION,
            platform_tags: &["manylinux_2_28_aarch64"],
            bytes: 427_210_998,
            sha256: "572df8be8ffb4599c88cbd6a0726f1f854f4da65d2e3c09f0e2c2283333cd6d4",
            folder: "torch/lib",
            libraries: &[
                library("libtorch_cpu.so", 267_181_049),
                library("libc10.so", 1_930_761),
                library("libgomp.so.1", 344_073),
                library("libarm_compute.so", 17_850_537),
                library("libarm_compute_graph.so", 1_310_433),
                library("libnvpl_blas_core.so.0", 2_562_097),
                library("libnvpl_blas_lp64_gomp.so.0", 469_313),
                library("libnvpl_lapack_core.so.0", 1_710_681),
                library("libnvpl_lapack_lp64_gomp.so.0", 5_936_761),
            ],
            headers: Some("torch/include"),
        },
        Wheel {
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            platform_tags: &["manylinux2014_aarch64", "manylinux_2_17_aarch64"],
            bytes: 2_261_060,
            sha256: "ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55",
            folder: "nvidia/cu13/lib",
            libraries: &[library("libcudart.so.13", 707_752)],
            headers: None,
        },
        Wheel {
            package: "nvidia-cuda-cupti",
            version: "13.0.85",
            platform_tags: &["manylinux_2_25_aarch64"],
            bytes: 10_310_827,
            sha256: "796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151",
            folder: "nvidia/cu13/lib",
            libraries: &[library("libcupti.so.13", 3_850_656)],
            headers: None,
        },
    ],
};

static MACOS_AARCH64: Build = Build {
    platform: "aarch64 macOS",
    linker_script: None,
    wheels: &[Wheel {
        package: "torch",
        version: VERSION,
        platform_tags: &["macosx_14_0_arm64"],
        bytes: 111_213_045,
        sha256: "2fe228aba290d14b9f31b049be550dbd469c3fd3013d7a19705b30454da97027",
        folder: "torch/lib",
        libraries: &[
            library("libtorch_cpu.dylib", 337_911_904),
            library("libtorch.dylib", 16_752),
            library("libc10.dylib", 1_102_704),
            library("libomp.dylib", 856_096),
        ],
        headers: Some("torch/include"),
    }],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_build_names_each_library_once_and_takes_headers_from_one_wheel() {
        for build in [&LINUX_X86_64, &LINUX_AARCH64, &MACOS_AARCH64] {
            let mut names: Vec<_> = build.libraries().map(|library| library.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), build.libraries().count(), "{}", build.platform);
            assert_eq!(build.wheels.iter().filter(|wheel| wheel.headers.is_some()).count(), 1, "{}", build.platform);
            assert!(build.wheels.iter().all(|wheel| wheel.sha256.len() == 64), "{}", build.platform);
        }
    }

    #[test]
    fn the_linker_script_names_only_libraries_that_are_unpacked() {
        for build in [&LINUX_X86_64, &LINUX_AARCH64] {
            let script = build.linker_script.expect("Linux wheels are built for CUDA");
            let inputs =
                script.trim_end().strip_prefix("INPUT(").and_then(|rest| rest.strip_suffix(')')).expect(script);
            for input in inputs.split(' ') {
                assert!(build.libraries().any(|library| library.name == input), "{input} on {}", build.platform);
            }
        }
    }

    #[test]
    fn a_platform_without_a_wheel_has_no_build() {
        assert!(Build::find("windows", "x86_64").is_none());
        assert!(Build::find("macos", "x86_64").is_none());
    }
}
