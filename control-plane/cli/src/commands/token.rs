//! `token`: made, listed, revoked. What is made is printed once, alone, so that `TOKEN=$(hookplane token create …)` holds it and nothing else.

use std::future::Future;

use hookplane_proto::v1;

use super::get::{self, fetch};
use super::items;
use crate::args::{Client, CreateToken, ListTokens, RevokeToken, Role, Token};
use crate::connect::Api;
use crate::failure::Failure;
use crate::names::Name;
use crate::output;
use crate::times;

/// Stands for the whole installation.
const ALL: &str = "-";

/// Does one of the three.
pub(crate) async fn run<'a, F, R>(token: &'a Token, connect: F) -> Result<(), Failure>
where
    F: FnOnce(&'a Client) -> R,
    R: Future<Output = Result<Api, Failure>>,
{
    match token {
        Token::Create(create) => {
            let request = request(create)?;
            made(&connect(&create.client).await?, request).await
        }
        Token::List(list) => {
            let name = Name::parse(list.org.as_deref(), 1, "ORG")?;
            show(&connect(&list.client).await?, list, &name).await
        }
        Token::Revoke(revoke) => {
            let name = revoked(revoke)?;
            let api = connect(&revoke.client).await?;
            api.tokens()
                .revoke_token(v1::RevokeTokenRequest { name })
                .await?;
            output::line(&format!("revoked token {}", revoke.id))
        }
    }
}

async fn made(api: &Api, request: v1::CreateTokenRequest) -> Result<(), Failure> {
    let made = api.tokens().create_token(request).await?.into_inner();
    let token = made.token.unwrap_or_default();
    let metadata = token.metadata.unwrap_or_default();
    let of = match metadata.org.as_str() {
        "" => "the whole installation".to_owned(),
        org => format!("org {org}"),
    };
    let until = items::time(&token.status.unwrap_or_default().expire_time);
    output::note(&format!(
        "token {}: {} of {of}, {}\nit is shown this once",
        metadata.name,
        items::role(&token.spec.unwrap_or_default()),
        until.map_or_else(
            || "until it is revoked".to_owned(),
            |time| format!("until {time}")
        ),
    ));
    output::line(&made.bearer)
}

async fn show(api: &Api, list: &ListTokens, name: &Name) -> Result<(), Failure> {
    get::tokens(list.output, fetch::tokens(api, name).await?)
}

fn request(create: &CreateToken) -> Result<v1::CreateTokenRequest, Failure> {
    let parent = match create.org.as_str() {
        ALL => String::new(),
        org => Name::exact(org, 1, "ORG, or `-` for the whole installation")?.org(),
    };
    let lacks = match create.role {
        Role::Consumer if create.webhooks.is_empty() => {
            "a consumer's token names webhooks: --webhook GROUP/WEBHOOK"
        }
        Role::Listener if create.pools.is_empty() => {
            "a listener's token names pools: --pool default"
        }
        _ => "",
    };
    if !lacks.is_empty() {
        return Err(Failure::Usage(lacks.to_owned()));
    }
    let webhooks = create
        .webhooks
        .iter()
        .map(|typed| webhook(&create.org, typed));
    let spec = v1::TokenSpec {
        role: match create.role {
            Role::Admin => v1::TokenRole::Admin,
            Role::Editor => v1::TokenRole::Editor,
            Role::Viewer => v1::TokenRole::Viewer,
            Role::Consumer => v1::TokenRole::Consumer,
            Role::Listener => v1::TokenRole::Listener,
        }
        .into(),
        webhooks: webhooks.collect::<Result<_, _>>()?,
        pools: create.pools.clone(),
    };
    Ok(v1::CreateTokenRequest {
        parent,
        spec: Some(spec),
        lifetime_seconds: create.expires.as_deref().map_or(Ok(0), times::length)?,
    })
}

/// GROUP/WEBHOOK of the token's org, or ORG/GROUP/WEBHOOK.
fn webhook(org: &str, typed: &str) -> Result<String, Failure> {
    let whole = if typed.matches('/').count() == 1 && org != ALL {
        format!("{org}/{typed}")
    } else {
        typed.to_owned()
    };
    let shape = if org == ALL {
        "ORG/GROUP/WEBHOOK"
    } else {
        "GROUP/WEBHOOK"
    };
    Ok(Name::exact(&whole, 3, shape)?.webhook())
}

fn revoked(revoke: &RevokeToken) -> Result<String, Failure> {
    let id = Name::exact(&revoke.id, 1, "ID: `hookplane get tokens` shows them")?;
    let id = id.part(0);
    Ok(match revoke.org.as_deref() {
        None => format!("orgs/-/tokens/{id}"),
        Some(ALL) => format!("tokens/{id}"),
        Some(org) => format!("{}/tokens/{id}", Name::exact(org, 1, "ORG")?.org()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_of_the_tokens_org_unless_it_says_more() -> Result<(), Failure> {
        let path = "orgs/acme/groups/shop/webhooks/paid";
        assert_eq!(webhook("acme", "shop/paid")?, path);
        assert_eq!(webhook("acme", "acme/shop/paid")?, path);
        assert_eq!(webhook("-", "acme/shop/paid")?, path);
        assert!(webhook("-", "shop/paid").is_err());
        assert!(webhook("acme", "paid").is_err());
        Ok(())
    }
}
