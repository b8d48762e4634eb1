//! The talk in HTTP: requests, responses, and the upgrade that ends it.

use std::borrow::Cow;

use super::{Stage, Streams};
use crate::{
    event::{Body, Joined, LooksLike, WsOpen},
    http::{
        body::Body as HttpBody,
        head::{Collector, Headers, Kind, StartLine},
        secrets, upgrade,
    },
    session::{exchange::Pending, meta::Env},
    ws::{extension::Deflate, receiver::Sender},
};

impl Streams {
    pub(super) fn head(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        let Stage::Head(collector) = &mut self.stages[from as usize] else { return 0 };
        match collector.feed(bytes) {
            Ok(None) => bytes.len(),
            Ok(Some((head, used))) => {
                match head.start {
                    StartLine::Request(method, path) => {
                        self.request(&method, &path, &head.headers, env);
                    }
                    StartLine::Response(status) => {
                        let frames_at = self.offsets[from as usize] - (bytes.len() - used) as u64;
                        self.response(status, &head.headers, frames_at, env);
                    }
                }
                used
            }
            Err(_) => self.unknown(from, bytes, env),
        }
    }

    fn request(&mut self, method: &str, path: &str, headers: &Headers, env: &mut Env<'_>) {
        let shown = shown_headers(headers, env.tell.options.show_secrets);
        let shown_path = shown_target(path, env.tell.options.show_secrets);
        let body = Body::HttpRequest { method, path: &shown_path, headers: &shown };
        self.meta.emit(Some(Sender::Client), body, &mut env.tell);
        let upgrade = upgrade::is_upgrade(headers).then(|| upgrade::Request::new(path, headers));
        self.stages[Sender::Client as usize] = match &upgrade {
            Some(request) => {
                for (rule, detail) in request.check(method, headers) {
                    self.meta.violation(Sender::Client, rule, &detail, &mut env.tell);
                }
                Stage::Upgrading(Vec::new())
            }
            None => {
                self.meta.not_websocket(LooksLike::Http, None, &mut env.tell);
                stage_after_head(HttpBody::of_request(headers), Kind::Request)
            }
        };
        self.exchange.request(Pending { is_head: method == "HEAD", upgrade, sent: env.tell.time });
    }

    /// Takes a response; frames would begin at this offset.
    fn response(&mut self, status: u16, headers: &Headers, frames_at: u64, env: &mut Env<'_>) {
        let shown = shown_headers(headers, env.tell.options.show_secrets);
        let body = Body::HttpResponse { status, headers: &shown };
        self.meta.emit(Some(Sender::Server), body, &mut env.tell);
        let request = self.exchange.answered(status);
        let is_head = request.as_ref().is_some_and(|request| request.is_head);
        let body = HttpBody::of_response(is_head, status, headers);
        let asked = request.as_ref().and_then(|request| request.upgrade.as_ref());
        if status == 101 && (asked.is_some() || upgrade::is_upgrade(headers)) {
            let sent = request.as_ref().map(|request| request.sent);
            let deflate = self.upgrade(asked, sent, headers, env);
            return self.enter_frames(deflate, frames_at, env);
        }
        if status == 101 {
            return self.give_up(Sender::Server, LooksLike::Unknown, None, env);
        }
        self.stages[Sender::Server as usize] = stage_after_head(body, Kind::Response);
        if asked.is_some() {
            self.refused(env);
        }
    }

    /// The server did not agree to the upgrade: what the client sent since is HTTP.
    fn refused(&mut self, env: &mut Env<'_>) {
        let client = &mut self.stages[Sender::Client as usize];
        if let Stage::Upgrading(queue) = client {
            let queue = std::mem::take(queue);
            *client = Stage::Head(Collector::new(Kind::Request));
            self.data_again(Sender::Client, &queue, env);
        }
    }

    /// The server agreed: tells so, and gives the parameters of compression.
    fn upgrade(
        &mut self,
        request: Option<&upgrade::Request>,
        sent: Option<u64>,
        headers: &Headers,
        env: &mut Env<'_>,
    ) -> Option<Deflate> {
        let (agreement, broken) = upgrade::agree(request, headers);
        for (rule, detail) in broken {
            self.meta.violation(Sender::Server, rule, &detail, &mut env.tell);
        }
        let path =
            request.map(|request| shown_target(&request.path, env.tell.options.show_secrets));
        let open = WsOpen {
            path: path.as_deref(),
            host: request.and_then(|request| request.host.as_deref()),
            subprotocol: agreement.subprotocol.as_deref(),
            extensions: agreement.extensions.as_deref(),
            accept_valid: agreement.accept_valid,
            joined: Joined::Handshake,
            handshake_us: sent.map(|sent| env.tell.time.saturating_sub(sent) / 1000),
        };
        // Frames may have told already that the upgrade succeeded.
        if !self.meta.is_open {
            self.meta.open(open, &mut env.tell);
        }
        agreement.deflate
    }
}

fn stage_after_head(body: HttpBody, kind: Kind) -> Stage {
    if body.is_done() { Stage::Head(Collector::new(kind)) } else { Stage::Body(body) }
}

fn shown_headers(headers: &Headers, show_secrets: bool) -> Vec<(&str, Cow<'_, str>)> {
    let shown = |(name, value)| match show_secrets {
        true => (name, Cow::Borrowed(value)),
        false => (name, secrets::header(name, value)),
    };
    headers.0.iter().map(|(name, value)| shown((name.as_str(), value.as_str()))).collect()
}

fn shown_target(path: &str, show_secrets: bool) -> Cow<'_, str> {
    if show_secrets { Cow::Borrowed(path) } else { secrets::target(path) }
}
