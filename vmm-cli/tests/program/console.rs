//! The console on a terminal, and the other places of a serial port.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use crate::toy::*;

/// A terminal with the program on it.
struct Terminal {
    master: File,
    slave: OwnedFd,
    found: Termios,
    child: Child,
    seen: String,
}

impl Terminal {
    fn new(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("A pseudo terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("A name");
        let slave =
            rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("Its other end");
        let found = tcgetattr(&slave).expect("Settings");
        assert!(found.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        let end = || Stdio::from(slave.try_clone().expect("A handle"));
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("The program starts");
        Self { master: File::from(master), slave, found, child, seen: String::new() }
    }

    /// Reads until a text has come, and forgets all up to it.
    #[track_caller]
    fn until(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(Instant::now() < deadline, "`{text}` did not come; there was {:?}", self.seen);
            self.read();
        }
    }

    fn read(&mut self) {
        let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&wait)).unwrap_or(0) > 0 {
            let mut buffer = [0; 1000];
            if let Ok(count) = self.master.read(&mut buffer) {
                self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("Keys");
    }

    /// Waits for the end; returns the exit code, or `None` after a signal.
    fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("A child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "The program does not end; it said {:?}", self.seen);
            self.read();
        }
    }

    fn is_raw(&self) -> bool {
        let now = tcgetattr(&self.slave).expect("Settings");
        !now.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    #[track_caller]
    fn is_as_found(&self) {
        let now = tcgetattr(&self.slave).expect("Settings");
        assert_eq!(now.local_modes, self.found.local_modes);
        assert_eq!(now.input_modes, self.found.input_modes);
        assert_eq!(now.output_modes, self.found.output_modes);
    }
}

/// A guest that says that it is up, then echoes.
fn echo() -> Guest {
    Guest::new(b"up\n\x06", HALT)
}

#[test]
fn keys_reach_the_guest_raw_and_leaving_restores_the_terminal() {
    let guest = echo();
    let mut terminal = Terminal::new(&mut run(&guest));
    terminal.until("up");
    assert!(terminal.is_raw());
    terminal.press(b"a\x03b\x01\x01c");
    terminal.until("a\x03b\x01c");
    terminal.press(b"\x01h");
    terminal.until("Ctrl-A x       leave");
    terminal.press(b"\x01x");
    assert_eq!(terminal.end(), Some(0));
    terminal.is_as_found();
}

#[test]
fn the_terminal_is_restored_when_the_guest_ends() {
    let guest = echo();
    let mut terminal = Terminal::new(&mut run(&guest));
    terminal.until("up");
    terminal.press(b"end\n");
    assert_eq!(terminal.end(), Some(0));
    terminal.is_as_found();
}

#[test]
fn the_terminal_is_restored_after_signals() {
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let guest = echo();
        let mut terminal = Terminal::new(&mut run(&guest));
        terminal.until("up");
        let killed = Command::new("kill").args(["-s", signal, &terminal.child.id().to_string()]).status();
        assert!(killed.expect("kill").success());
        assert_eq!(terminal.end(), Some(code));
        terminal.is_as_found();
    }
}

#[test]
fn the_terminal_is_restored_after_a_crash_and_an_abort() {
    let guest = Guest::new(b"up\n\x06", CRASH);
    let mut terminal = Terminal::new(&mut run(&guest));
    terminal.until("up");
    assert!(terminal.is_raw());
    terminal.press(b"\n");
    assert_eq!(terminal.end(), None, "a crash is a crash");
    terminal.is_as_found();

    let guest = echo();
    let mut terminal = Terminal::new(&mut run(&guest));
    terminal.until("up");
    let killed = Command::new("kill").args(["-s", "ABRT", &terminal.child.id().to_string()]).status();
    assert!(killed.expect("kill").success());
    assert_eq!(terminal.end(), None);
    terminal.is_as_found();
}

#[test]
fn the_terminal_is_restored_after_a_plugin_panics() {
    let guest = echo();
    let mut command = vmm();
    command.args(["run", "--board", "toy", "--backend", "panicking", "--plugin"]).arg(panicking());
    let mut terminal = Terminal::new(command.arg("--kernel").arg(guest.path()));
    terminal.until("The backend failed");
    assert_eq!(terminal.end(), Some(1));
    terminal.is_as_found();
}

#[test]
fn a_kernel_panic_on_a_terminal_leaves_the_user_there() {
    let guest = Guest::new(b"Kernel panic\n---[ end Kernel panic ]---\n\x06", HALT);
    let mut terminal = Terminal::new(&mut run(&guest));
    terminal.until("]---");
    terminal.press(b"still here");
    terminal.until("still here");
    terminal.press(b"\n");
    assert_eq!(terminal.end(), Some(0));
}

