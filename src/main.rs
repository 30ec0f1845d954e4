//! Parses the command line, starts tracing, hands over and turns the result into an exit code.
fn main() {}
