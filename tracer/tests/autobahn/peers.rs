//! Both peers of a case over a real TCP connection: each writes its steps, and reads the other's
//! to the last byte before it goes on.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    cases::{Case, Peer},
    netns::Namespace,
};

/// Long enough for any machine, an emulated one on a busy host included; only a hang takes longer.
pub(crate) const HANG: Duration = Duration::from_mins(5);

/// Plays the cases one after the other; the client's `ip:port` in each.
pub(crate) fn play(namespace: &Namespace, cases: &[Case]) -> Vec<String> {
    namespace.run(|| {
        let listener = TcpListener::bind("127.0.0.1:7272").expect("the port is free");
        cases.iter().map(|case| connection(&listener, case)).collect()
    })
}

/// Should one peer fail, its end of the connection closes, and so the other one fails too.
fn connection(listener: &TcpListener, case: &Case) -> String {
    let address = listener.local_addr().expect("it is bound");
    let client = TcpStream::connect(address).expect("there is a listener");
    let (server, address) = listener.accept().expect("there is a client");
    thread::scope(|scope| {
        scope.spawn(|| drop(take_part(server, Peer::Server, case)));
        let mut client = take_part(client, Peer::Client, case);
        // The server closes first (RFC 6455 section 7.1.1).
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).expect("the server closes");
        assert!(rest.is_empty(), "{}: {} bytes that nobody wrote", case.id, rest.len());
    });
    address.to_string()
}

/// Goes through the steps from one side.
fn take_part(mut stream: TcpStream, us: Peer, case: &Case) -> TcpStream {
    stream.set_nodelay(true).expect("delay can be switched off");
    stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
    stream.set_write_timeout(Some(HANG)).expect("a timeout can be set");
    for step in &case.steps {
        if step.by == us {
            step.writes
                .iter()
                .for_each(|bytes| stream.write_all(bytes).expect("a peer that reads"));
        } else {
            let expected = step.writes.concat();
            let mut read = vec![0; expected.len()];
            stream.read_exact(&mut read).unwrap_or_else(|e| panic!("{}: {e}", case.id));
            assert!(read == expected, "{}: the peer wrote something else", case.id);
        }
    }
    stream
}
