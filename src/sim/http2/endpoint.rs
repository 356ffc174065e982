//! One connection's side of HTTP/2 without its bytes' way in and out: what was read goes in, requests and bytes to write come out.
//!
//! **Invariants**
//! - The client is taken at its word and no further: frames out of place, windows overdrawn and broken header blocks end the connection
//!   with the code that RFC 9113 names.
//! - A stream counts against the limit until its answer is on its way: a client that could not have seen it yet is over the limit.
//! - A lower limit binds once the client has acknowledged it, a higher one as soon as it is on its way.
//! - Nothing is sent beyond the client's windows.

use std::collections::{HashMap, VecDeque};

use super::frame::{self, ErrorCode, HEAD, Head, MAX_FRAME, PREFACE, Violation, flag, kind, setting, violation};
use super::hpack::{self, Decoder, Field};
use super::message::{self, Request, Response};

/// What every window begins with (RFC 9113, section 6.9.2).
const WINDOW: i64 = 65_535;
/// The connection's window is opened again after so many bytes.
const REPLENISH: i64 = 16_384;
/// A header block of more bytes is an attack.
const BLOCK_LIMIT: usize = 65_536;
/// So many bytes of a body are kept: more than any service takes, and fewer than a stream's window.
const BODY_LIMIT: usize = 16_384;

/// What to do about a stream too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Excess {
    /// `REFUSED_STREAM`: the request was not processed.
    Refuse,
    /// GOAWAY `PROTOCOL_ERROR` with this text.
    GoAway(&'static str),
}

/// What a server says of itself at first.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Settings {
    /// Streams at once.
    pub(in crate::sim) streams: u32,
    /// What a list of headers may measure (section 6.5.2), in bytes.
    pub(in crate::sim) header_list: u32,
    pub(in crate::sim) excess: Excess,
}

/// Something that happened to a stream.
#[derive(Debug)]
pub(super) enum Event {
    Request(Request),
    /// The client takes it back.
    Cancelled(u32),
    /// The client was told `REFUSED_STREAM`.
    Refused(u32),
    Ping,
}

struct Stream {
    /// Until it was handed out.
    request: Option<Request>,
    /// Whether the client has said all of it.
    whole: bool,
    receive_window: i64,
    send_window: i64,
    /// What of the answer found no window yet.
    unsent: Option<Vec<u8>>,
}

/// A header block that is not complete.
struct Partial {
    stream: u32,
    end_stream: bool,
    block: Vec<u8>,
}

/// One connection.
pub(super) struct Endpoint {
    settings: Settings,
    input: Vec<u8>,
    read: usize,
    /// Bytes to be written.
    pub(super) out: Vec<u8>,
    greeted: bool,
    decoder: Decoder,
    partial: Option<Partial>,
    streams: HashMap<u32, Stream>,
    highest: u32,
    /// Streams above it are ignored: the client was told so.
    last: Option<u32>,
    limit: u32,
    raised: Option<u32>,
    /// For each of our SETTINGS that is not acknowledged, the limit it set.
    unacknowledged: VecDeque<u32>,
    /// Answered, but the answer is not on its way.
    leaving: Vec<u32>,
    receive_window: i64,
    consumed: i64,
    /// No window is opened as long as it is set.
    pub(super) starving: bool,
    send_window: i64,
    initial_send_window: i64,
}

impl Endpoint {
    pub(super) fn new(settings: Settings) -> Self {
        let mut endpoint = Self {
            settings,
            input: Vec::new(),
            read: 0,
            out: Vec::new(),
            greeted: false,
            decoder: Decoder::new(),
            partial: None,
            streams: HashMap::new(),
            highest: 0,
            last: None,
            limit: settings.streams,
            raised: None,
            unacknowledged: VecDeque::from([settings.streams]),
            leaving: Vec::new(),
            receive_window: WINDOW,
            consumed: 0,
            starving: false,
            send_window: WINDOW,
            initial_send_window: WINDOW,
        };
        endpoint.say(&[
            (setting::HEADER_TABLE_SIZE, 4096),
            (setting::MAX_CONCURRENT_STREAMS, settings.streams),
            (setting::INITIAL_WINDOW_SIZE, 65_535),
            (setting::MAX_FRAME_SIZE, 16_384),
            (setting::MAX_HEADER_LIST_SIZE, settings.header_list),
        ]);
        endpoint
    }

