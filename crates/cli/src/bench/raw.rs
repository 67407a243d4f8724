//! A connection that costs the load generator as little as it can: one request made once, and of each answer only what is
//! counted. A client that parses everything would eat what is measured.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::house::failed;
use crate::exit::Failure;

/// Bytes of an answer at the most.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Bytes that are read at once.
const READ_BYTES: usize = 8 * 1024;

/// A kept connection that sends the same request again and again.
pub(super) struct RawConnection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl RawConnection {
    /// Connects; every request will be this `POST`.
    pub(super) async fn open(
        address: SocketAddr,
        token: &str,
        path: &str,
        body: &str,
    ) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let request = format!(
            "POST /api/v1{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self { stream, request: request.into_bytes(), answer: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends the request once more; answers the status and the whole answer.
    pub(super) async fn again(&mut self) -> Result<(u16, &str), Failure> {
        self.stream.write_all(&self.request).await.map_err(failed)?;
        self.answer.clear();
        loop {
            if let Some(status) = complete(&self.answer)? {
                return Ok((status, std::str::from_utf8(&self.answer).map_err(failed)?));
            }
            self.answer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.answer).await.map_err(failed)? == 0 {
                return Err(failed("the server closed a connection in the middle of an answer"));
            }
        }
    }
}

/// The status of an answer, once all of it is there.
fn complete(answer: &[u8]) -> Result<Option<u16>, Failure> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(failed("an answer is longer than the measurement expects"));
    }
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..head]).map_err(failed)?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok());
    let (Some(status), Some(length)) = (status, length) else {
        return Err(failed("an answer has no status or no length"));
    };
    Ok((answer.len() >= head + 4 + length).then_some(status))
}

#[cfg(test)]
mod tests {
    use super::complete;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\nretry-after: 1\r\n\r\nabcde";
        for cut in 0..whole.len() {
            assert!(matches!(complete(&whole[..cut]), Ok(None)), "{cut} bytes");
        }
        assert!(matches!(complete(whole), Ok(Some(503))));
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "nothing says where it ends");
    }
}
