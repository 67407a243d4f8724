//! The door against real servers on loopback addresses that are granted, and against every way around it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egress::{
    BreakerConfig, ConnectionReport, Credentials, Door, DoorConfig, Grant, HttpAnswer, Limits, Observer,
    Refusal, Resolver, SendError,
};
use model::effect::{EffectNumber, HttpOutput, HttpRequest};
use model::{ExecutionId, TenantId, Value};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Default)]
struct Reports(Mutex<Vec<ConnectionReport>>);

impl Observer for Reports {
    fn connected(&self, report: ConnectionReport) {
        self.0.lock().push(report);
    }
}

/// Answers each question with the next of its lists, and the last one from then on.
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

#[async_trait::async_trait]
impl Resolver for Scripted {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers.get(asked.min(self.answers.len() - 1)).cloned().unwrap_or_default())
    }
}

struct House {
    door: Door,
    reports: Arc<Reports>,
    resolver: Arc<Scripted>,
}

fn house(answers: &[&[&str]]) -> House {
    let parse = |list: &&[&str]| list.iter().map(|text| text.parse().expect("an address")).collect();
    let resolver =
        Arc::new(Scripted { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) });
    let reports = Arc::new(Reports::default());
    let door = Door::new(DoorConfig {
        observer: Arc::clone(&reports) as Arc<dyn Observer>,
        resolver: Arc::clone(&resolver) as Arc<dyn Resolver>,
        extra_roots_pem: vec![include_bytes!("fixtures/ca.pem").to_vec()],
        breaker: BreakerConfig { failures_max: 2, open_ms: 60_000, ..BreakerConfig::default() },
    })
    .expect("a door");
    House { door, reports, resolver }
}

fn grant(hosts: &[&str], private: &[&str]) -> Grant {
    Grant {
        hosts: hosts.iter().map(|rule| rule.parse().expect("a host rule")).collect(),
        private: private.iter().map(|rule| rule.parse().expect("an address rule")).collect(),
        redirects: true,
        tenant: TenantId::new("acme").expect("an id"),
        execution: ExecutionId::new("run-1").expect("an id"),
        effect: EffectNumber(3),
    }
}

fn request(method: &str, uri: &str) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        uri: uri.to_owned(),
        headers: Vec::new(),
        body: None,
        authentication: None,
        output: HttpOutput::Content,
        redirect: true,
    }
}

fn quick() -> Limits {
    Limits { whole: Duration::from_millis(400), body_bytes: 1000, ..Limits::default() }
}

impl House {
    async fn send(&self, request: &HttpRequest, grant: &Grant) -> Result<HttpAnswer, SendError> {
        self.door.send(request, grant, None, quick()).await
    }

    fn only_report(&self) -> ConnectionReport {
        let reports = self.reports.0.lock();
        assert_eq!(reports.len(), 1, "{reports:?}");
        reports[0].clone()
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(text).expect("a head is text")
}

async fn write_all_ignoring_loss(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) {
    // The client may have hung up on purpose; what it made of it is what the tests check.
    let written = stream.write_all(bytes).await;
    let flushed = stream.flush().await;
    drop((written, flushed));
}

/// Reads a head, answers with `bytes`, and closes, for every connection. Collects the heads.
async fn serve(bytes: impl Into<Vec<u8>>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let (bytes, seen) = (bytes.into(), Arc::clone(&heads));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = read_head(&mut stream).await;
            seen.lock().push(head);
            write_all_ignoring_loss(&mut stream, &bytes).await;
        }
    });
    (address, heads)
}