    fn say(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::with_capacity(settings.len() * 6);
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frame::write(&mut self.out, kind::SETTINGS, 0, 0, &payload);
    }

    /// Takes what was read from the client.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.read);
        self.read = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The next thing that happened; `None` until more was read.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Violation> {
        if !self.greeted && !self.greet()? {
            return Ok(None);
        }
        while let Some((head, payload)) = self.frame()? {
            if let Some(event) = self.receive(head, &payload)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn greet(&mut self) -> Result<bool, Violation> {
        let said = self.input.len().min(PREFACE.len());
        if self.input[..said] != PREFACE[..said] {
            return Err(violation(ErrorCode::ProtocolError, "that is no HTTP/2"));
        }
        self.greeted = said == PREFACE.len();
        if self.greeted {
            self.read = said;
        }
        Ok(self.greeted)
    }

    fn frame(&mut self) -> Result<Option<(Head, Vec<u8>)>, Violation> {
        let rest = &self.input[self.read..];
        let Some(head) = rest.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let head = Head::read(*head);
        if head.length > MAX_FRAME {
            return Err(violation(ErrorCode::FrameSizeError, "a frame of more than 16 KiB"));
        }
        let Some(payload) = rest.get(HEAD..HEAD + head.length) else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.read += HEAD + head.length;
        Ok(Some((head, payload)))
    }

    fn receive(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Violation> {
        if self.partial.is_some() && head.kind != kind::CONTINUATION {
            return Err(violation(ErrorCode::ProtocolError, "a frame in the middle of a header block"));
        }
        let of_stream = matches!(head.kind, kind::DATA..=kind::RST_STREAM | kind::CONTINUATION);
        let of_connection = matches!(head.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        if (of_stream && head.stream == 0) || (of_connection && head.stream != 0) {
            return Err(violation(ErrorCode::ProtocolError, "a frame on the wrong stream"));
        }
        match head.kind {
            kind::DATA => self.data(head, payload),
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            kind::RST_STREAM => self.rst_stream(head, payload),
            kind::SETTINGS => self.peers_settings(head, payload).map(|()| None),
            kind::PING => self.ping(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload).map(|()| None),
            kind::PRIORITY if payload.len() != 5 => Err(violation(ErrorCode::FrameSizeError, "a PRIORITY of another size")),
            kind::PUSH_PROMISE => Err(violation(ErrorCode::ProtocolError, "a client promises nothing")),
            // PRIORITY means nothing, a GOAWAY of the client's nothing to a server, and unknown frames nothing at all.
            _ => Ok(None),
        }
    }

    fn headers(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Violation> {
        let mut block = frame::unpadded(head, payload)?;
        if head.has(flag::PRIORITY) {
            block = block.get(5..).ok_or_else(|| violation(ErrorCode::FrameSizeError, "HEADERS that are too short"))?;
        }
        let partial = Partial { stream: head.stream, end_stream: head.has(flag::END_STREAM), block: block.to_vec() };
        self.block(partial, head.has(flag::END_HEADERS))
    }

    fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Violation> {
        let partial = self.partial.take().filter(|partial| partial.stream == head.stream);
        let mut partial = partial.ok_or_else(|| violation(ErrorCode::ProtocolError, "a CONTINUATION of nothing"))?;
        partial.block.extend_from_slice(payload);
        self.block(partial, head.has(flag::END_HEADERS))
    }

    fn block(&mut self, partial: Partial, complete: bool) -> Result<Option<Event>, Violation> {
        if partial.block.len() > BLOCK_LIMIT {
            return Err(violation(ErrorCode::EnhanceYourCalm, "a header block without end"));
        }
        if !complete {
            self.partial = Some(partial);
            return Ok(None);
        }
        // Decoded even where it is ignored: the table has to stay the client's.
        let fields = self.decoder.decode(&partial.block)?;
        if partial.stream <= self.highest {
            return self.trailers(&partial, &fields);
        }
        if partial.stream.is_multiple_of(2) {
            return Err(violation(ErrorCode::ProtocolError, "a client's streams have odd numbers"));
        }
        self.highest = partial.stream;
        if self.last.is_some_and(|last| partial.stream > last) {
            return Ok(None);
        }
        self.open(&partial, fields)
    }

    fn open(&mut self, partial: &Partial, fields: Vec<Field>) -> Result<Option<Event>, Violation> {
        let stream = partial.stream;
        if self.active() >= self.limit {
            return match self.settings.excess {
                Excess::Refuse => {
                    self.rst(stream, ErrorCode::RefusedStream);
                    Ok(Some(Event::Refused(stream)))
                }
                Excess::GoAway(why) => {
                    // It was not processed, and the client is told so.
                    self.highest = stream - 2;
                    Err(violation(ErrorCode::ProtocolError, why))
                }
            };
        }
        let Some(request) = message::request(stream, fields) else {
            self.rst(stream, ErrorCode::ProtocolError);
            return Ok(None);
        };
        let opened = Stream {
            request: Some(request),
            whole: partial.end_stream,
            receive_window: WINDOW,
            send_window: self.initial_send_window,
            unsent: None,
        };
        self.streams.insert(stream, opened);
        Ok(if partial.end_stream { self.hand_out(stream) } else { None })
    }

    /// Streams that count against the limit.
    fn active(&self) -> u32 {
        u32::try_from(self.streams.len() + self.leaving.len()).unwrap_or(u32::MAX)
    }

    fn trailers(&mut self, partial: &Partial, fields: &[Field]) -> Result<Option<Event>, Violation> {
        let Some(stream) = self.streams.get_mut(&partial.stream) else {
            // Answered already, or never taken: what was under way is not held against the client.
            return Ok(None);
        };
        if stream.whole {
            return Err(violation(ErrorCode::StreamClosed, "HEADERS after the end of a stream"));
        }
        if !partial.end_stream || !message::is_trailer(fields) {
            self.reset(partial.stream, ErrorCode::ProtocolError);
            return Ok(Some(Event::Cancelled(partial.stream)));
        }
        stream.whole = true;
        Ok(self.hand_out(partial.stream))
    }

    fn data(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Violation> {
        if head.stream > self.highest {
            return Err(violation(ErrorCode::ProtocolError, "DATA on a stream that nobody opened"));
        }
        let counted = i64::try_from(payload.len()).expect("at most 16 KiB");
        self.receive_window -= counted;
        if self.receive_window < 0 {
            return Err(violation(ErrorCode::FlowControlError, "more data than the connection's window"));
        }
        self.consumed += counted;
        self.replenish();
        let content = frame::unpadded(head, payload)?;
        let Some(stream) = self.streams.get_mut(&head.stream) else {
            return Ok(None);
        };
        if stream.whole {
            return Err(violation(ErrorCode::StreamClosed, "DATA after the end of a stream"));
        }
        stream.receive_window -= counted;
        if stream.receive_window < 0 {
            return Err(violation(ErrorCode::FlowControlError, "more data than the stream's window"));
        }
        stream.whole = head.has(flag::END_STREAM);
        let Some(request) = stream.request.as_mut() else {
            return Ok(None);
        };
        let room = BODY_LIMIT.saturating_sub(request.body.len());
        request.body.extend_from_slice(&content[..content.len().min(room)]);
        // What is far too long is answered before its end.
        let enough = stream.whole || request.body.len() == BODY_LIMIT;
        Ok(if enough { self.hand_out(head.stream) } else { None })
    }

    /// Opens the connection's window again for what was taken out of it.
    pub(super) fn replenish(&mut self) {
        if self.starving || self.consumed < REPLENISH {
            return;
        }
        let increment = u32::try_from(self.consumed).expect("within a window");
        frame::write(&mut self.out, kind::WINDOW_UPDATE, 0, 0, &increment.to_be_bytes());
        self.receive_window += self.consumed;
        self.consumed = 0;
    }

    fn hand_out(&mut self, stream: u32) -> Option<Event> {
        let known = self.streams.get_mut(&stream)?;
        let request = known.request.take()?;
        if known.whole && request.body.len() < BODY_LIMIT && !message::has_its_length(&request) {
            self.reset(stream, ErrorCode::ProtocolError);
            return None;
        }
        Some(Event::Request(request))
    }

    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Violation> {
        if payload.len() != 4 {
            return Err(violation(ErrorCode::FrameSizeError, "a RST_STREAM of another size"));
        }
        if head.stream > self.highest {
            return Err(violation(ErrorCode::ProtocolError, "RST_STREAM of a stream that nobody opened"));
        }
        self.leaving.retain(|leaving| *leaving != head.stream);
        Ok(self.streams.remove(&head.stream).map(|_| Event::Cancelled(head.stream)))
    }

    fn peers_settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Violation> {
        if head.has(flag::ACK) {
            // One that is still on its way may have been obeyed already, if it allows more.
            let on_the_way = self.unacknowledged.iter().skip(1).copied().max().unwrap_or(0);
            if let Some(limit) = self.unacknowledged.pop_front() {
                self.limit = limit.max(on_the_way);
            }
            return Ok(());
        }
        if !payload.len().is_multiple_of(6) {
            return Err(violation(ErrorCode::FrameSizeError, "SETTINGS of another size"));
        }
        for entry in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([entry[0], entry[1]]);
            self.peers_setting(name, frame::number(&entry[2..])?)?;
        }
        frame::write(&mut self.out, kind::SETTINGS, flag::ACK, 0, &[]);
        self.resume();
        Ok(())
    }

    fn peers_setting(&mut self, name: u16, value: u32) -> Result<(), Violation> {
        match name {
            setting::ENABLE_PUSH if value > 1 => Err(violation(ErrorCode::ProtocolError, "ENABLE_PUSH is 0 or 1")),
            setting::MAX_FRAME_SIZE if !(16_384..1 << 24).contains(&value) => {
                Err(violation(ErrorCode::ProtocolError, "no size for frames"))
            }
            setting::INITIAL_WINDOW_SIZE if value > 0x7fff_ffff => {
                Err(violation(ErrorCode::FlowControlError, "no size for a window"))
            }
            setting::INITIAL_WINDOW_SIZE => {
                let by = i64::from(value) - self.initial_send_window;
                self.initial_send_window = i64::from(value);
                for stream in self.streams.values_mut() {
                    stream.send_window += by;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Violation> {
        if payload.len() != 8 {
            return Err(violation(ErrorCode::FrameSizeError, "a PING of another size"));
        }
        if head.has(flag::ACK) {
            return Ok(None);
        }
        frame::write(&mut self.out, kind::PING, flag::ACK, 0, payload);
        Ok(Some(Event::Ping))
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Violation> {
        if payload.len() != 4 {
            return Err(violation(ErrorCode::FrameSizeError, "a WINDOW_UPDATE of another size"));
        }
        let increment = i64::from(frame::number(payload)? & 0x7fff_ffff);
        let window = if head.stream == 0 {
            &mut self.send_window
        } else if let Some(stream) = self.streams.get_mut(&head.stream) {
            &mut stream.send_window
        } else {
            return Ok(());
        };
        *window += increment;
        if increment == 0 {
            return Err(violation(ErrorCode::ProtocolError, "a window opened by nothing"));
        }
        if *window > 0x7fff_ffff {
            return Err(violation(ErrorCode::FlowControlError, "a window without end"));
        }
        self.resume();
        Ok(())
    }

    /// Answers a request. One that the client took back meanwhile is not answered.
    pub(super) fn respond(&mut self, stream: u32, response: Response) {
        let Some(known) = self.streams.get_mut(&stream) else {
            return;
        };
        let mut block = Vec::with_capacity(128);
        hpack::encode_status(response.status, &mut block);
        for (name, value) in &response.headers {
            hpack::encode(name, value, &mut block);
        }
        let empty = response.body.is_empty();
        let flags = if empty { flag::END_HEADERS | flag::END_STREAM } else { flag::END_HEADERS };
        frame::write(&mut self.out, kind::HEADERS, flags, stream, &block);
        if empty {
            self.leave(stream);
        } else {
            known.unsent = Some(response.body);
            self.push(stream);
        }
    }

    /// Sends what found no window before.
    fn resume(&mut self) {
        let waiting: Vec<_> =
            self.streams.iter().filter(|(_, stream)| stream.unsent.is_some()).map(|(number, _)| *number).collect();
        for stream in waiting {
            self.push(stream);
        }
    }

    fn push(&mut self, stream: u32) {
        let Some(known) = self.streams.get_mut(&stream) else {
            return;
        };
        while let Some(body) = known.unsent.take() {
            let window = usize::try_from(known.send_window.min(self.send_window)).unwrap_or(0);
            let size = body.len().min(window).min(MAX_FRAME);
            if size == 0 {
                known.unsent = Some(body);
                return;
            }
            let (now, later) = body.split_at(size);
            let flags = if later.is_empty() { flag::END_STREAM } else { 0 };
            frame::write(&mut self.out, kind::DATA, flags, stream, now);
            let sent = i64::try_from(size).expect("at most 16 KiB");
            known.send_window -= sent;
            self.send_window -= sent;
            known.unsent = Some(later.to_vec()).filter(|later| !later.is_empty());
        }
        self.leave(stream);
    }

    /// The answer is written: what is left of the request is not wanted any more.
    fn leave(&mut self, stream: u32) {
        if self.streams.remove(&stream).is_some_and(|known| !known.whole) {
            self.rst(stream, ErrorCode::NoError);
        }
        self.leaving.push(stream);
    }

    fn rst(&mut self, stream: u32, code: ErrorCode) {
        frame::write(&mut self.out, kind::RST_STREAM, 0, stream, &code.number().to_be_bytes());
    }

    /// Ends a stream without an answer.
    pub(super) fn reset(&mut self, stream: u32, code: ErrorCode) {
        if self.streams.remove(&stream).is_some() {
            self.rst(stream, code);
            self.leaving.push(stream);
        }
    }

    /// Changes how many streams there may be.
    pub(super) fn set_streams(&mut self, limit: u32) {
        self.say(&[(setting::MAX_CONCURRENT_STREAMS, limit)]);
        self.unacknowledged.push_back(limit);
        if limit > self.limit {
            self.raised = Some(limit);
        }
    }

    /// Tells the client to go. Streams above `last` are forgotten: they were not processed.
    pub(super) fn go_away(&mut self, last: u32, code: ErrorCode, debug: &str) {
        let last = last.min(self.last.unwrap_or(u32::MAX));
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend_from_slice(&code.number().to_be_bytes());
        payload.extend_from_slice(debug.as_bytes());
        payload.truncate(MAX_FRAME);
        frame::write(&mut self.out, kind::GOAWAY, 0, 0, &payload);
        self.last = Some(last);
        self.streams.retain(|stream, _| *stream <= last);
    }

    /// The highest stream that the client has opened.
    pub(super) fn highest(&self) -> u32 {
        self.highest
    }

    /// Whether the stream still waits for an answer.
    pub(super) fn awaits(&self, stream: u32) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Whether the client was told to go and nothing is left to answer.
    pub(super) fn is_done(&self) -> bool {
        self.last.is_some() && self.streams.is_empty()
    }

    /// All of `out` has been written.
    pub(super) fn written(&mut self) {
        self.out.clear();
        self.leaving.clear();
        if let Some(limit) = self.raised.take() {
            self.limit = limit;
        }
    }
}
