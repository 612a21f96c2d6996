//! What can be typed about tokens.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Client, Format, examples};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token and print it, alone, on stdout: this once
    #[command(after_help = examples::TOKEN_CREATE_EXAMPLES)]
    Create(CreateToken),
    /// Show tokens: what they may do, until when, last used when. Never the tokens themselves
    #[command(after_help = examples::TOKEN_LIST_EXAMPLES)]
    List(ListTokens),
    /// End a token at once: calls are refused, open streams end
    #[command(after_help = examples::TOKEN_REVOKE_EXAMPLES)]
    Revoke(RevokeToken),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CreateToken {
    /// The org that it is of; `-` for the whole installation
    #[arg(long, value_name = "ORG")]
    pub(crate) org: String,
    /// What its bearer may do
    #[arg(long, value_enum)]
    pub(crate) role: Role,
    /// Of a consumer: GROUP/WEBHOOK, or ORG/GROUP/WEBHOOK; may be repeated
    #[arg(long = "webhook", value_name = "W")]
    pub(crate) webhooks: Vec<String>,
    /// Of a listener: a pool that it serves; may be repeated
    #[arg(long = "pool", value_name = "P", conflicts_with = "webhooks")]
    pub(crate) pools: Vec<String>,
    /// How long it lets in, as in 12h, 90d or 52w [default: until it is revoked]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ListTokens {
    /// Those of one org [default: all you may see]
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// How to print them
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RevokeToken {
    /// The token's id
    pub(crate) id: String,
    /// The org that it is of, to be sure; `-` for the whole installation
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// What an editor may, and tokens, and deleting the org; of the whole installation: everything
    Admin,
    /// Reads; writes connectors, groups, webhooks and destinations; applies manifests; previews, compares; replays; has samples signed
    Editor,
    /// Reads everything but tokens and secrets
    Viewer,
    /// Takes the deliveries of the webhooks it names
    Consumer,
    /// Serves the pools it names, and gets the secrets of their groups
    Listener,
}
