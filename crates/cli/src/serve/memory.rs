//! How much of the memory is used: of the control group when it has a limit, or else of the machine.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use app::App;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);
const GROUP: &str = "/sys/fs/cgroup";

/// Tells the application, until it is gone.
pub(crate) async fn watch(app: Weak<App>) {
    let mut clock = tokio::time::interval(EVERY);
    loop {
        clock.tick().await;
        let Some(app) = app.upgrade() else { return };
        // Small files of the kernel: they are in memory, and reading them does not wait.
        if let Some(permille) = used(Path::new(GROUP), Path::new("/proc/meminfo")) {
            app.note_memory(permille);
        }
    }
}

/// Starts watching.
pub(crate) fn start(app: &Arc<App>) {
    tokio::spawn(watch(Arc::downgrade(app)));
}

fn used(group: &Path, machine: &Path) -> Option<u32> {
    of_group(group).into_iter().chain(of_machine(&std::fs::read_to_string(machine).ok()?)).max()
}

fn of_group(group: &Path) -> Option<u32> {
    let number = |name: &str| std::fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let current = number("memory.current")?;
    // Pages of files can be given back at any time; they are not in anybody's way.
    let text = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let file = text.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
    permille(current.saturating_sub(file.unwrap_or(0)), number("memory.max")?)
}

fn of_machine(meminfo: &str) -> Option<u32> {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().split(' ').next()?.parse::<u64>().ok()
    };
    let total = kib("MemTotal:")?;
    permille(total.saturating_sub(kib("MemAvailable:")?), total)
}

fn permille(used: u64, of: u64) -> Option<u32> {
    u32::try_from(used.saturating_mul(1000).checked_div(of)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_of_group_and_machine_counts() {
        let directory = tempfile::tempdir().unwrap();
        let meminfo = directory.path().join("meminfo");
        std::fs::write(
            &meminfo,
            "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    750 kB\n",
        )
        .unwrap();
        assert_eq!(used(directory.path(), &meminfo), Some(250));
        std::fs::write(directory.path().join("memory.max"), "1000\n").unwrap();
        std::fs::write(directory.path().join("memory.current"), "950\n").unwrap();
        assert_eq!(used(directory.path(), &meminfo), Some(950));
        std::fs::write(directory.path().join("memory.stat"), "anon 1\ninactive_file 350\n").unwrap();
        assert_eq!(used(directory.path(), &meminfo), Some(600));
        std::fs::write(directory.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(used(directory.path(), &meminfo), Some(250), "a group without a limit");
    }
}
