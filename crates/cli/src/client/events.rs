//! Server-sent events, read as they come.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::exit::{Exit, Failure};

/// Longest event that is read, in bytes.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    /// `id`: the sequence number in the history.
    pub(crate) id: Option<u64>,
    /// `event`: the kind.
    pub(crate) kind: String,
    /// `data`
    pub(crate) data: String,
}

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, buffer: Vec::new() }
    }

    /// The next event; none when the server closed the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = take_event(&mut self.buffer) {
                return Ok(Some(event));
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return Err(Failure::internal("an event of the server is longer than 4 MiB"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let lost = format!("the stream of events broke: {error}");
                    return Err(Failure::new(Exit::Unreachable, lost).code("OH-5030"));
                }
            }
        }
    }
}

/// Takes the first whole event out of the buffer; comments (heartbeats) are passed over.
fn take_event(buffer: &mut Vec<u8>) -> Option<Event> {
    loop {
        let text = buffer.as_slice();
        let end = (0..text.len()).find_map(|at| {
            let rest = &text[at..];
            if rest.starts_with(b"\n\n") {
                Some((at, at + 2))
            } else if rest.starts_with(b"\r\n\r\n") {
                Some((at, at + 4))
            } else {
                None
            }
        })?;
        let block: Vec<u8> = buffer.drain(..end.1).take(end.0).collect();
        let event = read_event(&String::from_utf8_lossy(&block));
        if !event.kind.is_empty() || !event.data.is_empty() {
            return Some(event);
        }
    }
}

fn read_event(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => event.id = value.parse().ok(),
            "event" => value.clone_into(&mut event.kind),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_whole_and_in_order() {
        let mut buffer =
            b": heartbeat\n\nid: 4\nevent: judged\ndata: {\"a\":\ndata: 1}\n\nid: 5\nevent: e".to_vec();
        let first = take_event(&mut buffer);
        assert_eq!(first, Some(Event { id: Some(4), kind: "judged".into(), data: "{\"a\":\n1}".into() }));
        assert_eq!(take_event(&mut buffer), None);
        buffer.extend_from_slice(b"nd\r\n\r\n");
        assert_eq!(take_event(&mut buffer).map(|e| e.kind), Some("end".to_owned()));
        assert!(buffer.is_empty());
    }
}
