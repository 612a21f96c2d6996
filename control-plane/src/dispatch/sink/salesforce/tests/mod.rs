//! Planning and reading, without a socket. The rest is tested against a stubbed org.

mod answers;
mod origins;
mod plans;
