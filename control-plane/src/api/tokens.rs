//! Tokens: made, listed, revoked. What a token may do never changes.

use hookplane_proto::v1;
use tonic::{Request, Response, Status};
use v1::TokenRole;

use super::desk::{Desk, decode, put, stamp};
use super::page::page;
use super::status::Problem;
use super::{guard, names};
use crate::access::{Bearer, Caller, Target, opened};
use crate::context::Context;
use crate::keys;
use crate::store::{Entry, Precondition, StoreError, Transaction, Write};

/// Tokens of one org, and of the whole installation.
const MAX_TOKENS: usize = 1_000;
/// Webhooks, or pools, that one token names.
const MAX_NAMED: usize = 100;
/// Ten years.
const MAX_LIFETIME_SECONDS: u32 = 10 * 365 * 24 * 3600;
/// Somebody wrote in between: read again this often.
const ATTEMPTS: usize = 5;

/// Serves `TokenService`.
pub struct TokenApi {
    /// The seams.
    pub context: Context,
}

/// As callers see it: no hash, and the last use as far as this server knows it.
fn present(context: &Context, stored: v1::StoredToken, revision: u64) -> v1::Token {
    let mut token = stored.token.unwrap_or_default();
    stamp(&mut token.metadata, revision);
    let id = token.metadata.as_ref().map_or("", |m| &m.name);
    if let Some(used) = context.view.tokens().last_use(id) {
        let status = token.status.get_or_insert_default();
        status.last_use_time = Some(hookplane_rules::time::to_wire(used));
    }
    token
}

/// `orgs/acme`, or empty for the whole installation: the org's name as keys have it.
fn owner<'a>(caller: &Caller, parent: &'a str) -> Result<&'a str, Problem> {
    if parent.is_empty() {
        caller.check(Target::Installation)?;
        return Ok(keys::INSTALLATION_WIDE);
    }
    let [org] = names::parse("parent", parent, "orgs/*", false)?;
    caller.check(Target::Org(org))?;
    Ok(org)
}

/// The uids of the webhooks that a consumer names.
async fn webhook_uids(
    desk: &Desk<'_>,
    owner: &str,
    webhooks: &[String],
) -> Result<Vec<String>, Problem> {
    let mut uids = Vec::with_capacity(webhooks.len());
    for (index, path) in webhooks.iter().enumerate() {
        let field = format!("spec.webhooks[{index}]");
        let [org, group, name] = names::parse(&field, path, "orgs/*/groups/*/webhooks/*", false)?;
        if owner != keys::INSTALLATION_WIDE && org != owner {
            return Err(Problem::field(field, format!("is not of org `{owner}`")));
        }
        if name == hookplane_rules::TEMPLATE {
            return Err(Problem::field(
                field,
                "the template never matches; clone it",
            ));
        }
        let found = desk
            .get::<v1::Webhook>(&keys::webhook(org, group, name))
            .await?;
        let (webhook, _) = found.ok_or_else(|| Problem::NotFound(path.clone()))?;
        uids.push(webhook.metadata.unwrap_or_default().uid);
    }
    Ok(uids)
}

fn check_spec(spec: &v1::TokenSpec) -> Result<(), Problem> {
    let role = TokenRole::try_from(spec.role).unwrap_or_default();
    if role == TokenRole::Unspecified {
        let roles = "admin, editor, viewer, consumer, listener";
        return Err(Problem::field("spec.role", format!("is one of {roles}")));
    }
    for (field, named, of) in [
        ("spec.webhooks", &spec.webhooks, TokenRole::Consumer),
        ("spec.pools", &spec.pools, TokenRole::Listener),
    ] {
        if role != of && !named.is_empty() {
            return Err(Problem::field(field, "this role names none: leave it out"));
        }
        if role == of && (named.is_empty() || named.len() > MAX_NAMED) {
            return Err(Problem::field(field, format!("name 1 to {MAX_NAMED}")));
        }
        let mut sorted: Vec<&String> = named.iter().collect();
        sorted.sort();
        if sorted.windows(2).any(|two| two[0] == two[1]) {
            return Err(Problem::field(field, "one is named twice"));
        }
    }
    for (index, pool) in spec.pools.iter().enumerate() {
        names::check(&format!("spec.pools[{index}]"), pool)?;
    }
    Ok(())
}

