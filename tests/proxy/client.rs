//! A client that keeps its connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A connection to a proxy; opened again when the proxy closed it.
pub struct Client {
    port: u16,
    stream: Option<BufReader<TcpStream>>,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: String,
}

impl Client {
    pub fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Sends a request with a body of `body` bytes.
    pub fn ask(&mut self, method: &str, target: &str, headers: &[&str], body: usize) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: Example.org:8448\r\n");
        for header in headers {
            request += &format!("{header}\r\n");
        }
        if body > 0 || !matches!(method, "GET" | "HEAD" | "OPTIONS" | "DELETE") {
            request += &format!("Content-Length: {body}\r\n");
        }
        request += "\r\n";
        request += &"x".repeat(body);
        let kept = self.stream.is_some();
        match self.exchange(&request) {
            Some(answer) => answer,
            // A connection that the proxy has given up meanwhile.
            None if kept => self.exchange(&request).unwrap_or_default(),
            None => Answer::default(),
        }
    }

    /// Who answered: an instance's name, or the status.
    pub fn who(&mut self, method: &str, target: &str, headers: &[&str]) -> String {
        let answer = self.ask(method, target, headers, 0);
        let name = answer.headers.iter().find_map(|header| header.strip_prefix("served-by: "));
        name.map_or_else(|| answer.status.to_string(), ToOwned::to_owned)
    }

    fn exchange(&mut self, request: &str) -> Option<Answer> {
        let mut stream = self.stream.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.set_nodelay(true).unwrap();
            BufReader::new(stream)
        });
        // A body that is too long is refused before it is read.
        stream.get_mut().write_all(request.as_bytes()).ok();
        let mut line = || -> Option<String> {
            let mut line = String::new();
            (stream.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
        };
        let status = line()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            match line()? {
                header if header.is_empty() => break,
                header => headers.push(match header.split_once(':') {
                    Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
                    None => header,
                }),
            }
        }
        let value = |name: &str| headers.iter().find_map(|header| header.strip_prefix(&format!("{name}: ")));
        let length = value("content-length").filter(|_| !request.starts_with("HEAD "));
        let length = length.map_or(0, |value| value.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        if value("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Some(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), headers })
    }
}

impl Answer {
    /// Value of a line of the echo, whatever case the proxy gave the name.
    pub fn field(&self, key: &str) -> Option<&str> {
        let pairs = self.body.lines().filter_map(|line| line.split_once(": "));
        let mut found = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(key));
        found.next().map(|(_, value)| value)
    }
}
