//! Who may do what: the real server on a loopback socket, with tokens of every role, in two orgs.

mod certificates;
mod commands;
mod ends;
mod orgs;
mod rig;
mod table;
mod tokens;
mod wire;
