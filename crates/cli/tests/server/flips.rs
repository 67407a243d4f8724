//! Bits, bytes, sectors and pages of a real data directory are damaged: told, or without effect, never a wrong answer.

/// Damages of one run; `cargo xtask disk bit-flips` makes more.
const FLIPS: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_or_harmless() {
    let server = faulty_disk::house::real_directory(env!("CARGO_BIN_EXE_omnihub")).await;
    let data = server.data();
    let figures = tokio::task::spawn_blocking(move || faulty_disk::flips::run(&data, FLIPS, 1))
        .await
        .expect("no panic")
        .expect("the whole directory answers");
    assert_eq!(figures.total(), FLIPS);
    assert_eq!(figures.wrong, 0, "{figures:#?}");
    assert!(figures.refused > 0 && figures.answered_with_errors > 0, "{figures:#?}");
    for sort in ["database", "log", "blob"] {
        assert!(figures.damages.keys().any(|what| what.starts_with(sort)), "{figures:#?}");
    }
}
