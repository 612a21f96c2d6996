//! Who calls, and what they may do: identity on every call, told in one place before any service sees the request.
//!
//! ```text
//!   request ─▶ door: token ─▶ Tokens (in memory, fed by the view's watch) ─▶ Grant {role, org, webhooks, pools}
//!               │    └ none: the connection's certificate, a listener's ─▶ Grant
//!               │ role × method: the table in `methods`
//!               ▼
//!             service: Caller::check(Target) ─▶ org, webhook, pool
//!               │
//!   answer ◀─ door: withheld unless the scope was checked; ended when the token is
//! ```
//!
//! Guarantees:
//! - A method without a row in the table is refused; so is a request without a valid token or certificate, health checks apart.
//! - A token decides alone: with one that is not valid, a certificate beside it doesn't help.
//! - No answer leaves unless its service had the scope checked, and no key of an org is read or written through a desk that its caller
//!   doesn't reach: what a service forgot fails closed.
//! - A revoked or expired token, or one whose org was deleted, lets nobody in from the moment the view knows, and every stream that it opened
//!   ends with `UNAUTHENTICATED`, whatever the service does.
//! - A token's secret is 256 random bits, told once and stored as a hash; it is compared in constant time and never logged.
//!
//! What this does not do: count calls, or tell people apart who share a token.

mod bearer;
mod caller;
mod certificates;
mod door;
mod grant;
mod held;
mod methods;
mod quiet;
mod tokens;
pub(crate) mod uses;

pub(crate) use bearer::Bearer;
pub use caller::Caller;
#[cfg(test)]
pub(crate) use caller::tests::operator;
pub(crate) use caller::{Target, opened};
pub use certificates::Authorities;
pub(crate) use certificates::Shown;
pub use door::Door;
pub(crate) use methods::Needs;
pub use tokens::{Tokens, installation_admin_exists};
