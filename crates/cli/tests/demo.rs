//! The demo from the outside: every fault ends as it must, and the exit code says so.

mod support;

use support::{omnihub, run};

fn demo(fault: &str) -> (i32, serde_json::Value, String) {
    let home = tempfile::tempdir().expect("a scratch directory");
    let mut command = omnihub(home.path(), &["-o", "json", "demo", "--yes", "--exit", "--fault", fault]);
    let (code, out, err) = run(&mut command);
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

#[test]
fn a_goal_ends_verified_with_one_refund_and_a_proof() {
    let (code, played, err) = demo("none");
    assert_eq!((code, &played["execution"]["outcome"]), (0, &"verified".into()), "{err}");
    assert_eq!(played["refunds"], 1);
    assert_eq!(played["execution"]["status"], "completed");
    assert!(err.contains("proof checked, log intact"), "{err}");
}

#[test]
fn people_are_told_the_outcome_in_words() {
    let home = tempfile::tempdir().expect("a scratch directory");
    let (code, out, err) = run(&mut omnihub(home.path(), &["demo", "--yes", "--exit"]));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("outcome: verified") && out.contains("1 refund\n"), "{out}");
    assert_eq!(err, "", "nothing went wrong, so nothing is said");
}

#[test]
fn a_lost_answer_is_asked_after_and_not_repeated() {
    let (code, played, err) = demo("lost-answer");
    assert_eq!(
        (code, &played["execution"]["outcome"], &played["refunds"]),
        (0, &"verified".into(), &1.into()),
        "{err}"
    );
}

#[test]
fn a_lie_is_found_out() {
    let (code, played, err) = demo("lies");
    assert_eq!(
        (code, &played["execution"]["outcome"], &played["refunds"]),
        (1, &"failed".into(), &0.into()),
        "{err}"
    );
}

#[test]
fn what_is_down_is_retried_parked_and_put_back() {
    let (code, played, err) = demo("down");
    assert_eq!(
        (code, &played["execution"]["outcome"], &played["refunds"]),
        (0, &"verified".into(), &1.into()),
        "{err}"
    );
    let effects = played["execution"]["effects"].as_array().expect("effects");
    let refund = effects.iter().find(|effect| effect["effect"] == "money").expect("the refund");
    assert_eq!(
        refund["attempts"].as_array().map(Vec::len),
        Some(5),
        "three retries, then one after the redrive"
    );
    assert!(err.contains("parked for a person"), "{err}");
}

#[test]
fn a_directory_that_is_not_empty_is_refused() {
    let home = tempfile::tempdir().expect("a scratch directory");
    std::fs::write(home.path().join("mine"), "precious").expect("a file");
    let mut command = omnihub(home.path(), &["demo", "--exit", "--yes", "--data-dir"]);
    let (code, _, err) = run(command.arg(home.path()));
    assert_eq!(code, 2, "{err}");
    assert_eq!(std::fs::read_dir(home.path()).expect("readable").count(), 1);
}
