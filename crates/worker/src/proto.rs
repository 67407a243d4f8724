//! `.proto` texts: compiled when they are fetched, without `protoc`; their messages read and written by descriptor.

use std::collections::BTreeMap;

use app::grpc::{Kept, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Digest, Label, Value};
use parking_lot::Mutex;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, SerializeOptions};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// The name that a fetched text has while it is compiled.
const NAME: &str = "fetched.proto";
/// Compiled descriptions that are kept in memory.
const POOLS_MAX: usize = 64;

/// Gives the fetched text, and nothing else.
struct Fetched(String);

impl FileResolver for Fetched {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name == NAME {
            true => File::from_source(NAME, &self.0),
            false => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Compiles a `.proto` into what is kept of it. The error is for its author.
pub(crate) fn kept_of(text: &str) -> Result<String, String> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Fetched(text.to_owned()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(false);
    if let Err(error) = compiler.open_file(NAME) {
        let told: String = error.to_string().chars().take(300).collect();
        return Err(match error.is_file_not_found() {
            true => format!("it imports another file ({told}); serve one that holds everything"),
            false => format!("it is no `.proto` that can be read: {told}"),
        });
    }
    let pool = compiler.descriptor_pool();
    let mut services = BTreeMap::new();
    for service in pool.services() {
        let methods = service.methods().map(|method| {
            let streams = Method {
                client_streaming: method.is_client_streaming(),
                server_streaming: method.is_server_streaming(),
            };
            (method.name().to_owned(), streams)
        });
        services.insert(service.full_name().to_owned(), methods.collect::<BTreeMap<_, _>>());
    }
    let descriptors = STANDARD.encode(compiler.encode_file_descriptor_set());
    let kept = Kept { proto: text.to_owned(), services, descriptors };
    serde_json::to_string(&kept).map_err(|error| error.to_string())
}

/// Compiled descriptions by their digests. A hint: any may be forgotten.
#[derive(Default)]
pub(crate) struct Pools(Mutex<BTreeMap<Digest, DescriptorPool>>);

impl Pools {
    /// The pool of a description; `text` is what was kept.
    pub(crate) fn get(&self, digest: &Digest) -> Option<DescriptorPool> {
        self.0.lock().get(digest).cloned()
    }

    /// Reads what was kept, and remembers it.
    pub(crate) fn put(&self, digest: Digest, text: &str) -> Result<DescriptorPool, String> {
        let kept: Kept = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let bytes = STANDARD.decode(kept.descriptors).map_err(|error| error.to_string())?;
        let pool = DescriptorPool::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
        let mut pools = self.0.lock();
        if pools.len() >= POOLS_MAX {
            pools.pop_first();
        }
        pools.insert(digest, pool.clone());
        Ok(pool)
    }
}

/// A method by its names.
pub(crate) fn method(pool: &DescriptorPool, service: &str, method: &str) -> Option<MethodDescriptor> {
    pool.get_service_by_name(service)?.methods().find(|found| found.name() == method)
}

/// A message from its JSON form, on the wire.
pub(crate) fn encoded(method: &MethodDescriptor, arguments: &Value) -> Result<Vec<u8>, String> {
    let message = DynamicMessage::deserialize(method.input(), arguments.to_json())
        .map_err(|error| format!("the arguments are no `{}`: {error}", method.input().full_name()))?;
    Ok(message.encode_to_vec())
}

/// A message from the wire, in its JSON form. Every field is there, as its default when it was not sent.
pub(crate) fn decoded(method: &MethodDescriptor, bytes: &[u8]) -> Result<Value, String> {
    let told = |error: String| format!("the answer is no `{}`: {error}", method.output().full_name());
    let message = DynamicMessage::decode(method.output(), bytes).map_err(|error| told(error.to_string()))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let json = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| told(error.to_string()))?;
    Ok(Value::from_json(&json, Label::EXTERNAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTO: &str = "syntax = \"proto3\"; package shop; import \"google/protobuf/timestamp.proto\";\n\
        message Ask { string name = 1; int64 big = 2; repeated string tags = 3; google.protobuf.Timestamp at = 4; }\n\
        message Told { string text = 1; int32 n = 2; }\n\
        service Greeter { rpc Greet (Ask) returns (Told); rpc Many (Ask) returns (stream Told); rpc In (stream Ask) returns (Told); }";

    #[test]
    fn messages_go_there_and_back_without_protoc() {
        let kept = kept_of(PROTO).expect("it compiles");
        assert_eq!(kept, kept_of(PROTO).expect("it compiles"), "the same text is the same description");
        let described = app::grpc::Proto::read(&kept).expect("it is read");
        assert!(described.method("shop.Greeter", "Many").expect("is there").server_streaming);
        assert!(described.method("shop.Greeter", "In").expect("is there").client_streaming);
        assert_eq!(
            described.method("shop.Greeter", "Gret").expect_err("is not there").1,
            "did you mean `Greet`?"
        );
        let pools = Pools::default();
        let pool = pools.put(described.digest, &kept).expect("it is kept");
        assert!(pools.get(&described.digest).is_some());
        let greet = method(&pool, "shop.Greeter", "Greet").expect("is there");
        let json =
            serde_json::json!({"name": "ann", "big": "7", "tags": ["a"], "at": "2026-01-02T03:04:05Z"});
        let bytes = encoded(&greet, &Value::from_json(&json, Label::CALLER)).expect("it fits");
        // Written out by hand: field 1 "ann", field 2 varint 7, field 3 "a", field 4 { 1: 1767323045 }.
        assert_eq!(bytes, b"\x0a\x03ann\x10\x07\x1a\x01a\x22\x06\x08\xa5\xeb\xdc\xca\x06");
        let told = decoded(&greet, b"\x0a\x02hi").expect("it fits");
        assert_eq!(told.to_json(), serde_json::json!({"text": "hi", "n": 0}));
        for wrong in [serde_json::json!({"nam": "x"}), serde_json::json!({"name": 5}), serde_json::json!([])]
        {
            assert!(encoded(&greet, &Value::from_json(&wrong, Label::CALLER)).is_err(), "{wrong}");
        }
        assert!(decoded(&greet, b"\xff\xff").is_err());
    }

    #[test]
    fn what_cannot_be_compiled_says_why() {
        let table = [
            ("import \"other.proto\";", "serve one that holds everything"),
            ("message {", "no `.proto` that can be read"),
            ("{\"openapi\": \"3.0.0\"}", "no `.proto` that can be read"),
        ];
        for (text, why) in table {
            let told = kept_of(text).expect_err("it is wrong");
            assert!(told.contains(why), "{told}");
        }
    }
}
