//! The `imeid` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    imeid::cli::main()
}
