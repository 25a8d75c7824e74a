//! The small monitor behind Ctrl-A c.

use std::io::Write as _;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::control::{Control, Request, Show};
use crate::verdict::Verdict;

/// How long to wait for the vCPU's thread.
const PATIENCE: Duration = Duration::from_secs(2);

const PROMPT: &str = "(vmm) ";

const HELP: &str = "\
info registers  the core's registers
info tlb        the guest's TLB and what shadows it
info jit        translated code: blocks, bytes, jumps, what was dropped and why, time (backend jit)
info kvm        what the engine can reach (backend kvm)
info devices    the board's devices
info stats      counters
reset           reset the machine
quit            end
help            this help
Ctrl-A c        back to the console
";

/// Executes the monitor's commands.
#[derive(Debug)]
pub(crate) struct Monitor {
    control: Arc<Control>,
}

impl Monitor {
    pub(crate) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Prints a paragraph.
    pub(crate) fn say(&self, text: &str) {
        self.echo(&format!("\n{text}"));
    }

    /// Prints text as it is.
    pub(crate) fn echo(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        // Nothing can be told where nothing can be printed.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }

    /// Tells that the monitor opened or closed.
    pub(crate) fn toggle(&self, open: bool) {
        if open {
            self.say(&format!("Monitor; `help` lists the commands, Ctrl-A c goes back\n{PROMPT}"));
        } else {
            self.say("Console\n");
        }
    }

    /// Executes a line.
    pub(crate) fn execute(&self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match *words.as_slice() {
            [] => String::new(),
            ["help" | "?"] => HELP.to_owned(),
            ["quit" | "q"] => {
                self.control.stop(Verdict::Quit);
                return;
            }
            ["reset"] => {
                self.control.request(Request::Reset);
                "The machine is being reset\n".to_owned()
            }
            ["info" | "i", what] => match what {
                "registers" | "r" => self.ask(Show::Registers),
                "tlb" => self.ask(Show::Tlb),
                "jit" => self.ask(Show::Jit),
                "kvm" => self.ask(Show::Kvm),
                "devices" => self.ask(Show::Devices),
                "stats" => self.ask(Show::Stats),
                _ => {
                    format!(
                        "There is no `info {what}`; there is info registers, tlb, jit, kvm, devices, stats\n"
                    )
                }
            },
            ["info" | "i"] => "Say what: info registers, tlb, jit, kvm, devices, stats\n".to_owned(),
            _ => format!("There is no command `{line}`; `help` lists them\n"),
        };
        self.echo(&answer);
        if !answer.ends_with('\n') && !answer.is_empty() {
            self.echo("\n");
        }
        self.echo(PROMPT);
    }

    fn ask(&self, what: Show) -> String {
        let (answer, answered) = mpsc::channel();
        self.control.request(Request::Show(what, answer));
        answered.recv_timeout(PATIENCE).unwrap_or_else(|_| "The vCPU does not answer\n".to_owned())
    }
}
