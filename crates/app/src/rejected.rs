//! What the engine has no place for, as a problem for whoever asked.

use engine::Rejected;
use model::Problem;

/// 409, 422 or 429, by what is wrong.
pub(crate) fn rejected_problem(rejected: &Rejected) -> Problem {
    if let Some(problem) = crate::updates::update_problem(rejected) {
        return problem;
    }
    match rejected {
        Rejected::NoReturn(no) => crate::rewind::no_return(no),
        Rejected::BadArguments(_) => Problem::new(422, 3013, "arguments refused", rejected.to_string())
            .field("/arguments", rejected.to_string()),
        Rejected::SignalReused(_) => Problem::new(409, 2140, "signal id reused", rejected.to_string())
            .field("/id", rejected.to_string()),
        Rejected::InboxFull => Problem::new(429, 2141, "too many signals wait", rejected.to_string()),
        Rejected::UpdateReused(_)
        | Rejected::UpdateUnknown { .. }
        | Rejected::UpdateNotNow(_)
        | Rejected::UpdateRefused { .. }
        | Rejected::UpdatesFull
        | Rejected::Ended(_)
        | Rejected::NoEffect(_)
        | Rejected::Elsewhere { .. }
        | Rejected::Settled { .. }
        | Rejected::Resolved(_)
        | Rejected::Nothing(_) => Problem::new(409, 2010, "not possible now", rejected.to_string()),
    }
}
