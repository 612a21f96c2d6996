//! Prints what the catalogue holds: connectors by scheme and confidence, vectors passed, who signed them, what is not supported and why.
//!
//! `cargo run -p hookplane-tests --bin catalogue`; with `-- --write` it writes the table into the page beside the catalogue as well.

use std::process::ExitCode;

use hookplane_tests::catalogue::{Table, write_page};

#[expect(clippy::print_stdout, reason = "a command: this is what it is for")]
#[expect(clippy::print_stderr, reason = "a command says what is wrong")]
fn main() -> ExitCode {
    let table = Table::run();
    println!("{table}");
    let mut problems = table.problems();
    if std::env::args().any(|one| one == "--write")
        && let Err(error) = write_page(&table)
    {
        problems.push(error);
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
