//! Where serial ports go besides the terminal: files, pseudo terminals and listening sockets.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use vmm_plugin::api::Refusal;

use crate::cli::Serial;
use crate::console::{Client, Sink};

/// How long the user of a pseudo terminal has at the end of the run; it may be that there is none.
const LAST_READ: Duration = Duration::from_millis(300);
/// How long the kernel may take to hand on what was written to a pseudo terminal.
const HANDED_ON: Duration = Duration::from_millis(20);

/// The input side of a port.
#[derive(Debug)]
pub(crate) enum Place {
    /// Nothing comes in, or standard input, which the main loop reads itself.
    Silent,
    /// The master of a pseudo terminal. Our own handle on the other end keeps it from hanging up when its user goes.
    Pty { master: OwnedFd, slave: OwnedFd },
    /// A listening socket with at most one client: ours to read, the vCPU's thread's to write.
    Listener { listener: Listener, reader: Option<OwnedFd>, client: Client },
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    /// At this path, which goes with it.
    Unix(UnixListener, PathBuf),
    /// On this port.
    Tcp(TcpListener),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens a port's place; tells on standard error how to reach what has no fixed name.
pub(crate) fn open(port: usize, serial: &Serial) -> Result<(Place, Sink), Refusal> {
    match serial {
        Serial::Null => Ok((Place::Silent, Sink::Null)),
        Serial::Stdio => Ok((Place::Silent, Sink::Stdout)),
        Serial::File(path) => {
            let file = std::fs::File::create(path)
                .map_err(|error| Refusal(format!("Cannot create {}: {error}", path.display())))?;
            Ok((Place::Silent, Sink::File(file.into(), path.clone())))
        }
        Serial::Pty => {
            let (master, slave, name) =
                pty().map_err(|error| Refusal(format!("Cannot open a pseudo terminal: {error}")))?;
            let output = master
                .try_clone()
                .map_err(|error| Refusal(format!("Cannot share a pseudo terminal: {error}")))?;
            eprintln!("vmm: serial{port} is {name}");
            Ok((Place::Pty { master, slave }, Sink::Pty(output)))
        }
        Serial::Unix(path) => {
            let listener = listen_unix(path)
                .map_err(|error| Refusal(format!("Cannot listen at {}: {error}", path.display())))?;
            Ok(listening(Listener::Unix(listener, path.clone())))
        }
        Serial::Tcp(place) => {
            let refused = |error: io::Error| Refusal(format!("Cannot listen at {place}: {error}"));
            let listener = TcpListener::bind(place).map_err(refused)?;
            listener.set_nonblocking(true).map_err(refused)?;
            eprintln!("vmm: serial{port} listens at tcp:{}", listener.local_addr().map_err(refused)?);
            Ok(listening(Listener::Tcp(listener)))
        }
    }
}

fn listening(listener: Listener) -> (Place, Sink) {
    let client = Client::default();
    (Place::Listener { listener, reader: None, client: Arc::clone(&client) }, Sink::Client(client))
}

/// A new pseudo terminal in raw mode (a terminal that echoes would send the guest its own output): master, other end,
/// name.
fn pty() -> Result<(OwnedFd, OwnedFd, String), io::Error> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let mut settings = tcgetattr(&slave)?;
    settings.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &settings)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave, name.to_string_lossy().into_owned()))
}

/// Listens at a path. A socket that a dead program left behind is replaced; anything else that is there is not.
fn listen_unix(path: &Path) -> io::Result<UnixListener> {
    let left_behind = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if left_behind {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Listener {
    /// The next client and a second handle on it, both non-blocking.
    fn accept(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let socket = match self {
            Self::Unix(listener, _) => {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                OwnedFd::from(socket)
            }
            Self::Tcp(listener) => {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                // Keys should not wait for company.
                socket.set_nodelay(true)?;
                OwnedFd::from(socket)
            }
        };
        Ok((socket.try_clone()?, socket))
    }
}

impl Place {
    /// What to poll for input: a client if there is one, else the listener.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Silent => None,
            Self::Pty { master, .. } => Some(master.as_fd()),
            Self::Listener { reader: Some(reader), .. } => Some(reader.as_fd()),
            Self::Listener { listener: Listener::Unix(listener, _), .. } => Some(listener.as_fd()),
            Self::Listener { listener: Listener::Tcp(listener), .. } => Some(listener.as_fd()),
        }
    }

    /// Lets the user of a pseudo terminal read what the guest said last: the end of the master discards it.
    pub(crate) fn drain(&self) {
        let Self::Pty { slave, .. } = self else { return };
        // What was written is not at once what can be read: the kernel hands it on from a work queue.
        std::thread::sleep(HANDED_ON);
        let started = Instant::now();
        while started.elapsed() < LAST_READ && rustix::io::ioctl_fionread(slave).is_ok_and(|count| count > 0)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes what the poll announced: a new client, or bytes for the guest. Returns how many bytes.
    pub(crate) fn take(&mut self, port: usize, buffer: &mut [u8]) -> usize {
        match self {
            Self::Silent => 0,
            Self::Pty { master, .. } => rustix::io::read(&*master, buffer).unwrap_or(0),
            Self::Listener { listener, reader, client } => {
                let Some(socket) = reader else {
                    if let Ok((ours, theirs)) = listener.accept() {
                        tracing::info!("serial{port} has a client");
                        *reader = Some(ours);
                        *client.lock().unwrap_or_else(PoisonError::into_inner) = Some(theirs);
                    }
                    return 0;
                };
                match rustix::io::read(socket, buffer) {
                    Ok(count) if count > 0 => count,
                    Err(Errno::INTR | Errno::AGAIN) => 0,
                    _ => {
                        tracing::info!("serial{port} lost its client");
                        *reader = None;
                        *client.lock().unwrap_or_else(PoisonError::into_inner) = None;
                        0
                    }
                }
            }
        }
    }
}