impl TokenApi {
    async fn create(
        &self,
        caller: &Caller,
        request: v1::CreateTokenRequest,
    ) -> Result<v1::CreateTokenResponse, Problem> {
        let owner = owner(caller, &request.parent)?;
        let spec = request.spec.unwrap_or_default();
        check_spec(&spec)?;
        if request.lifetime_seconds > MAX_LIFETIME_SECONDS {
            return Err(Problem::field(
                "lifetime_seconds",
                format!("is at most {MAX_LIFETIME_SECONDS} (ten years)"),
            ));
        }
        let mut attempt = 1;
        loop {
            match self
                .create_once(caller, owner, &spec, request.lifetime_seconds)
                .await
            {
                Err(Problem::Store(StoreError::Conflict { .. })) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn create_once(
        &self,
        caller: &Caller,
        owner: &str,
        spec: &v1::TokenSpec,
        lifetime_seconds: u32,
    ) -> Result<v1::CreateTokenResponse, Problem> {
        let desk = Desk::new(&self.context, caller);
        // Read before what it guards: two that are made at once can't be one too many, nor one be made in an org that goes.
        let guarded = keys::org_guard(owner);
        let mut checks = vec![guard::read(&desk, guarded.clone()).await?];
        let (mut org, mut org_uid) = (String::new(), String::new());
        if owner != keys::INSTALLATION_WIDE {
            let found = desk.get::<v1::Org>(&keys::org(owner)).await?;
            let (of, _) = found.ok_or_else(|| Problem::NotFound(names::org(owner)))?;
            checks.push(desk.needs_org(owner).await?);
            (org, org_uid) = (owner.to_owned(), of.metadata.unwrap_or_default().uid);
        }
        let prefix = keys::token(owner, "");
        let there = self
            .context
            .store
            .list(&prefix, None, MAX_TOKENS, None)
            .await?;
        if there.entries.len() >= MAX_TOKENS {
            return Err(Problem::Refused(format!(
                "there are {MAX_TOKENS} tokens already: revoke some that are not used any more"
            )));
        }
        let webhook_uids = webhook_uids(&desk, owner, &spec.webhooks).await?;
        let bearer = Bearer::mint().map_err(|error| {
            Problem::Internal(format!("no randomness from the system: {error}"))
        })?;
        let lifetime = i64::from(lifetime_seconds).saturating_mul(1000);
        let expires = self.context.clock.now().0.saturating_add(lifetime);
        let token = v1::Token {
            metadata: Some(desk.fresh(&org, "", &bearer.id)?),
            spec: Some(spec.clone()),
            status: Some(v1::TokenStatus {
                expire_time: (lifetime > 0)
                    .then(|| hookplane_rules::time::to_wire(hookplane_rules::Timestamp(expires))),
                last_use_time: None,
            }),
        };
        let stored = v1::StoredToken {
            token: Some(token),
            secret_sha256: bearer.hash().to_vec().into(),
            org_uid,
            webhook_uids,
        };
        let key = keys::token(owner, &bearer.id);
        checks.push((key.clone(), Precondition::Absent));
        let writes = vec![put(key, &stored), guard::touch(guarded)];
        let revision = desk.commit(Transaction { checks, writes }).await?;
        tracing::info!(
            by = caller.id(),
            token = bearer.id,
            org = owner,
            role = spec.role().as_str_name(),
            "a token was made"
        );
        Ok(v1::CreateTokenResponse {
            token: Some(present(&self.context, stored, revision)),
            bearer: bearer.text().to_string(),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListTokensRequest,
    ) -> Result<v1::ListTokensResponse, Problem> {
        let org = match request.parent.as_str() {
            "" => None,
            parent => {
                let [org] = names::parse("parent", parent, "orgs/*", true)?;
                names::named(org)
            }
        };
        let desk = Desk::new(&self.context, caller);
        let prefix = match caller.narrow(org)? {
            None => keys::TOKENS.to_owned(),
            Some(org) => {
                desk.needs_org(&org).await?;
                keys::token(&org, "")
            }
        };
        let (entries, next_page_token) = page(
            &*self.context.store,
            &prefix,
            &prefix,
            request.page_size,
            &request.page_token,
            |_| true,
        )
        .await?;
        let tokens = entries
            .iter()
            .map(|entry| Ok(present(&self.context, decode(entry)?, entry.revision)))
            .collect::<Result<_, Problem>>()?;
        Ok(v1::ListTokensResponse {
            tokens,
            next_page_token,
        })
    }

    /// A token by its name, with its entry in the store.
    async fn find(&self, caller: &Caller, name: &str) -> Result<(Entry, v1::StoredToken), Problem> {
        let missing = || Problem::NotFound(name.to_owned());
        let desk = Desk::new(&self.context, caller);
        let key = if name.starts_with("tokens/") {
            let [id] = names::parse("name", name, "tokens/*", false)?;
            caller.check(Target::Installation)?;
            keys::token(keys::INSTALLATION_WIDE, id)
        } else {
            let [org, id] = names::parse("name", name, "orgs/*/tokens/*", true)?;
            names::check("name", id)?;
            if org == names::ANY {
                caller.narrow(None)?;
                let key = self.context.view.tokens().key_of(id);
                // Another org's is not found: ids are nobody's to try.
                key.filter(|key| caller.covers_key(key))
                    .ok_or_else(missing)?
            } else {
                caller.check(Target::Org(org))?;
                keys::token(org, id)
            }
        };
        let entry = desk.entry(&key).await?.ok_or_else(missing)?;
        let stored = decode(&entry)?;
        Ok((entry, stored))
    }

    async fn revoke(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        let (entry, stored) = self.find(caller, name).await?;
        // Not bound to the version that was read: a use that was written meanwhile is no reason to keep it.
        Desk::new(&self.context, caller)
            .commit(Transaction {
                checks: Vec::new(),
                writes: vec![Write::Delete(entry.key)],
            })
            .await?;
        let metadata = stored
            .token
            .unwrap_or_default()
            .metadata
            .unwrap_or_default();
        tracing::info!(
            by = caller.id(),
            token = metadata.name,
            org = metadata.org,
            "a token was revoked"
        );
        Ok(())
    }
}

/// The keys of an org's tokens, which go with it.
pub(super) async fn keys_of(context: &Context, org: &str) -> Result<Vec<String>, Problem> {
    let prefix = keys::token(org, "");
    let mut found: Vec<String> = Vec::new();
    loop {
        let after = found.last().cloned();
        let page = context
            .store
            .list(&prefix, after.as_deref(), MAX_TOKENS, None)
            .await?;
        let last = page.entries.len() < MAX_TOKENS;
        found.extend(page.entries.into_iter().map(|entry| entry.key));
        if last {
            return Ok(found);
        }
    }
}

#[tonic::async_trait]
impl v1::token_service_server::TokenService for TokenApi {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.create(&caller, request).await?))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let (caller, request) = opened(request)?;
        Ok(Response::new(self.list(&caller, request).await?))
    }

    async fn get_token(
        &self,
        request: Request<v1::GetTokenRequest>,
    ) -> Result<Response<v1::Token>, Status> {
        let (caller, request) = opened(request)?;
        let (entry, stored) = self.find(&caller, &request.name).await?;
        Ok(Response::new(present(
            &self.context,
            stored,
            entry.revision,
        )))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<()>, Status> {
        let (caller, request) = opened(request)?;
        self.revoke(&caller, &request.name).await?;
        Ok(Response::new(()))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let (caller, _) = opened(request)?;
        Ok(Response::new(v1::WhoAmIResponse {
            role: caller.role().into(),
            org: caller.org().unwrap_or_default().to_owned(),
            token: caller.id().to_owned(),
        }))
    }
}
