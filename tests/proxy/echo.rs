//! Backends that say who they are and what they were asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use synprov::topology::Topology;

/// Puts a backend in the place of each process.
pub fn serve_all(topology: &mut Topology) {
    let mut addresses: BTreeMap<String, String> = BTreeMap::new();
    for server in topology.upstreams.values_mut().flat_map(|upstream| &mut upstream.servers) {
        let name = &server.instance;
        server.address = addresses.entry(name.clone()).or_insert_with(|| backend(name)).clone();
    }
}

/// Answers every request with its own name and what it got, `KEY: VALUE` a line.
pub fn backend(name: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let name = name.to_owned();
    std::thread::spawn(move || answer(&listener, &name));
    address
}

/// Answers whoever comes, for ever.
pub fn answer(listener: &TcpListener, name: &str) {
    for (connection, stream) in listener.incoming().enumerate() {
        let (name, stream) = (name.to_owned(), stream.unwrap());
        std::thread::spawn(move || serve(&name, connection, stream));
    }
}

fn serve(name: &str, connection: usize, mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let length =
            head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let head = head.join("\n");
        let text =
            format!("served-by: {name}\nconnection: {connection}\nbody: {}\nline: {head}\n", body.len());
        let answer =
            format!("HTTP/1.1 200 OK\r\nServed-By: {name}\r\nContent-Length: {}\r\n\r\n", text.len());
        let body = if head.starts_with("HEAD ") { "" } else { &text };
        stream.write_all(format!("{answer}{body}").as_bytes()).unwrap();
    }
}