fn ok(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_granted_host_answers_and_is_reported() {
    let (address, heads) = serve(ok("{\"a\":1}")).await;
    let house = house(&[&["127.0.0.1"]]);
    let rule = format!("127.0.0.1/32:{}", address.port());
    let grant = grant(&[&format!("shop.test:{}", address.port())], &[&rule]);
    let mut request = request("POST", &format!("http://shop.test:{}/x?y=1", address.port()));
    request.body = Some(Value::string("hello"));
    let secret = Credentials::Basic { username: "u".to_owned(), password: "p".to_owned() };
    let answer = house.door.send(&request, &grant, Some(secret), quick()).await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..], answer.is_json()), (200, &b"{\"a\":1}"[..], true));
    let head = heads.lock()[0].clone();
    assert!(head.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        format!("host: shop.test:{}", address.port()),
        "authorization: Basic dTpw".to_owned(),
        "accept-encoding: identity".to_owned(),
        "content-length: 5".to_owned(),
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "`{line}` is not in {head}");
    }
    let report = house.only_report();
    assert_eq!((report.allowed, report.status, report.address), (true, Some(200), Some(address)));
    assert_eq!((report.execution.as_str(), report.effect, report.reason), ("run-1", EffectNumber(3), None));
    assert!(report.bytes_sent > head.len() as u64 && report.bytes_received > 7);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_and_reported() {
    let (address, heads) = serve(ok("{}")).await;
    let port = address.port();
    let here = format!("127.0.0.1:{port}");
    let table: &[(&str, &[&str], &[&str])] = &[
        (&format!("http://{here}/"), &[], &["127.0.0.0/8"]),
        (&format!("http://{here}/"), &[&here], &[]),
        (&format!("http://{here}/"), &[&here], &["127.0.0.1/32:1"]),
        (&format!("http://{here}/"), &["127.0.0.1"], &["127.0.0.0/8"]),
        (&format!("http://2130706433:{port}/"), &["8.8.8.8"], &["127.0.0.0/8"]),
        (&format!("http://0:{port}/"), &[&format!("0.0.0.0:{port}")], &["0.0.0.0/0"]),
        ("http://[::ffff:169.254.169.254]/", &["[::ffff:169.254.169.254]"], &[]),
        ("http://[::ffff:169.254.169.254]/", &["[::ffff:169.254.169.254]"], &["169.254.0.0/16", "::/0"]),
        ("http://169.254.169.254/latest/meta-data/", &["169.254.169.254"], &["169.254.0.0/16"]),
        ("http://[fd00:ec2::254]/", &["[fd00:ec2::254]"], &["fd00::/8"]),
        ("http://[64:ff9b::7f00:1]/", &["[64:ff9b::7f00:1]"], &[]),
        ("http://shop.test/", &["other.test", "*.shop.test"], &[]),
        ("http://shop.test/", &["shop.test"], &[]),
        ("http://shop.test./", &["shop.test"], &["127.0.0.0/8"]),
        ("http://u:p@shop.test/", &["shop.test"], &["127.0.0.0/8"]),
        ("ftp://shop.test/", &["shop.test:21"], &["127.0.0.0/8"]),
    ];
    for (uri, hosts, private) in table {
        // One public address among the answers must not carry the private one through.
        let house = house(&[&["8.8.8.8", "127.0.0.1"]]);
        let result = house.send(&request("GET", uri), &grant(hosts, private)).await;
        assert!(matches!(result, Err(SendError::Refused(_))), "{uri}: {result:?}");
        let report = house.only_report();
        assert!(!report.allowed && report.reason.is_some() && report.bytes_sent == 0, "{uri}: {report:?}");
    }
    assert!(heads.lock().is_empty());
}

#[tokio::test]
async fn a_name_is_resolved_once_and_a_rebound_one_is_refused() {
    let (address, heads) = serve(ok("{}")).await;
    let rule = format!("shop.test:{}", address.port());
    let uri = format!("http://shop.test:{}/", address.port());
    let private = format!("127.0.0.1/32:{}", address.port());
    // The first answer is granted, the second is not: were the name asked again, the request would fail.
    let first = house(&[&["127.0.0.1"], &["10.0.0.1"]]);
    first.send(&request("GET", &uri), &grant(&[&rule], &[&private])).await.expect("the checked address");
    assert_eq!(first.resolver.asked.load(Ordering::SeqCst), 1);
    // The next request asks again and finds the name turned to a private address.
    let result = first.send(&request("GET", &uri), &grant(&[&rule], &[&private])).await;
    assert!(matches!(result, Err(SendError::Refused(Refusal::Address { .. }))), "{result:?}");
    assert_eq!(heads.lock().len(), 1);
}

