//! A wire between synprov and a host's sshd that can be cut, held and slowed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the host.
    Up,
    /// From the host.
    Down,
}

/// What happens to the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Both ends see the connection closed.
    Close,
    /// Nothing comes through any more, and nobody is told.
    Hold,
}

/// After so many bytes one way.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub way: Way,
    pub bytes: u64,
    pub harm: Harm,
}

#[derive(Default)]
struct State {
    cut: Mutex<Option<Cut>>,
    up: AtomicU64,
    down: AtomicU64,
    held: AtomicBool,
    happened: AtomicBool,
    /// Milliseconds that each piece is late.
    delay: AtomicU64,
    sockets: Mutex<Vec<TcpStream>>,
}

/// See the module. Its threads end with the process.
pub struct Wire {
    pub port: u16,
    state: Arc<State>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wire {
    /// To this address.
    pub fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let Ok(there) = TcpStream::connect_timeout(&address, Duration::from_secs(5)) else {
                    continue;
                };
                let ends = [here.try_clone(), here.try_clone(), there.try_clone(), there.try_clone()];
                let [Ok(one), Ok(two), Ok(three), Ok(four)] = ends else { continue };
                lock(&shared.sockets).extend([one, three]);
                for (from, to, way) in [(here, four, Way::Up), (there, two, Way::Down)] {
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || shared.carry(from, to, way));
                }
            }
        });
        Self { port, state }
    }

    /// Counts from 0, and does this once so many bytes went through.
    pub fn arm(&self, cut: Option<Cut>) {
        self.state.up.store(0, Ordering::SeqCst);
        self.state.down.store(0, Ordering::SeqCst);
        self.state.happened.store(false, Ordering::SeqCst);
        *lock(&self.state.cut) = cut;
    }

    /// Each piece comes so much later.
    pub fn slow(&self, delay: Duration) {
        self.state.delay.store(u64::try_from(delay.as_millis()).unwrap_or(0), Ordering::SeqCst);
    }

    /// Whether what it was armed with has happened.
    pub fn happened(&self) -> bool {
        self.state.happened.load(Ordering::SeqCst)
    }

    /// Bytes to and from the host since it was armed.
    pub fn carried(&self) -> (u64, u64) {
        (self.state.up.load(Ordering::SeqCst), self.state.down.load(Ordering::SeqCst))
    }

    /// A good wire again; what was held is closed.
    pub fn mend(&self) {
        *lock(&self.state.cut) = None;
        self.slow(Duration::ZERO);
        if self.state.held.swap(false, Ordering::SeqCst) {
            self.state.close();
        }
    }
}

impl State {
    fn close(&self) {
        for socket in lock(&self.sockets).drain(..) {
            // One that is closed already is what is wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, way: Way) {
        let counter = if way == Way::Up { &self.up } else { &self.down };
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            std::thread::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst)));
            while self.held.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let cut = lock(&self.cut).filter(|cut| cut.way == way);
            let carried = counter.load(Ordering::SeqCst);
            let room = cut.map_or(u64::MAX, |cut| cut.bytes.saturating_sub(carried));
            let passes = count.min(usize::try_from(room).unwrap_or(usize::MAX));
            counter.fetch_add(passes as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..passes]).is_err() {
                break;
            }
            if passes < count {
                self.happened.store(true, Ordering::SeqCst);
                match cut.map(|cut| cut.harm) {
                    Some(Harm::Hold) => self.held.store(true, Ordering::SeqCst),
                    // Who comes anew gets through.
                    _ => {
                        *lock(&self.cut) = None;
                        self.close();
                    }
                }
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}
