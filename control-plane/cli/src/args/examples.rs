//! What stands below each help: how a thing is used, in lines to paste.

pub(super) const TOP_EXAMPLES: &str = "\
First steps:
  hookplane dev                              everything on this machine; prints a line to paste, and a link to the console
  hookplane get connectors                   the providers it knows
  hookplane get functions github             what a provider posts, and how to set it up
  hookplane apply -f shop.yaml               groups and webhooks from a manifest
  hookplane get groups                       their callback URLs, for the provider
  hookplane send acme/shop-prod orders/paid  a signed sample, as the provider would post it
  hookplane tail acme/shop-prod              watch deliveries
  hookplane preview acme/shop-prod/paid      what a webhook makes of an event, and what it would send
  hookplane get refusals acme/shop-prod      what was turned away, and why
  hookplane explain acme/shop-prod           the likely causes, and what to do

Exit codes: 0 done, 1 refused or failed, 2 wrong usage.";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Of a group it shows what was refused lately by clause and likely cause, and what was genuine and not kept. A listener looks for the cause of
one refusal of a group a second at most, so that of a flood a part has none.

A captured request is read from a file and needs no server. Raw HTTP/1.1 is the request line, headers, an empty line and the body, byte for
byte; lines of `curl -v` that begin with `> ` are taken as the head, and the body, which
curl doesn't show, goes after the last of them. JSON is
  {\"method\": \"POST\", \"query\": \"\", \"headers\": {…}, \"body\": \"…\" or \"body_base64\": \"…\", \"callback_url\": \"https://…\", \"now\": MILLISECONDS}
with all but the headers optional. The file has 36 MiB at most. Secrets come from the manifest's {env} and {file}; none is printed, nor is a
signature that would have been right. Public keys are not fetched.

Examples:
  hookplane explain acme/shop-prod
  hookplane explain --request captured.http -f shop.yaml
  hookplane explain --request captured.json -f shop.yaml --secret-file secret.txt --url https://hooks.example.com/c/TOKEN
  hookplane explain acme/shop-prod --request captured.http -f all.yaml --at 2026-11-27T12:00:00Z

Exit codes: 0 genuine, or the group was looked at; 1 refused, or failed; 2 wrong usage.";

pub(super) const DEV_EXAMPLES: &str = "\
Both servers run in this process and speak gRPC over loopback. On a first run it makes a starter: the org `demo`, the group
`demo/github` and the webhook `demo/github/everything`. A small subscriber in this process takes what is delivered to that
webhook and prints a line for each; what is for any other webhook goes to its destinations, or waits for a subscriber of yours.

Examples:
  hookplane dev
  hookplane dev --data-dir /tmp/hooks --listen 127.0.0.1:0 --api 127.0.0.1:0

Ctrl-C drains; a second one ends at once. RUST_LOG sets what is logged, as in RUST_LOG=debug.";

pub(super) const APPLY_EXAMPLES: &str = "\
The whole file is checked first, and nothing is written if anything is wrong. Then the plan is shown and applied in order. A secret
that is left out keeps the stored one. {env: NAME} and {file: PATH} are read here, never by the server; a relative PATH starts at the
manifest's folder.

Examples:
  hookplane apply -f shop.yaml
  hookplane apply -f shop.yaml --dry-run
  hookplane apply -f shop.yaml --compare=5000   first show what changes for the newest 5,000 recorded events
  hookplane get groups acme/shop-prod -o yaml | hookplane apply -f -

A manifest:
  apiVersion: hookplane.dev/v1
  kind: WebhookGroup
  metadata: {org: acme, name: shop-prod}
  spec:
    connector: shopify
    signatureSecrets: [{env: SHOPIFY_SECRET}]
    registeredEvents: [\"*\"]";

pub(super) const GET_EXAMPLES: &str = "\
Examples:
  hookplane get groups                        all groups you may see, with their callback URLs
  hookplane get webhooks acme/shop-prod       the webhooks of one group
  hookplane get webhook acme/shop-prod/order-paid -o yaml --mapping-version 3     with an earlier mapping; applied, it is a new version
  hookplane get group acme/shop-prod -o yaml  as a manifest
  hookplane get connectors pay                those with `pay` in their names
  hookplane get connector stripe              one, with how sure we are of it and what it rests on
  hookplane get functions github/repository   its events, and the set-up in the provider's product
  hookplane get events acme/shop-prod         what was kept
  hookplane get event EVENT                   one of them: each webhook, the clause that decided, its delivery
  hookplane get deliveries acme/shop-prod -o json
  hookplane get deliveries --status dead      what nobody could take
  hookplane get delivery DELIVERY             one of them, with each attempt: outcome, status, latency, the answer's beginning
  hookplane get events acme/shop-prod --type orders --since 2h --text 'ada@example.com' --max 20
  hookplane get events acme/shop-prod --unmatched
  hookplane get deliveries acme/shop-prod/order-paid --destination crm --until 2026-11-27T10:00:00Z
  hookplane get troubles acme                 destinations that nothing gets through to: failing, waiting for their turn, paused
  hookplane get refusals                      what was turned away, and by which clause
  hookplane get refusals --not-kept           what was genuine and nobody wanted, and why";

pub(super) const DELETE_EXAMPLES: &str = "\
Deleting a group deletes its webhooks. An org is deleted once it is empty. Deliveries that wait (pending, leased or held) are never
dropped unasked: --drain makes the webhook inactive, or the group answer 404, and deletes it once what waits is delivered;
--discard drops it. What was delivered or is dead stays to be read. A destination is deleted once no webhook names it.

Examples:
  hookplane delete webhook acme/shop-prod/order-paid
  hookplane delete webhook acme/shop-prod/order-paid --drain
  hookplane delete group acme/shop-prod
  hookplane delete destination acme/crm
  hookplane delete org acme";

pub(super) const TOKEN_CREATE_EXAMPLES: &str = "\
The token goes to stdout, what it is goes to stderr. It is not kept, so it can't be shown again: make another and revoke this one.

Examples:
  hookplane token create --org acme --role editor --expires 90d
  export HOOKPLANE_TOKEN=$(hookplane token create --org acme --role viewer)
  hookplane token create --org acme --role consumer --webhook shop-prod/order-paid
  (umask 077; hookplane token create --org - --role listener --pool default > listener.token)";

pub(super) const TAIL_EXAMPLES: &str = "\
A line is one delivery: one event for one webhook, printed once, when it is created.

Examples:
  hookplane tail
  hookplane tail acme/shop-prod/order-paid -o json --from-start
  hookplane tail acme/shop-prod --from-start --no-follow | wc -l
  hookplane tail --events --changes";

pub(super) const REPLAY_EXAMPLES: &str = "\
What is meant is fixed at the start, and put back oldest first. Progress goes to stderr, how many were put back to stdout. Ctrl-C ends it;
begun again, it does the rest. Of what is given by ids all are put back at once, up to 1,000 at a time.

With --feed, events that came before the webhook was there are delivered to it, as far as they are kept: those that other webhooks matched,
and all where the group has captureUnmatched. They get the keys that they would have had, and none is delivered twice.

Examples:
  hookplane get deliveries acme/shop-prod --status dead --since 2h
  hookplane replay 01a20a4e-cd4b-74d6-ad56-b6e4fcd04393-1
  hookplane replay acme/shop-prod/order-paid --status held       after the mapping was mended
  hookplane replay acme/shop-prod --status dead --since 3d --type orders --text 'ada@example.com' --dry-run
  hookplane replay --all-dead --rate 20
  hookplane replay acme/shop-prod/order-paid --status delivered --since 2026-11-27T10:00:00Z --mapping then --destination crm
  hookplane replay acme/shop-prod/order-paid --feed --since 30d";

pub(super) const PREVIEW_EXAMPLES: &str = "\
It shows whether the webhook takes the event and by which clause, the records that its mapping makes, each field that has no value and why,
and for each destination exactly what would be sent, with credentials as `***`. Without a choice it takes the newest recorded event that is for
the webhook, else a sample. What doesn't match is shown as it would be if it did. With --file the webhook's group, connector and destinations
are the file's, too, where they stand in it: nothing has to be saved before. It needs no secret: an {env: …} or {file: …} that isn't there is the
one that is stored, or none. What --check would have to ask without any, it doesn't ask, and says so.

Examples:
  hookplane preview acme/shop-prod/order-paid
  hookplane preview acme/shop-prod/order-paid --sample orders/paid
  hookplane preview acme/shop-prod/order-paid --event 01a20a4e-cd4b-74d6-ad56-b6e4fcd04393 -o json
  hookplane preview -f shop.yaml --payload order.json --type orders/paid       before it is saved

Exit codes: 0 shown, whatever the verdict; 1 refused or failed; 2 wrong usage.";

pub(super) const COMPARE_EXAMPLES: &str = "\
Which events would newly be delivered, which no longer, which would be held, and which fields of whose records change: for each webhook of
the manifest, with its group as the manifest has it. It looks at the newest recorded events of the webhook's group, for at most 30 s and 512 MiB,
and says at how many. It needs no secret.

Examples:
  hookplane compare -f shop.yaml
  hookplane compare -f shop.yaml --last 10000 -o json
  hookplane apply -f shop.yaml --compare        the same, and then apply it";

pub(super) const PAUSE_EXAMPLES: &str = "\
Deliveries that come meanwhile wait; what is on its way is finished. It holds at every replica, until it is resumed
or until a manifest without `paused: true` is applied.

Examples:
  hookplane pause destination acme/crm
  hookplane resume destination acme/crm
  hookplane pause destination acme/shop-prod/order-paid/http";

pub(super) const DESCRIBE_EXAMPLES: &str = "\
Examples:
  hookplane describe destination acme/crm
  hookplane describe destination acme/crm Account
  hookplane describe destination acme/crm Order__c -o json";

pub(super) const SEND_EXAMPLES: &str = "\
The control plane signs a sample of the catalogue's, never a text of yours, and the event is marked as a test. Webhooks match it like any other
event: their subscribers get it, with the flag `test`. Where the provider posts the secret itself, as a token or a password, the control plane makes
none, since a group's secret is told to nobody: --secret-file FILE makes it here, from your own copy.

With --all-variants they get one such event, the good one, and of what nobody can tell from it one each: the same again where the provider names no
delivery, a changed body where no signature covers it. Everything else must be refused: changed after it was signed, wrongly signed, stale, unsigned,
too large, by another method, of another media type, handshakes out of shape. Each row is one request; what isn't posted says why, such as that the
provider alone can sign, or that the secret itself would be in it. EVENT may be left out then: the first that is registered and has a sample. With
-o json there is {\"items\": [...]}, and `ok` is null where nothing was posted.

Examples:
  hookplane send demo/github push
  hookplane send acme/shop-prod orders/paid --secret-file shopify.secret
  hookplane send acme/shop-prod --all-variants        before going live: is all that is forged refused?
  hookplane send acme/shop-prod --all-variants --secret-file shopify.secret     is the secret at the provider ours?";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  hookplane completions bash > ~/.local/share/bash-completion/completions/hookplane
  hookplane completions fish > ~/.config/fish/completions/hookplane.fish";

pub(super) const CLONE_EXAMPLES: &str = "\
Example: a webhook of your own from the group's blank template
  hookplane clone webhook acme/shop-prod/template order-paid --label 'Order paid' --event orders/paid --active";

pub(super) const ROTATE_EXAMPLES: &str = "\
While the old URL goes on, both are taken: give the provider the new one meanwhile. When it ends, what is still posted there is answered 404.
A group has 8 old URLs at a time. It waits for 10 s until every listener takes the new one; the URL is printed before that. An old URL
doesn't end before its time: what has leaked is rotated with --overlap 0.

Examples:
  hookplane rotate url acme/shop-prod
  hookplane rotate url acme/shop-prod --overlap 30d
  URL=$(hookplane rotate url acme/shop-prod --overlap 0)       the old one is known to somebody

Exit codes: 0 rotated, and taken by every listener; 1 refused, failed, or rotated and not taken yet; 2 wrong usage.";

pub(super) const TOKEN_LIST_EXAMPLES: &str = "\
Examples:
  hookplane token list
  hookplane token list --org acme -o json";

pub(super) const TOKEN_REVOKE_EXAMPLES: &str = "\
Example: the id is in `hookplane get tokens`, and the part of the token after hkp_
  hookplane token revoke 3f9a2c4b5d6e7f8091a2b3c4";

pub(super) const SERVE_EXAMPLES: &str = "\
It prints `API on URL` on stderr once it serves. It never starts open: it wants --bootstrap-token, or a stored token that administers
everything. An address that is not loopback wants TLS. Certificate and key are read again when they change.

Examples:
  hookplane serve --api 127.0.0.1:8081 --store embedded:data --log embedded:data --seal-key seal.key --bootstrap-token admin.token
  HOOKPLANE_TOKEN=$(cat admin.token) hookplane --api http://127.0.0.1:8081 get listeners
  hookplane serve --api 0.0.0.0:8081 --store embedded:data --log embedded:data --seal-key seal.key --bootstrap-token admin.token \\
    --tls-cert tls.crt --tls-key tls.key --public-url https://hooks.example.com --status 127.0.0.1:9081
  hookplane serve --api 0.0.0.0:8081 --store etcd://etcd-0:2379,etcd-1:2379,etcd-2:2379 --store-tls-ca etcd-ca.crt \\
    --log postgres://hooks@db-0,db-1/hooks --log-tls-ca db-ca.crt --log-password-file hooks.password --seal-key seal.key \\
    --bootstrap-token admin.token --tls-cert tls.crt --tls-key tls.key --client-ca listeners-ca.crt --public-url https://hooks.example.com

The last one may run many times, on many machines, each with a copy of seal.key.

SIGTERM or Ctrl-C drains within --grace; a second one ends at once.";

pub(super) const LISTEN_EXAMPLES: &str = "\
It keeps nothing on disk. It prints `callbacks on URL` on stderr once the address is bound, and serves its last configuration while the
control plane is away.

Examples:
  (umask 077; hookplane token create --org - --role listener --pool default --pool edge > listener.token)
  hookplane listen --control-plane http://127.0.0.1:8081 --listen 127.0.0.1:8080 --token-file listener.token
  hookplane listen --control-plane https://a.internal:8081,https://b.internal:8081 --tls-ca ca.crt --token-file listener.token \\
    --listen 0.0.0.0:8443 --tls-cert tls.crt --tls-key tls.key --pool edge --status 0.0.0.0:9080
  hookplane listen --control-plane https://a.internal:8081,https://b.internal:8081 --tls-ca ca.crt --listen 127.0.0.1:8080 \\
    --client-cert listener.crt --client-key listener.key

SIGTERM or Ctrl-C drains within --grace (Kubernetes waits 30 s): it says at once that it is not ready, takes callbacks for 3 s more, since
a load balancer hears it late, and answers all that it took. A second one ends at once.";
