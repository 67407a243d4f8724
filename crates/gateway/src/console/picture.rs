//! Small pictures: the sparkline of the overview, shares of outcomes, and the path of an inclusion proof.

use maud::{Markup, html};
use model::Digest;

use app::view::ProofView;

use super::format;

/// Executions that ended in each of the last minutes, oldest first, as bars.
pub fn sparkline(numbers: &[u32]) -> Markup {
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let total: u64 = numbers.iter().map(|n| u64::from(*n)).sum();
    let width = numbers.len() * 8;
    html! {
        svg.spark viewBox={ "0 0 " (width.max(8)) " 48" } preserveAspectRatio="none" role="img"
            aria-label={ (total) " executions ended in the last " (numbers.len()) " minutes" } {
            @for (i, number) in numbers.iter().enumerate() {
                // A minute with nothing keeps a hairline, so that the hour is seen whole.
                @let height = if *number == 0 { 1 } else { (u64::from(*number) * 46 / u64::from(most)).max(3) };
                rect class=(if *number == 0 { "none" } else { "some" }) x=(i * 8 + 1) y=(48 - height) width="6" height=(height) {
                    title { (number) " ended, " (numbers.len() - 1 - i) " min ago" }
                }
            }
        }
    }
}

/// Shares of a whole as one bar with its words and numbers.
pub fn shares(parts: &[(String, u64)]) -> Markup {
    let total: u64 = parts.iter().map(|(_, n)| n).sum();
    let mut x = 0u64;
    html! {
        svg.shares viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="Shares" {
            rect.track x="0" y="0" width="1000" height="10" {}
            @for (word, number) in parts {
                @let width = number.saturating_mul(1000).checked_div(total).unwrap_or(0);
                rect class={ "share " (word) } x=(x) y="0" width=(width) height="10" { title { (word) ": " (number) } }
                ({ x += width; "" })
            }
        }
        ul.share-words {
            @for (word, number) in parts { li { (format::outcome(Some(word))) b { (format::count(*number)) } } }
        }
    }
}

/// One step of a proof: our hash so far and its sibling give the hash above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The sibling's hash in hexadecimal.
    pub sibling: String,
    /// True when the sibling stands at the left.
    pub left: bool,
    /// The hash of both in hexadecimal.
    pub parent: String,
}

/// Walks an RFC 6962 inclusion proof from the leaf to the root; none when it is not well-formed.
pub fn walk(index: u64, size: u64, leaf_hash: &str, path: &[String]) -> Option<Vec<Step>> {
    if index >= size {
        return None;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = hex(leaf_hash)?;
    let mut steps = Vec::with_capacity(path.len());
    for sibling in path {
        if last == 0 {
            return None;
        }
        let other = hex(sibling)?;
        let left = node % 2 == 1 || node == last;
        if left {
            while node.is_multiple_of(2) && node != 0 {
                node /= 2;
                last /= 2;
            }
        }
        hash = if left { join(&other, &hash) } else { join(&hash, &other) };
        steps.push(Step { sibling: sibling.clone(), left, parent: bare(&hash) });
        node /= 2;
        last /= 2;
    }
    (last == 0).then_some(steps)
}

/// The path of a proof, leaf at the bottom, root at the top, recomputed here.
pub fn proof(view: &ProofView, size: u64, root: &str) -> Markup {
    let Some(steps) = walk(view.index, size, &view.leaf_hash, &view.path) else {
        return html! { p.bad-text { "the path does not lead from leaf " (view.index) " to a tree of " (size) " leaves" } };
    };
    let top = steps.last().map_or(view.leaf_hash.as_str(), |step| step.parent.as_str());
    let holds = top == root;
    html! {
        p class=(if holds { "good-text" } else { "bad-text" }) {
            @if holds { "Recomputed for this page: the path leads from the leaf to the signed root." }
            @else { "Recomputed for this page: the path does not lead to the signed root." }
        }
        ol.merkle reversed {
            @for (level, step) in steps.iter().enumerate().rev() {
                li class=(if level + 1 == steps.len() { "root" } else { "inner" }) {
                    span.level { @if level + 1 == steps.len() { "root" } @else { "level " (level + 1) } }
                    code title=(step.parent) { (format::short(&step.parent)) }
                    span.from {
                        "= hash of "
                        @if step.left { code.sibling title=(step.sibling) { (format::short(&step.sibling)) } " + below" }
                        @else { "below + " code.sibling title=(step.sibling) { (format::short(&step.sibling)) } }
                    }
                }
            }
            li.leaf { span.level { "leaf " (view.index) } code title=(view.leaf_hash) { (format::short(&view.leaf_hash)) } span.from { "= hash of the record" } }
        }
    }
}

fn join(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(65);
    bytes.push(1);
    bytes.extend_from_slice(left);
    bytes.extend_from_slice(right);
    Digest::of(&bytes).0
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    Digest::parse(&format!("sha256:{text}")).map(|digest| digest.0)
}

fn bare(hash: &[u8; 32]) -> String {
    Digest(*hash).to_string().trim_start_matches("sha256:").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(i: u8) -> [u8; 32] {
        Digest::of(&[0, i]).0
    }

    fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [only] => *only,
            _ => {
                let half = leaves.len().next_power_of_two() / 2;
                join(&root(&leaves[..half]), &root(&leaves[half..]))
            }
        }
    }

    fn path(leaves: &[[u8; 32]], index: usize) -> Vec<String> {
        if leaves.len() == 1 {
            return vec![];
        }
        let half = leaves.len().next_power_of_two() / 2;
        let (mut inner, other) = if index < half {
            (path(&leaves[..half], index), root(&leaves[half..]))
        } else {
            (path(&leaves[half..], index - half), root(&leaves[..half]))
        };
        inner.push(bare(&other));
        inner
    }

    #[test]
    fn every_leaf_of_every_small_tree_leads_to_the_root() {
        for size in 1..=20u8 {
            let leaves: Vec<[u8; 32]> = (0..size).map(leaf).collect();
            let expected = bare(&root(&leaves));
            for index in 0..size {
                let path = path(&leaves, usize::from(index));
                let own = bare(&leaf(index));
                let steps = walk(index.into(), size.into(), &own, &path).unwrap();
                assert_eq!(steps.last().map_or(own, |s| s.parent.clone()), expected, "{index} of {size}");
            }
        }
    }

    #[test]
    fn malformed_proofs_are_refused() {
        let hash = bare(&leaf(1));
        assert_eq!(walk(3, 3, &hash, &[]), None);
        assert_eq!(walk(0, 2, &hash, &[]), None);
        assert_eq!(walk(0, 1, &hash, std::slice::from_ref(&hash)), None);
        assert_eq!(walk(0, 2, "no hash", &[hash]), None);
    }
}
