//! A stubbed Salesforce org to deliver to by hand: `salesforce-stub [ADDRESS]`. `/records` shows what it has.
//!
//! Built from documented shapes, never run against an org: see `tests/src/salesforce/`.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use hookplane_tests::salesforce::{App, Org, Stub};

/// What is new is printed so often.
const LOOK: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    #[allow(
        clippy::disallowed_methods,
        reason = "the outermost place: assertions end at a real time"
    )]
    let now = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(std::io::Error::other)?;
    let app = App::new(i64::try_from(now.as_secs()).map_err(std::io::Error::other)?);
    let (id, secret) = (app.client_id.clone(), app.client_secret.clone());
    let mut org = Org::shop(app);
    // Who ordered in the catalogue's samples.
    org.put(
        "Account",
        [("Name", "Ada"), ("Email__c", "ada@example.com")],
    );
    let stub = Stub::on(address, org).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "A stub of a Salesforce org, built from documented shapes; objects Account, Order__c, OrderLine__c, Order_Paid__e.\n\n  \
         destinations:\n    - salesforce: {{url: \"{}\", clientId: \"{id}\", clientSecret: {{value: \"{secret}\"}}}}\n\n\
         What it has: {}/records. Ctrl-C ends it.\n",
        stub.url(),
        stub.url()
    )?;
    loop {
        tokio::select! {
            ended = tokio::signal::ctrl_c() => return ended,
            () = tokio::time::sleep(LOOK) => {}
        }
        // Printed ones are forgotten: it may run for long.
        let new = std::mem::take(&mut stub.org().seen);
        for seen in &new {
            writeln!(
                out,
                "{} {} {}",
                seen.method,
                seen.path,
                if seen.path.contains("oauth2") {
                    ""
                } else {
                    &seen.body
                }
            )?;
        }
    }
}
