//! What can be typed about recorded events and their deliveries: which are meant, previews, comparisons, replays.

use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{Client, Status};

/// How many recorded events are compared.
pub(super) const LAST: fn() -> RangedI64ValueParser<u32> =
    || clap::value_parser!(u32).range(1..=10_000);

/// Which events or deliveries are meant. Without any of them, all.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Which events and deliveries")]
pub(crate) struct Narrow {
    /// Of this event type, and all below it at a dot
    #[arg(long = "type", value_name = "EVENT")]
    pub(crate) event_type: Option<String>,
    /// Received at or after: how long ago, as in 90m, 2h or 3d, or a time in RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Received before: likewise
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// With these words in the payload, in any order, case aside; the last may be the beginning of one. At most 200 characters and 16 words
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
    /// For this destination of their webhook: subscribe, http, salesforce, or its own name
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Preview {
    /// The webhook: ORG/GROUP/WEBHOOK. With --file it may be left out, where the manifest has one webhook
    #[arg(required_unless_present = "file")]
    pub(crate) webhook: Option<String>,
    /// A recorded event, by its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["sample", "payload"])]
    pub(crate) event: Option<String>,
    /// An event of the connector's that has a sample; `hookplane get functions CONNECTOR/FUNCTION` lists them
    #[arg(long, value_name = "EVENT", conflicts_with = "payload")]
    pub(crate) sample: Option<String>,
    /// A payload, JSON, at most 1 MiB; `-` for stdin
    #[arg(long, value_name = "FILE", requires = "event_type")]
    pub(crate) payload: Option<PathBuf>,
    /// The payload's event type
    #[arg(
        long = "type",
        id = "event_type",
        value_name = "EVENT",
        requires = "payload"
    )]
    pub(crate) event_type: Option<String>,
    /// The webhook, its group and its destinations as this manifest has them, instead of as they are stored; YAML or JSON, `-` for stdin
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Also ask Salesforce whether it has the mapping's objects and fields, and would take them so. Sends no record
    #[arg(long)]
    pub(crate) check: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: ShortFormat,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Compare {
    /// The manifest with the webhooks as they would be; YAML or JSON, `-` for stdin
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The newest N recorded events of their group, 1 to 10,000
    #[arg(long, value_name = "N", default_value = "1000", value_parser = LAST())]
    pub(crate) last: u32,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: ShortFormat,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Replay {
    /// Ids of deliveries; or ORG/GROUP/WEBHOOK as far as it goes, with --status, --all-dead or --feed
    #[arg(required_unless_present = "all_dead")]
    pub(crate) what: Vec<String>,
    /// All of the scope that are dead, held, dropped or delivered
    #[arg(long, value_enum, value_name = "STATUS")]
    pub(crate) status: Option<Status>,
    /// All dead letters of the scope; without one, all that you may see
    #[arg(long, conflicts_with_all = ["status", "feed"])]
    pub(crate) all_dead: bool,
    /// Instead: match recorded events with this webhook as if it had been there when they came, and make the deliveries it doesn't have yet
    #[arg(long, conflicts_with = "status")]
    pub(crate) feed: bool,
    /// By the mapping that maps new events, or by the one that each delivery had
    #[arg(
        long,
        value_enum,
        value_name = "WHICH",
        default_value = "now",
        conflicts_with = "feed"
    )]
    pub(crate) mapping: ReplayMapping,
    /// Deliveries of a selection a second, 1 to 10,000; 100 unless given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: Option<u32>,
    /// At most so many, the oldest first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max: Option<u64>,
    /// Only say how many
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) narrow: Narrow,
    #[command(flatten)]
    pub(crate) client: Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplayMapping {
    Now,
    Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShortFormat {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pausing {
    /// An org's, or a webhook's own
    #[command(after_help = super::examples::PAUSE_EXAMPLES)]
    Destination {
        /// ORG/NAME, or ORG/GROUP/WEBHOOK/NAME of one that is a webhook's own
        name: String,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Describe {
    /// For a mapping: objects with their labels; of one object its fields, keys, types and picklists
    #[command(after_help = super::examples::DESCRIBE_EXAMPLES)]
    Destination(DescribeDestination),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DescribeDestination {
    /// ORG/NAME
    pub(crate) name: String,
    /// One of its objects, as in Account [default: lists the objects]
    pub(crate) object: Option<String>,
    /// How to print it
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: ShortFormat,
    #[command(flatten)]
    pub(crate) client: Client,
}
