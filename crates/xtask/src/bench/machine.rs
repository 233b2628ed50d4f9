//! On what a bench ran.

use std::fs;

use super::json::quoted;

/// The machine, as a reader of the figures needs to know it.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) system: String,
    /// Processes that wanted to run over the last minute, before ours did; where the system tells.
    pub(super) load: Option<f64>,
}

impl Machine {
    pub(super) fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        Self {
            processor: processor(&cpu).unwrap_or(std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()).trim().to_owned(),
            load: read("/proc/loadavg").split_whitespace().next().and_then(|word| word.parse().ok()),
        }
    }

    /// Other work on the cores makes threads wait for each other, in some models more than in others.
    pub(super) fn warn_if_busy(&self) {
        if let Some(load) = self.load.filter(|load| *load > 1.0) {
            eprintln!("warning: the machine is busy (load {load:.1}): ratios will scatter, run this on an idle one");
        }
    }

    pub(super) fn describe(&self) -> String {
        let load = self.load.map(|load| format!("; load {load:.1} before the run")).unwrap_or_default();
        format!("{}, {} cores, {}{load}", self.processor, self.cores, self.system)
    }

    pub(super) fn json(&self) -> String {
        format!(
            "{{\"processor\": {}, \"cores\": {}, \"system\": {}, \"load\": {}}}",
            quoted(&self.processor),
            self.cores,
            quoted(&self.system),
            self.load.map_or("null".to_owned(), |load| load.to_string())
        )
    }
}

/// The name, and of the instructions those that decide how fast matrices are multiplied.
fn processor(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    let name = field("model name")?;
    let flags: Vec<&str> = field("flags").unwrap_or_default().split(' ').collect();
    let telling = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"].into_iter().filter(|flag| flags.contains(flag));
    Some(format!("{name} ({})", telling.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_with_what_it_multiplies_by() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512f amx_bf16\n";
        assert_eq!(processor(cpuinfo).as_deref(), Some("Some CPU @ 2 GHz (avx2, avx512f, amx_bf16)"));
        assert_eq!(processor(""), None);
    }
}
