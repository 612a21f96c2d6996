//! What a page shows beside what it is for: nobody waits for it longer than a second, whatever the event log is at.

use std::time::Duration;

use crate::log::LogError;

const PATIENCE: Duration = Duration::from_secs(1);

/// What the log says by then.
pub(super) async fn glance<T>(
    asked: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.unwrap_or_else(|_| {
        let why = "it doesn't answer within a second: ask again in a while";
        Err(LogError::Unavailable(why.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A log that is away holds up no page that shows a chart or a count.
    #[tokio::test]
    async fn a_log_that_says_nothing_is_unavailable_soon() {
        let silent = glance(std::future::pending::<Result<(), _>>());
        let answer = tokio::time::timeout(Duration::from_secs(60), silent).await;
        assert!(matches!(answer, Ok(Err(LogError::Unavailable(_)))));
    }
}
