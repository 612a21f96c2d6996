//! What can be typed. The help is written to be learnt from.

mod backends;
mod examples;
mod history;
mod rotate;
mod servers;
mod tokens;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(crate) use backends::Backends;
pub(crate) use history::{
    Compare, Describe, DescribeDestination, Narrow, Pausing, Preview, Replay, ReplayMapping,
    ShortFormat,
};
pub(crate) use rotate::{Rotate, RotateUrl};
pub(crate) use servers::{Common, Listen, Serve};
pub(crate) use tokens::{CreateToken, ListTokens, RevokeToken, Role, Token};

/// hookplane receives the callbacks API providers post, proves them genuine, keeps them before it says 200, and hands them,
/// filtered and mapped to your objects and fields, to the teams and systems that asked.
#[derive(Debug, Parser)]
#[command(name = "hookplane", version, arg_required_else_help = true, after_help = examples::TOP_EXAMPLES)]
pub(crate) struct Args {
    /// Address of the API, as in http://127.0.0.1:8081 [default: what `dev` wrote into the data directory]
    #[arg(
        long = "api",
        id = "top_api",
        env = "HOOKPLANE_API",
        value_name = "ADDR"
    )]
    pub(crate) api: Option<String>,
    /// Bearer token [default: the data directory's, sent to loopback addresses only]
    #[arg(
        long = "token",
        id = "top_token",
        env = "HOOKPLANE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<String>,
    /// Where `dev` keeps everything [default: ./hookplane-data]
    #[arg(
        long = "data-dir",
        id = "top_data_dir",
        env = "HOOKPLANE_DATA_DIR",
        value_name = "DIR"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// File with the certificates (PEM) that an https:// API's is checked against [default: the public roots]
    #[arg(
        long = "tls-ca",
        id = "top_tls_ca",
        env = "HOOKPLANE_TLS_CA",
        value_name = "FILE"
    )]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Send the token over plain http:// to an address that is not loopback
    #[arg(long = "insecure-plaintext", id = "top_insecure_plaintext")]
    pub(crate) insecure_plaintext: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the API is. Accepted before and after the command's name.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Client {
    /// Address of the API (or HOOKPLANE_API, or the data directory's)
    #[arg(long, value_name = "ADDR", help_heading = "Connection")]
    pub(crate) api: Option<String>,
    /// Bearer token (or HOOKPLANE_TOKEN, or the data directory's)
    #[arg(long, value_name = "TOKEN", help_heading = "Connection")]
    pub(crate) token: Option<String>,
    /// Data directory of a `hookplane dev` (or HOOKPLANE_DATA_DIR)
    #[arg(long, value_name = "DIR", help_heading = "Connection")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Certificates that an https:// API's is checked against (or HOOKPLANE_TLS_CA)
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(crate) tls_ca: Option<PathBuf>,
    /// Send the token over plain http:// to an address that is not loopback
    #[arg(long, help_heading = "Connection")]
    pub(crate) insecure_plaintext: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in one process on this machine, and print a line to paste
    #[command(after_help = examples::DEV_EXAMPLES)]
    Dev(Dev),
    /// Run the control plane: the API, the console, configuration, events
    #[command(after_help = examples::SERVE_EXAMPLES)]
    Serve(Box<Serve>),
    /// Run a listener: it takes callbacks and reports them to a control plane
    #[command(after_help = examples::LISTEN_EXAMPLES)]
    Listen(Listen),
    /// Create and update what a manifest file says; never delete
    #[command(after_help = examples::APPLY_EXAMPLES)]
    Apply(Apply),
    /// Show resources, as a table, JSON, or manifests that can be applied again
    #[command(after_help = examples::GET_EXAMPLES)]
    Get(Get),
    /// Say why callbacks of a group are refused or not kept, and what to do; or what is wrong with one captured request
    #[command(after_help = examples::EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Delete an org, a connector of an org's own, a group, a webhook or a destination
    #[command(after_help = examples::DELETE_EXAMPLES)]
    Delete(Delete),
    /// Copy a webhook
    #[command(subcommand)]
    Clone(Clone),
    /// Give a group a new callback URL, the old one going on for a while
    #[command(subcommand)]
    Rotate(Rotate),
    /// Print deliveries as they are made. Reads, and never takes them from a subscriber
    #[command(after_help = examples::TAIL_EXAMPLES)]
    Tail(Tail),
    /// Show what a webhook, saved or not, would make of an event: verdict, records, the exact requests. Sends nothing
    #[command(after_help = examples::PREVIEW_EXAMPLES)]
    Preview(Preview),
    /// Run recorded events through a webhook as it is and as a manifest would have it, and show what differs. Writes nothing
    #[command(after_help = examples::COMPARE_EXAMPLES)]
    Compare(Compare),
    /// Put deliveries that are held, dead, dropped or delivered back to pending, with the idempotency key they had; or feed recorded
    /// events to a webhook made later
    #[command(after_help = examples::REPLAY_EXAMPLES)]
    Replay(Box<Replay>),
    /// Let deliveries to a destination wait
    #[command(subcommand)]
    Pause(Pausing),
    /// Let deliveries to a destination go again
    #[command(subcommand)]
    Resume(Pausing),
    /// Ask a destination for its objects, or for the fields of one
    #[command(subcommand)]
    Describe(Describe),
    /// Post a signed sample callback to a group, as its provider would, and show what became of it
    #[command(after_help = examples::SEND_EXAMPLES)]
    Send(Send),
    /// Make, list and revoke the tokens that let people, teams and listeners in
    #[command(subcommand)]
    Token(Token),
    /// Print a completion script for a shell
    #[command(after_help = examples::COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Dev {
    /// Where everything is kept: configuration, events, keys, the token [default: HOOKPLANE_DATA_DIR or ./hookplane-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address that takes callbacks; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// Address of the API; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub(crate) api: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Apply {
    /// The manifest file, YAML or JSON; `-` for stdin
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Check and show the plan and what a changed webhook would do otherwise with recorded events, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// First show what webhooks whose filter, events or mapping change would do otherwise with the newest N recorded events of their group:
    /// 1 to 10,000 [default: 1000]. On a terminal it is offered, and asked whether to go on
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "1000", value_parser = history::LAST())]
    pub(crate) compare: Option<u32>,
    /// Don't wait until every listener runs the change
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Get {
    /// What to show; singular is fine
    #[arg(value_enum)]
    pub(crate) resource: Resource,
    /// ORG/GROUP/WEBHOOK as far as it goes; everything without one
    pub(crate) name: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Format,
    /// Refusals: instead of what was turned away, recent examples of what was genuine and not kept: not registered, wanted by no
    /// webhook, or a repeat; with each webhook's clause
    #[arg(long)]
    pub(crate) not_kept: bool,
    /// Deliveries: only those that are pending, leased, delivered, held, dead or dropped
    #[arg(long, value_enum, value_name = "STATUS")]
    pub(crate) status: Option<Status>,
    /// Webhook: with this version of its mapping instead of the one of now, as a delivery names it. With -o yaml it can be applied, to go back
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) mapping_version: Option<u32>,
    /// Events: only those that no webhook matched
    #[arg(long)]
    pub(crate) unmatched: bool,
    /// Events and deliveries: the newest N
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    #[command(flatten)]
    pub(crate) narrow: Narrow,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Explain {
    /// ORG/GROUP. With --request: which group of the manifest, where it has several
    #[arg(required_unless_present = "request")]
    pub(crate) group: Option<String>,
    /// A captured request, looked at here and now without any server: raw HTTP/1.1 as a proxy or `curl -v` shows it, or JSON
    #[arg(long, value_name = "FILE", requires = "file")]
    pub(crate) request: Option<PathBuf>,
    /// The manifest with the group and its secrets, and its connector if that is one of your own; YAML or JSON
    #[arg(short, long, value_name = "FILE", requires = "request")]
    pub(crate) file: Option<PathBuf>,
    /// The signature secret, instead of the manifest's
    #[arg(long, value_name = "FILE", requires = "request")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The callback URL that the provider was given, without query [default: https://, the request's host and path]
    #[arg(long, value_name = "URL", requires = "request")]
    pub(crate) url: Option<String>,
    /// When the request came, in RFC 3339 [default: what the request's JSON says, else now]
    #[arg(long, value_name = "TIME", requires = "request")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Delete {
    /// org, connector, group, webhook or destination
    #[arg(value_enum)]
    pub(crate) resource: Resource,
    /// Its whole name, as in acme/shop-prod/order-paid
    pub(crate) name: String,
    /// Group or webhook: first take nothing more, and wait until what waits is delivered
    #[arg(long, conflicts_with = "discard")]
    pub(crate) drain: bool,
    /// Group or webhook: drop what waits. Without either, nothing is deleted while deliveries wait; on a terminal it asks
    #[arg(long)]
    pub(crate) discard: bool,
    /// Group: delete it though it takes more than 20 webhooks with it that are over a fifth of the org's
    #[arg(long)]
    pub(crate) confirm: bool,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Clone {
    /// Copy the template, or any webhook, within its group
    #[command(after_help = examples::CLONE_EXAMPLES)]
    Webhook(CloneWebhook),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CloneWebhook {
    /// What is copied: ORG/GROUP/WEBHOOK
    pub(crate) from: String,
    /// The copy's name
    pub(crate) new: String,
    /// Its label [default: the original's]
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// An event it takes; may be repeated [default: the original's]
    #[arg(long = "event", value_name = "EVENT")]
    pub(crate) events: Vec<String>,
    /// Active from the start; a copy is inactive otherwise
    #[arg(long)]
    pub(crate) active: bool,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tail {
    /// ORG/GROUP/WEBHOOK as far as it goes; everything without one
    pub(crate) name: Option<String>,
    /// How to print it: text, or a JSON object a line
    #[arg(short, long, value_enum, default_value = "text")]
    pub(crate) output: TailFormat,
    /// Begin with the oldest that is kept
    #[arg(long)]
    pub(crate) from_start: bool,
    /// End after this many lines
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// End at the newest instead of waiting for more
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Also events that no webhook matched
    #[arg(long)]
    pub(crate) events: bool,
    /// Also a line for each change of a delivery's status
    #[arg(long)]
    pub(crate) changes: bool,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Send {
    /// The group: ORG/GROUP
    pub(crate) group: String,
    /// An event of its connector that has a sample; `hookplane get functions CONNECTOR/FUNCTION` lists them
    #[arg(required_unless_present = "all_variants")]
    pub(crate) event: Option<String>,
    /// Post the sample in every right and wrong way, and the connector's handshakes, and show what came back against what should have; exit with 1 if
    /// anything differs
    #[arg(long)]
    pub(crate) all_variants: bool,
    /// Sign here with the secret in this file, instead of having the control plane sign with the group's. The event isn't marked as a test then
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// How to print what came of all variants
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        requires = "all_variants"
    )]
    pub(crate) output: SendFormat,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SendFormat {
    Table,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TailFormat {
    #[value(alias = "table")]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Status {
    Pending,
    Leased,
    Delivered,
    Held,
    Dead,
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resource {
    #[value(alias = "org")]
    Orgs,
    #[value(alias = "connector")]
    Connectors,
    #[value(alias = "function")]
    Functions,
    #[value(alias = "group", alias = "webhookgroup", alias = "webhookgroups")]
    Groups,
    #[value(alias = "webhook")]
    Webhooks,
    #[value(alias = "event")]
    Events,
    #[value(alias = "delivery")]
    Deliveries,
    #[value(alias = "refusal")]
    Refusals,
    #[value(alias = "listener")]
    Listeners,
    #[value(alias = "destination")]
    Destinations,
    #[value(alias = "token")]
    Tokens,
    #[value(alias = "trouble")]
    Troubles,
}

#[cfg(test)]
mod tests;
