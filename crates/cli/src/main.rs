//! The `mp-train` binary: see `mp_cli`.

fn main() -> std::process::ExitCode {
    mp_cli::main()
}
