//! Changes that go on to their end, whoever asked for them and hangs up.

use model::Problem;

/// Runs a change that a caller asked for in a task of its own. A caller who hangs up drops the request's future; a
/// permit that was committed and never handed to a worker would then wait for the next restart, and a slot that was
/// locked and never let go would stay in memory.
pub(crate) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::spawn(change).await {
        Ok(done) => done,
        Err(error) => Err(Problem::machine(format!("a change broke off: {error}"))),
    }
}
