//! Which method takes which role: the one table. A method that isn't here is refused, whatever the token.

use hookplane_proto::v1::TokenRole;

use super::grant::Grant;

/// What a method takes, at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any valid token: what the method tells is no org's.
    Token,
    /// Viewer, editor, admin.
    View,
    /// The same, and consumers.
    ViewWebhook,
    /// Editor, admin.
    Edit,
    /// Admin.
    Administer,
    /// Admin of the whole installation.
    Install,
    /// Consumer. Nobody else takes deliveries by the way, except an admin of the whole installation.
    Consume,
    /// Listener, likewise: what it gets has secrets in it.
    Listen,
}

impl Needs {
    /// Whether this role, with this reach, is enough.
    pub(super) fn met_by(self, grant: &Grant) -> bool {
        use TokenRole::{Admin, Consumer, Editor, Listener, Viewer};
        let role = grant.role;
        let installs = role == Admin && grant.org.is_none();
        match self {
            Self::Token => role != TokenRole::Unspecified,
            Self::View => matches!(role, Viewer | Editor | Admin),
            Self::ViewWebhook => matches!(role, Viewer | Editor | Admin | Consumer),
            Self::Edit => matches!(role, Editor | Admin),
            Self::Administer => role == Admin,
            Self::Install => installs,
            Self::Consume => role == Consumer || installs,
            Self::Listen => role == Listener || installs,
        }
    }

    /// For the message of a refusal.
    pub(super) fn who(self) -> &'static str {
        match self {
            Self::Token => "any valid token",
            Self::View | Self::ViewWebhook => "a viewer, an editor or an admin",
            Self::Edit => "an editor or an admin",
            Self::Administer => "an admin",
            Self::Install => "an admin of the whole installation",
            Self::Consume => "a consumer of that webhook, or an admin of the whole installation",
            Self::Listen => "a listener of that pool, or an admin of the whole installation",
        }
    }
}

/// Every method there is, but health checks, which take no token.
const METHODS: &[(&str, Needs)] = &[
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Needs::Token,
    ),
    ("/hookplane.v1.OrgService/ListOrgs", Needs::View),
    ("/hookplane.v1.OrgService/GetOrg", Needs::View),
    ("/hookplane.v1.OrgService/CreateOrg", Needs::Install),
    ("/hookplane.v1.OrgService/DeleteOrg", Needs::Administer),
    ("/hookplane.v1.ConnectorService/ListConnectors", Needs::View),
    ("/hookplane.v1.ConnectorService/GetConnector", Needs::View),
    (
        "/hookplane.v1.ConnectorService/CreateConnector",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.ConnectorService/UpdateConnector",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.ConnectorService/DeleteConnector",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.WebhookGroupService/ListWebhookGroups",
        Needs::View,
    ),
    (
        "/hookplane.v1.WebhookGroupService/GetWebhookGroup",
        Needs::View,
    ),
    (
        "/hookplane.v1.WebhookGroupService/CreateWebhookGroup",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.WebhookGroupService/UpdateWebhookGroup",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.WebhookGroupService/DeleteWebhookGroup",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.WebhookGroupService/RotateCallbackUrl",
        Needs::Edit,
    ),
    ("/hookplane.v1.WebhookService/ListWebhooks", Needs::View),
    (
        "/hookplane.v1.WebhookService/GetWebhook",
        Needs::ViewWebhook,
    ),
    (
        "/hookplane.v1.WebhookService/GetMappingVersion",
        Needs::ViewWebhook,
    ),
    ("/hookplane.v1.WebhookService/CreateWebhook", Needs::Edit),
    ("/hookplane.v1.WebhookService/UpdateWebhook", Needs::Edit),
    ("/hookplane.v1.WebhookService/DeleteWebhook", Needs::Edit),
    ("/hookplane.v1.WebhookService/CloneWebhook", Needs::Edit),
    (
        "/hookplane.v1.DestinationService/ListDestinations",
        Needs::View,
    ),
    (
        "/hookplane.v1.DestinationService/GetDestination",
        Needs::View,
    ),
    ("/hookplane.v1.DestinationService/ListTroubles", Needs::View),
    (
        "/hookplane.v1.DestinationService/CreateDestination",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.DestinationService/UpdateDestination",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.DestinationService/DeleteDestination",
        Needs::Edit,
    ),
    (
        "/hookplane.v1.DestinationService/DescribeDestination",
        Needs::Edit,
    ),
    // They show what a read shows, and a webhook as it would be.
    ("/hookplane.v1.PreviewService/Preview", Needs::Edit),
    ("/hookplane.v1.PreviewService/Compare", Needs::Edit),
    // Tells what a write would do, secrets compared among it.
    ("/hookplane.v1.ManifestService/PlanManifests", Needs::Edit),
    ("/hookplane.v1.ManifestService/ApplyManifest", Needs::Edit),
    ("/hookplane.v1.EventService/ListEvents", Needs::View),
    ("/hookplane.v1.EventService/GetEvent", Needs::View),
    ("/hookplane.v1.EventService/ListDeliveries", Needs::View),
    ("/hookplane.v1.EventService/GetDelivery", Needs::View),
    ("/hookplane.v1.EventService/Tail", Needs::View),
    ("/hookplane.v1.EventService/ReplayDeliveries", Needs::Edit),
    ("/hookplane.v1.EventService/Replay", Needs::Edit),
    ("/hookplane.v1.EventService/ListRefusals", Needs::View),
    ("/hookplane.v1.EventService/GetActivity", Needs::View),
    ("/hookplane.v1.EventService/SignSample", Needs::Edit),
    (
        "/hookplane.v1.SubscriptionService/Subscribe",
        Needs::Consume,
    ),
    ("/hookplane.v1.ConfigService/StreamConfig", Needs::Listen),
    ("/hookplane.v1.ConfigService/ListListeners", Needs::View),
    ("/hookplane.v1.ReportService/Report", Needs::Listen),
    ("/hookplane.v1.HandshakeService/LearnSecret", Needs::Listen),
    ("/hookplane.v1.TokenService/CreateToken", Needs::Administer),
    ("/hookplane.v1.TokenService/ListTokens", Needs::Administer),
    ("/hookplane.v1.TokenService/GetToken", Needs::Administer),
    ("/hookplane.v1.TokenService/RevokeToken", Needs::Administer),
    ("/hookplane.v1.TokenService/WhoAmI", Needs::Token),
];