#[test]
fn the_monitor_looks_resets_and_quits() {
    let guest = Guest::new(b"U\x06", HALT);
    let mut terminal = Terminal::new(&mut run(&guest));
    terminal.until("U");
    terminal.press(b"\x01c");
    terminal.until("(vmm) ");
    for (line, answer) in [
        ("info registers", "pc 00000001"),
        ("info tlb", "0 of 64 entries are valid"),
        ("info devices", "toy character register"),
        ("info stats", "toy_pc: 1"),
        ("info cache", "There is no `info cache`"),
        ("dance", "There is no command `dance`"),
        ("help", "info registers  the core's registers"),
    ] {
        terminal.press(line.as_bytes());
        terminal.press(b"\r");
        terminal.until(answer);
        terminal.until("(vmm) ");
    }
    // The toy board adds one to the guest's first character at each reset. It speaks before or after the prompt.
    terminal.press(b"reset\r");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !(terminal.seen.contains('V') && terminal.seen.contains("(vmm) ")) {
        assert!(Instant::now() < deadline, "{:?}", terminal.seen);
        terminal.read();
    }
    terminal.press(b"quix\x7ft\r");
    assert_eq!(terminal.end(), Some(0));
    terminal.is_as_found();
}

#[test]
fn a_port_goes_into_a_file() {
    let folder = tempfile::tempdir().expect("A temporary folder");
    let log = folder.path().join("log");
    let guest = Guest::new(b"hello\n", HALT);
    let ended = end(run(&guest).arg("--serial0").arg(format!("file:{}", log.display()))).with(0);
    assert_eq!(ended.stdout, "");
    assert_eq!(std::fs::read_to_string(log).expect("A log"), "hello\n");
}

/// Sends a line and expects it back from an echoing guest.
fn converse(mut writer: impl Write, reader: impl Read) {
    writer.write_all(b"one line\n").expect("A line");
    let mut answer = String::new();
    BufReader::new(reader).read_line(&mut answer).expect("An answer");
    assert_eq!(answer, "one line\n");
}

/// The program with a port at a place that it tells on standard error.
fn told(place: &str, before: &str) -> (Child, String) {
    let guest = Guest::new(&[ECHO_INPUT], HALT);
    let mut child = run(&guest)
        .args(["--serial0", place])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("The program starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("A pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("A line");
    // The guest's file must be there until it was read, which is before the conversation.
    std::thread::spawn(move || {
        let mut rest = String::new();
        let _ = stderr.read_to_string(&mut rest);
        drop(guest);
    });
    let told = line.trim().strip_prefix(before).unwrap_or_else(|| panic!("{line}")).to_owned();
    (child, told)
}

#[test]
fn a_port_listens_on_tcp() {
    let (mut child, address) = told("tcp:127.0.0.1:0", "vmm: serial0 listens at tcp:");
    let socket = std::net::TcpStream::connect(address).expect("A connection");
    converse(&socket, &socket);
    assert_eq!(child.wait().expect("An end").code(), Some(0));
}

#[test]
fn a_port_is_a_pseudo_terminal() {
    let (mut child, name) = told("pty", "vmm: serial0 is ");
    let open = || File::options().read(true).write(true).open(&name).expect("A terminal");
    // Its user may come and go.
    drop(open());
    converse(open(), open());
    assert_eq!(child.wait().expect("An end").code(), Some(0));
}

#[test]
fn a_port_listens_at_a_path_and_serves_one_client_after_another() {
    let folder = tempfile::tempdir().expect("A temporary folder");
    let path = folder.path().join("console");
    // A dead program's socket is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("A socket"));
    let guest = Guest::new(&[ECHO_INPUT], HALT);
    let mut child = run(&guest)
        .arg("--serial0")
        .arg(format!("unix:{}", path.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("The program starts");
    let connect = || {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match UnixStream::connect(&path) {
                Ok(socket) => return socket,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut first = connect();
    first.write_all(b"one").expect("Keys");
    let mut back = [0; 3];
    first.read_exact(&mut back).expect("An echo");
    drop(first);
    let second = connect();
    (&second).write_all(b" line\n").expect("A line");
    let mut answer = String::new();
    BufReader::new(&second).read_line(&mut answer).expect("An answer");
    assert_eq!((&back, answer.as_str()), (b"one", " line\n"));
    assert_eq!(child.wait().expect("An end").code(), Some(0));
    assert!(!path.exists(), "the socket goes with the program");
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let file = tempfile::NamedTempFile::new().expect("A file");
    let guest = Guest::new(b"", HALT);
    end(run(&guest).arg("--serial0").arg(format!("unix:{}", file.path().display())))
        .with(1)
        .says("Cannot listen at");
    assert!(file.path().exists());
}
