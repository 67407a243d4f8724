//! What a program uses as a whole: memory of all its processes, and what it has put into its directory.

use std::fs;
use std::path::Path;

/// Entries of a directory that are counted before it is called too many.
const ENTRIES_MAX: usize = 10_000;
/// Deepest nesting that is looked into before it is called too deep.
const DEPTH_MAX: usize = 64;
/// Processes that are looked at.
const PROCESSES_MAX: usize = 4_096;

/// Memory in bytes that the descendants of `root` have in use. What cannot be read counts as nothing.
pub(crate) fn memory_below(root: i32) -> u64 {
    let mut waiting = children(root);
    let mut seen = 0;
    let mut bytes = 0u64;
    while let Some(process) = waiting.pop() {
        seen += 1;
        if seen > PROCESSES_MAX {
            break;
        }
        bytes = bytes.saturating_add(resident_bytes(process));
        waiting.extend(children(process));
    }
    bytes
}

fn resident_bytes(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

fn children(process: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    threads
        .flatten()
        .take(PROCESSES_MAX)
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

/// True when a directory holds more than `bytes_max`, too many entries, or is nested too deeply.
pub(crate) fn overfull(directory: &Path, bytes_max: u64) -> bool {
    let (mut bytes, mut entries) = (0u64, 0usize);
    let mut waiting = vec![(directory.to_owned(), 0usize)];
    while let Some((path, depth)) = waiting.pop() {
        // What vanishes while it is looked at is gone; that is fine.
        let Ok(found) = fs::read_dir(&path) else { continue };
        for entry in found.flatten() {
            entries += 1;
            let Ok(metadata) = entry.metadata() else { continue };
            bytes = bytes
                .saturating_add(metadata.len().min(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512));
            if bytes > bytes_max || entries > ENTRIES_MAX || depth > DEPTH_MAX {
                return true;
            }
            if metadata.is_dir() {
                waiting.push((entry.path(), depth + 1));
            }
        }
    }
    false
}
