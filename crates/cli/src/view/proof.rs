//! Checks an inclusion proof on this side: what the server says about it is not believed.

use base64::Engine as _;
use serde_json::Value as Json;

use crate::json::{list, number, text};

/// Leads the leaf's bytes along the path to the root of the head that came with them.
pub(crate) fn check(proof: &Json) -> Result<(), String> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text(proof, "/leaf"))
        .map_err(|_| "the leaf is not base64".to_owned())?;
    let index = number(proof, "/index");
    match audit::read_leaf(&bytes) {
        Some((sequence, _)) if sequence == index => {}
        Some((sequence, _)) => return Err(format!("the leaf's bytes are those of leaf {sequence}")),
        None => return Err("the leaf's bytes are no record".to_owned()),
    }
    let path =
        list(proof, "/path").iter().map(|hash| hash_of(&text(hash, ""))).collect::<Result<Vec<_>, _>>()?;
    let root = hash_of(&text(proof, "/head/root"))?;
    let leaf = audit::leaf_hash(&bytes);
    audit::verify_inclusion(&leaf, index, number(proof, "/head/size"), &path, &root)
        .map_err(|error| error.to_string())
}

fn hash_of(text: &str) -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| format!("`{text}` is not a hash"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_leaf_on_the_path_is_accepted() {
        let record = audit::Record {
            at: model::Timestamp(1),
            tenant: model::TenantId::new("acme").expect("an id"),
            actor: "user:a".into(),
            actor_kind: "user".into(),
            action: "control.set".into(),
            resource: "controls/takeover".into(),
            correlation: "r1".into(),
            classification: audit::Classification::Internal,
            address: None,
            agent: None,
            details: Json::Null,
        };
        let leaf = audit::leaf_bytes(1, &record).expect("a record is JSON");
        let other = [7; 32];
        let root = audit::node_hash(&other, &audit::leaf_hash(&leaf));
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let mut proof = json!({"index": 1, "leaf": encode(&leaf), "path": [hex::encode(other)],
            "head": {"size": 2, "root": hex::encode(root)}});
        assert_eq!(check(&proof), Ok(()));
        let mut bent = leaf.clone();
        *bent.last_mut().expect("bytes") ^= 1;
        proof["leaf"] = json!(encode(&bent));
        assert!(check(&proof).is_err());
        proof["leaf"] = json!(encode(&leaf));
        proof["path"] = json!([hex::encode([8; 32])]);
        assert!(check(&proof).is_err());
    }
}