#[tokio::test]
async fn redirects_are_checked_like_new_connections() {
    let (inner, inner_heads) = serve(ok("{}")).await;
    let inner_rule = format!("127.0.0.1:{}", inner.port());
    for (status, method, expected_lost) in [
        ("302 Found", "GET", false),
        ("303 See Other", "POST", true),
        ("307 Temporary Redirect", "POST", false),
    ] {
        let location =
            format!("HTTP/1.1 {status}\r\nlocation: http://{inner}/x\r\ncontent-length: 0\r\n\r\n");
        let (outer, _) = serve(location).await;
        let outer_rule = format!("127.0.0.1:{}", outer.port());
        let uri = format!("http://{outer}/");
        // The host of the redirect is not granted.
        let house = house(&[&[]]);
        let result = house.send(&request(method, &uri), &grant(&[&outer_rule], &["127.0.0.1"])).await;
        assert_eq!(matches!(result, Err(SendError::Lost(_))), expected_lost, "{status}: {result:?}");
        assert_eq!(matches!(result, Err(SendError::Refused(_))), !expected_lost, "{status}: {result:?}");
        let refused: Vec<_> =
            house.reports.0.lock().iter().filter(|report| !report.allowed).cloned().collect();
        assert_eq!((refused.len(), refused[0].port), (1, inner.port()));
        assert!(inner_heads.lock().is_empty());
    }
    let location = format!("HTTP/1.1 302 Found\r\nlocation: http://{inner}/x\r\ncontent-length: 0\r\n\r\n");
    let (outer, _) = serve(location).await;
    let outer_rule = format!("127.0.0.1:{}", outer.port());
    let (uri, house) = (format!("http://{outer}/"), house(&[&[]]));
    let both = grant(&[&outer_rule, &inner_rule], &["127.0.0.1"]);
    // Granted hosts, but the address of the second is not.
    let narrow = grant(&[&outer_rule, &inner_rule], &[&format!("127.0.0.1/32:{}", outer.port())]);
    let result = house.send(&request("GET", &uri), &narrow).await;
    assert!(matches!(result, Err(SendError::Refused(Refusal::Address { .. }))), "{result:?}");
    let unfollowed = Grant { redirects: false, ..both.clone() };
    let result = house.send(&request("GET", &uri), &unfollowed).await;
    assert!(matches!(result, Err(SendError::Refused(Refusal::Redirect { .. }))), "{result:?}");
    let unwanted = HttpRequest { redirect: false, ..request("GET", &uri) };
    assert_eq!(house.send(&unwanted, &both).await.expect("the 302 itself").status, 302);
    assert!(inner_heads.lock().is_empty());
    // Everything granted: followed, without the secret.
    let secret = Credentials::Bearer { token: "hush".to_owned() };
    let answer =
        house.door.send(&request("GET", &uri), &both, Some(secret), quick()).await.expect("followed");
    assert_eq!(answer.uri, format!("http://{inner}/x"));
    assert!(!inner_heads.lock()[0].contains("hush"));
}

#[tokio::test]
async fn redirects_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let body = format!("HTTP/1.1 302 Found\r\nlocation: http://{address}/\r\ncontent-length: 0\r\n\r\n");
    let listener = TcpListener::bind(address).await.expect("the same port");
    let served = tokio::spawn(async move {
        let mut count = 0;
        while count < 6 {
            let Ok((mut stream, _)) = listener.accept().await else { break };
            read_head(&mut stream).await;
            write_all_ignoring_loss(&mut stream, body.as_bytes()).await;
            count += 1;
        }
        count
    });
    let grant = grant(&[&address.to_string()], &["127.0.0.1"]);
    let result = house(&[&[]]).send(&request("GET", &format!("http://{address}/")), &grant).await;
    assert!(matches!(result, Err(SendError::Refused(Refusal::Redirect { .. }))), "{result:?}");
    assert_eq!(served.await.expect("the server ends"), 6);
}

#[tokio::test]
async fn bad_answers_are_never_taken_for_an_answer() {
    let big_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    let big_body = ok(&"a".repeat(1001));
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        "64\r\n".to_owned() + &"a".repeat(100) + "\r\n"
    );
    let table: &[(&str, Vec<u8>, bool)] = &[
        ("head too large", big_head.into_bytes(), true),
        ("head far too large", vec![b'a'; 1_000_000], true),
        ("body too large", big_body, true),
        ("not http", b"220 smtp ready\r\n\r\n".to_vec(), true),
        ("nothing", Vec::new(), false),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), false),
        ("short body", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec(), false),
        (
            "chunk size",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n".to_vec(),
            false,
        ),
        (
            "huge chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc".to_vec(),
            false,
        ),
        ("cut chunks", endless.into_bytes(), false),
    ];
    for (name, bytes, bad) in table {
        let (address, _) = serve(bytes.clone()).await;
        let grant = grant(&[&address.to_string()], &["127.0.0.1"]);
        let house = house(&[&[]]);
        let result = house.send(&request("POST", &format!("http://{address}/")), &grant).await;
        match (&result, bad) {
            (Err(SendError::BadAnswer(_)), true) | (Err(SendError::Lost(_)), false) => {}
            _ => panic!("{name}: {:.200}", format!("{result:?}")),
        }
        let report = house.only_report();
        assert!(report.allowed && report.reason.is_some() && report.bytes_sent > 0, "{name}: {report:?}");
    }
}

#[tokio::test]
async fn an_answer_that_trickles_is_cut_off() {
    for head in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            read_head(&mut stream).await;
            write_all_ignoring_loss(&mut stream, head.as_bytes()).await;
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                if stream.write_all(b"H").await.is_err() {
                    return;
                }
            }
        });
        let grant = grant(&[&address.to_string()], &["127.0.0.1"]);
        let result = house(&[&[]]).send(&request("POST", &format!("http://{address}/")), &grant).await;
        assert!(matches!(result, Err(SendError::Lost(_) | SendError::BadAnswer(_))), "{result:?}");
    }
}

