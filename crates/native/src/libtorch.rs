//! Which libtorch this is: the one that this crate was compiled against, and the one that is loaded.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;

unsafe extern "C" {
    fn mp_libtorch_built_for() -> *const c_char;
    fn mp_libtorch_configuration() -> *const c_char;
    fn mp_libtorch_file() -> *const c_char;
}

/// A text of the C++ side; `None` for null.
///
/// # Safety
/// `text` is null or a C string that lives as long as the process.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// The version of the libtorch that this crate was compiled against, such as `2.13.0`.
pub fn built_for() -> String {
    // SAFETY: a literal.
    unsafe { owned(mp_libtorch_built_for()) }.unwrap_or_default()
}

/// The file of libtorch's CPU library that the loader chose; `None` where the system does not say.
pub fn file() -> Option<PathBuf> {
    // SAFETY: the name belongs to the loader's list, and the library is never unloaded: this crate is linked with it.
    unsafe { owned(mp_libtorch_file()) }.map(PathBuf::from)
}

/// What a libtorch says about how it was built and how it computes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// Its version, such as `2.13.0`.
    pub version: Option<String>,
    /// The vector instructions that its kernels use on this processor, such as `AVX512`; `DEFAULT` for none beyond the
    /// architecture's least.
    pub vectors: Option<String>,
    /// The version of CUDA that it was built with, if any.
    pub cuda: Option<String>,
    /// The version of cuDNN that it was built with, if any.
    pub cudnn: Option<String>,
}

impl Configuration {
    /// That of the libtorch that is loaded.
    pub fn loaded() -> Self {
        // SAFETY: the text is kept by the C++ side.
        Self::parse(&unsafe { owned(mp_libtorch_configuration()) }.unwrap_or_default())
    }

    /// Reads the lines of `at::show_config`.
    fn parse(text: &str) -> Self {
        let after = |mark: &str| {
            let (_, rest) = text.split_once(mark)?;
            let value = rest.split([',', '\n']).next()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        Self {
            version: after(" TORCH_VERSION="),
            vectors: after("- CPU capability usage: "),
            cuda: after(" CUDA_VERSION="),
            cudnn: after(" CUDNN_VERSION="),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_from_what_libtorch_says() {
        let text = "PyTorch built with:\n  - GCC 13.3\n  - CPU capability usage: AVX512\n  - Build settings: BLAS_INFO=mkl, \
                    CUDA_FLAGS= -Xfatbin, CUDA_VERSION=13.0, CUDNN_VERSION=9.20.0, TORCH_VERSION=2.13.0, USE_CUDA=1, \n";
        let some = |text: &str| Some(text.to_owned());
        let expected = Configuration {
            version: some("2.13.0"),
            vectors: some("AVX512"),
            cuda: some("13.0"),
            cudnn: some("9.20.0"),
        };
        assert_eq!(Configuration::parse(text), expected);
        assert_eq!(Configuration::parse(""), Configuration::default());
    }

    #[test]
    fn the_libtorch_that_is_loaded_is_the_one_of_the_build() {
        assert_eq!(Configuration::loaded().version, Some(built_for()));
        let file = file().unwrap();
        assert!(file.is_file() && file.to_string_lossy().contains("libtorch_cpu"), "{}", file.display());
    }
}