/// Those that answer with a stream, which ends when its token does.
const STREAMS: [&str; 6] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/hookplane.v1.EventService/Tail",
    "/hookplane.v1.EventService/Replay",
    "/hookplane.v1.SubscriptionService/Subscribe",
    "/hookplane.v1.ConfigService/StreamConfig",
    "/hookplane.v1.ReportService/Report",
];

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) needs: Needs,
    pub(super) streams: bool,
}

/// A method's row, by the path of its requests.
pub(super) fn of(path: &str) -> Option<Row> {
    let (method, needs) = METHODS
        .iter()
        .find(|(method, _)| *method == path)
        .copied()?;
    let streams = STREAMS.contains(&method);
    Some(Row {
        method,
        needs,
        streams,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use prost::Message;

    use super::*;

    fn grant(role: TokenRole, org: Option<&str>) -> Grant {
        Grant {
            role,
            org: org.map(Arc::from),
            ..Grant::bootstrap()
        }
    }

    // A new RPC without a row, or a row without an RPC, fails here.
    #[test]
    fn every_method_of_the_protos_has_one_row_and_every_row_is_a_method() {
        let protos = prost_types::FileDescriptorSet::decode(hookplane_proto::DESCRIPTORS).unwrap();
        let (mut methods, mut streams) = (BTreeSet::new(), BTreeSet::new());
        for file in &protos.file {
            for service in &file.service {
                for method in &service.method {
                    let service = format!("{}.{}", file.package(), service.name());
                    let path = format!("/{service}/{}", method.name());
                    if method.server_streaming() {
                        streams.insert(path.clone());
                    }
                    methods.insert(path);
                }
            }
        }
        let ours = |methods: &[&str]| -> Vec<String> {
            let ours = methods.iter().filter(|m| m.starts_with("/hookplane."));
            ours.map(|method| (*method).to_owned()).collect()
        };
        let rows: Vec<&str> = METHODS.iter().map(|(method, _)| *method).collect();
        let rows = ours(&rows);
        assert_eq!(rows.len(), rows.iter().collect::<BTreeSet<_>>().len());
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), methods);
        assert_eq!(ours(&STREAMS).into_iter().collect::<BTreeSet<_>>(), streams);
    }

    #[test]
    fn what_is_not_in_the_table_takes_no_role_at_all() {
        for path in [
            "",
            "/",
            "/hookplane.v1.OrgService/listorgs",
            "/hookplane.v1.OrgService/ListOrgs/",
            "/hookplane.v1.OrgService/DropOrgs",
            "hookplane.v1.OrgService/ListOrgs",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn each_role_meets_what_it_is_for_and_no_more() {
        use Needs::*;
        let all = [
            Token,
            View,
            ViewWebhook,
            Edit,
            Administer,
            Install,
            Consume,
            Listen,
        ];
        let met = |role, org| {
            let grant = grant(role, org);
            all.into_iter()
                .filter(|needs| needs.met_by(&grant))
                .collect::<Vec<_>>()
        };
        let acme = Some("acme");
        assert_eq!(met(TokenRole::Unspecified, None), []);
        assert_eq!(met(TokenRole::Viewer, acme), [Token, View, ViewWebhook]);
        let editor = [Token, View, ViewWebhook, Edit];
        assert_eq!(met(TokenRole::Editor, acme), editor);
        assert_eq!(met(TokenRole::Editor, None), editor, "installs nothing");
        let admin = [Token, View, ViewWebhook, Edit, Administer];
        assert_eq!(met(TokenRole::Admin, acme), admin);
        assert_eq!(
            met(TokenRole::Consumer, acme),
            [Token, ViewWebhook, Consume]
        );
        assert_eq!(met(TokenRole::Listener, acme), [Token, Listen]);
        assert_eq!(met(TokenRole::Admin, None), all);
    }
}