#[tokio::test]
async fn nothing_sent_is_unreachable_and_opens_the_circuit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let grant = grant(&[&address.to_string()], &["127.0.0.1"]);
    let house = house(&[&[]]);
    let request = request("POST", &format!("http://{address}/"));
    for expected in ["cannot be reached", "cannot be reached", "circuit"] {
        let result = house.send(&request, &grant).await;
        match result {
            Err(SendError::Unreachable(reason)) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    // Another tenant's way is still open.
    let other = Grant { tenant: TenantId::new("other").expect("an id"), ..grant };
    match house.send(&request, &other).await {
        Err(SendError::Unreachable(reason)) => assert!(!reason.contains("circuit"), "{reason}"),
        result => panic!("{result:?}"),
    }
    assert_eq!(house.reports.0.lock().len(), 4);
}

#[tokio::test]
async fn the_next_address_is_tried_when_nothing_was_sent() {
    let (address, _) = serve(ok("{}")).await;
    let house = house(&[&["127.0.0.2", "127.0.0.1"]]);
    let grant = grant(&[&format!("shop.test:{}", address.port())], &["127.0.0.0/8"]);
    house
        .send(&request("POST", &format!("http://shop.test:{}/", address.port())), &grant)
        .await
        .expect("an answer");
    let statuses: Vec<_> = house.reports.0.lock().iter().map(|report| report.status).collect();
    assert_eq!(statuses, [None, Some(200)]);
}

#[tokio::test]
async fn an_abandoned_request_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let house = house(&[&[]]);
    let grant = grant(&[&address.to_string()], &["127.0.0.1"]);
    let request = request("POST", &format!("http://{address}/"));
    tokio::select! {
        result = house.send(&request, &grant) => panic!("{result:?}"),
        accepted = listener.accept() => {
            accepted.expect("a connection");
        }
    }
    assert!(house.only_report().reason.is_some_and(|reason| reason.contains("given up")));
}

async fn serve_tls() -> SocketAddr {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("fixtures/server.pem"))
        .collect::<Result<Vec<_>, _>>()
        .expect("the fixture is a certificate");
    let key =
        PrivateKeyDer::from_pem_slice(include_bytes!("fixtures/server.key")).expect("the fixture is a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("default versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a server configuration");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_head(&mut stream).await;
            write_all_ignoring_loss(&mut stream, &ok("{}")).await;
        }
    });
    address
}

#[tokio::test]
async fn tls_names_are_checked_before_anything_is_sent() {
    let address = serve_tls().await;
    let (plain, _) = serve(ok("{}")).await;
    let house = house(&[&["127.0.0.1"]]);
    let grant = grant(
        &[
            &format!("shop.test:{}", address.port()),
            &format!("liar.test:{}", address.port()),
            &format!("shop.test:{}", plain.port()),
        ],
        &["127.0.0.1"],
    );
    let uri = |host: &str, port: u16| format!("https://{host}:{port}/");
    let fine =
        house.send(&request("POST", &uri("shop.test", address.port())), &grant).await.expect("an answer");
    assert_eq!(fine.status, 200);
    for (host, port) in [("liar.test", address.port()), ("shop.test", plain.port())] {
        let result = house.send(&request("POST", &uri(host, port)), &grant).await;
        assert!(matches!(result, Err(SendError::Unreachable(_))), "{host}:{port} {result:?}");
        assert_eq!(house.reports.0.lock().last().map(|report| report.bytes_sent), Some(0));
    }
}

#[tokio::test]
async fn a_right_that_is_withdrawn_while_connecting_sends_nothing() {
    let (address, heads) = serve("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let house = house(&[&["127.0.0.1"]]);
    let uri = format!("http://shop.test:{}/x", address.port());
    let grant = grant(&[&format!("shop.test:{}", address.port())], &["127.0.0.1/32"]);
    for _ in 0..5 {
        let sent = house.door.send_while(&request("POST", &uri), &grant, None, quick(), &|_, _| false).await;
        assert!(matches!(sent, Err(SendError::Unreachable(_))), "{sent:?}");
    }
    assert_eq!(house.resolver.asked.load(Ordering::SeqCst), 5, "it was found and reached each time");
    assert!(house.reports.0.lock().iter().all(|report| report.bytes_sent == 0), "not a byte left");
    // A target that answered nothing because it was asked nothing is not a broken one.
    assert!(house.send(&request("POST", &uri), &grant).await.is_ok());
    assert_eq!(heads.lock().iter().filter(|head| !head.is_empty()).count(), 1);
}
