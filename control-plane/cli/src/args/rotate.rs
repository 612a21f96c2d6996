//! What can be typed about rotating.

use clap::{Args as ClapArgs, Subcommand};

use super::{Client, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum Rotate {
    /// Make a new callback URL and print it, alone, on stdout; say on stderr until when the old one is taken too
    #[command(after_help = examples::ROTATE_EXAMPLES)]
    Url(RotateUrl),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RotateUrl {
    /// ORG/GROUP
    pub(crate) group: String,
    /// How long the old URL is taken too, as in 90m, 12h or 30d: 90d at most; 0 ends it now
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) overlap: String,
    /// Don't wait until every listener takes the new one
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) client: Client,
}
