//! Compiles `run: container`: an image by its digest, and nothing that would reach out of the container.

use crate::codes;
use crate::compile::Compiler;
use crate::describe::{Kind, Wanted};
use crate::document::node::{Node, NodeData};

/// Hexadecimal digits of a SHA-256 digest.
const DIGEST_DIGITS: usize = 64;
/// Longest name of an image, digest included.
const IMAGE_BYTES_MAX: usize = 512;

impl Compiler<'_, '_> {
    /// The image of a container that can be run here; everything else was told.
    pub(super) fn container(&mut self, container: &Node) -> Option<String> {
        let told = self.beyond(container);
        let node = container.get("image")?;
        let image = node.text()?;
        if !is_pinned(image) {
            self.report
                .node(codes::CONTAINER, node, format!("the image `{image}` is not named by its digest"))
                .hint("write `name@sha256:…`: a tag can mean another image tomorrow");
            return None;
        }
        if told {
            return None;
        }
        let wanted = Wanted { kind: Kind::Image, uri: image.to_owned(), authentication: None };
        self.known(Kind::Image, node, wanted)?;
        Some(image.to_owned())
    }

    /// Tells of every member that would reach out of the container; true when there is one.
    fn beyond(&mut self, container: &Node) -> bool {
        let table = [
            ("ports", "a container has no network", "leave `ports` out; give it what it needs on `stdin`"),
            (
                "volumes",
                "a container sees no files of this machine",
                "leave `volumes` out; give it what it needs on `stdin`, and take what it makes from its output",
            ),
            (
                "name",
                "a container is named after its execution, so that it can be found and ended",
                "leave `name` out",
            ),
        ];
        let mut found = false;
        for (name, message, hint) in table {
            let empty = |node: &&Node| match &node.data {
                NodeData::Null => true,
                NodeData::Object(members) => members.is_empty(),
                _ => false,
            };
            if let Some(node) = container.get(name).filter(|node| !empty(node)) {
                self.report.node(codes::CONTAINER, node, message).hint(hint);
                found = true;
            }
        }
        let cleanup = container.get("lifetime").and_then(|lifetime| lifetime.get("cleanup"));
        if let Some(node) = cleanup.filter(|node| node.text() != Some("always")) {
            self.report
                .node(codes::CONTAINER, node, "a container is removed as soon as it has ended")
                .hint("write `cleanup: always`, or leave `lifetime` out");
            found = true;
        }
        let after = container.get("lifetime").and_then(|lifetime| lifetime.get("after"));
        if let Some(node) = after {
            self.report
                .node(codes::CONTAINER, node, "a container lives no longer than the task that runs it")
                .hint("leave `after` out");
            found = true;
        }
        if let Some(node) = container.get("pullPolicy").filter(|node| node.text() != Some("never")) {
            self.report
                .node(codes::CONTAINER, node, "images are not pulled, which would go past the guarded door")
                .hint("load the image before and write `pullPolicy: never`, or leave it out");
            found = true;
        }
        found
    }
}

/// True for `name@sha256:…`, in characters that are a name to every engine and never an option.
fn is_pinned(image: &str) -> bool {
    let Some((name, digest)) = image.split_once("@sha256:") else { return false };
    let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let named = |c: u8| c.is_ascii_alphanumeric() || b"._-/:".contains(&c);
    image.len() <= IMAGE_BYTES_MAX
        && digest.len() == DIGEST_DIGITS
        && digest.bytes().all(hexadecimal)
        && name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
        && name.bytes().all(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_pin_an_image() {
        let digest = "0123456789abcdef".repeat(4);
        for name in ["alpine", "docker.io/library/alpine", "localhost:5000/a/b_c.d-e", "alpine:3.20"] {
            assert!(is_pinned(&format!("{name}@sha256:{digest}")), "{name}");
        }
        for name in ["", "-v", "--privileged", "a b", "${ .image }", "a@b", "a\nb"] {
            assert!(!is_pinned(&format!("{name}@sha256:{digest}")), "{name}");
        }
        for image in ["alpine", "alpine:latest", "alpine@sha256:", "alpine@sha256:0123", "alpine@md5:0123"] {
            assert!(!is_pinned(image), "{image}");
        }
        assert!(!is_pinned(&format!("a@sha256:{}", digest.to_uppercase())));
        assert!(!is_pinned(&format!("a@sha256:{digest}0")));
    }
}
