//! How runs end: exit codes and what is said.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::toy::*;

#[test]
fn a_guest_that_halts_ends_with_0_and_its_output_is_all_there() {
    let ended = end(&mut run(&Guest::new(b"hello\n", HALT))).with(0).says("The guest halted");
    assert_eq!(ended.stdout, "hello\n");
}

#[test]
fn a_reset_ends_with_0_when_told_to_exit() {
    let ended = end(run(&Guest::new(b"A", RESET)).args(["--on-reset", "exit"])).with(0).says("reset");
    assert_eq!(ended.stdout, "A");
}

#[test]
fn a_reset_boots_again_by_default() {
    // The toy board adds one to the guest's first character at each reset.
    let ended = end(run(&Guest::new(b"A", RESET)).args(["--exit-when", "ABCD=17"])).with(17);
    assert_eq!(ended.stdout.get(..4), Some("ABCD"));
}

#[test]
fn a_guest_that_cannot_go_on_ends_with_3_and_its_registers() {
    end(&mut run(&Guest::new(b"abc", FATAL)))
        .with(3)
        .says("The guest cannot go on: the toy is broken")
        .says("pc 00000003");
}

#[test]
fn an_engine_that_fails_ends_with_1() {
    end(&mut run(&Guest::new(b"", BREAK))).with(1).says("The backend failed: the engine is broken");
}

#[test]
fn an_engine_that_answers_nonsense_ends_with_1() {
    end(&mut run(&Guest::new(b"", STATUS))).with(1).says("unknown status 77");
}

#[test]
fn a_kernel_panic_ends_with_4_once_its_last_line_is_out() {
    let text = b"Kernel panic - not syncing: toy\r\n---[ end Kernel panic - not syncing: toy ]---\r\n";
    let ended = end(&mut run(&Guest::new(text, SPIN))).with(4);
    assert!(ended.stdout.ends_with("]---\r\n"));
}

#[test]
fn a_kernel_panic_without_last_words_ends_with_4_a_little_later() {
    end(&mut run(&Guest::new(b"Kernel panic - early\n", IDLE))).with(4);
    end(&mut run(&Guest::new(b"Kernel panic - early\n", SPIN))).with(4);
}

#[test]
fn a_kernel_panic_counts_more_than_the_reset_after_it() {
    end(&mut run(&Guest::new(b"Kernel panic\n", RESET))).with(4);
    end(run(&Guest::new(b"Kernel panic\n", RESET)).args(["--on-reset", "exit"])).with(4);
}

#[test]
fn a_kernel_panic_can_be_ignored() {
    end(run(&Guest::new(b"Kernel panic\n", HALT)).args(["--on-panic", "ignore"])).with(0);
}

#[test]
fn time_is_up_with_124() {
    for order in [SPIN, IDLE, ECHO_INPUT] {
        end(run(&Guest::new(b"", order)).args(["--timeout", "0.3"])).with(124).says("Time is up after 0.3 s");
    }
}

#[test]
fn an_engine_that_does_not_stop_is_left_behind() {
    end(run(&Guest::new(b"", HANG)).args(["--timeout", "0.2"])).with(124).says("did not stop");
}

#[test]
fn the_first_pattern_that_matches_gives_the_code() {
    let guest = Guest::new(b"one two three\n", IDLE);
    end(run(&guest).args(["--exit-when", "^two=3", "--exit-when", "two=5", "--exit-when", "o+=6"])).with(6);
    end(run(&Guest::new(b"login: ", IDLE)).args(["--exit-when", "login: $=0"])).with(0).says("matched");
}

#[test]
fn signals_end_with_128_and_their_number() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let guest = Guest::new(b"up\n", IDLE);
        let mut child =
            run(&guest).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("The program starts");
        let mut up = [0; 3];
        child.stdout.as_mut().expect("A pipe").read_exact(&mut up).expect("The guest is up");
        let killed =
            std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(killed.expect("kill").success());
        assert_eq!(child.wait().expect("An end").code(), Some(code), "SIG{signal}");
    }
}

#[test]
fn an_idle_guest_costs_no_time() {
    let guest = Guest::new(b"up\n", IDLE);
    let mut child =
        run(&guest).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("The program starts");
    let mut up = [0; 3];
    child.stdout.as_mut().expect("A pipe").read_exact(&mut up).expect("The guest is up");
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("A process");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("Fields").split_whitespace().collect();
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
    };
    let before = ticks();
    std::thread::sleep(Duration::from_millis(500));
    // A core would be 50 ticks of 10 ms.
    assert!(ticks() - before <= 2, "{} ticks in half a second", ticks() - before);
    child.kill().expect("A running program");
    child.wait().expect("An end");
}

#[test]
fn counters_are_one_json_object() {
    let ended = end(run(&Guest::new(b"abc\n", HALT)).args(["--stats", "json"])).with(0);
    let line = ended.stderr.lines().find(|line| line.starts_with('{')).expect("An object");
    let stats: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(stats["verdict"], "halted");
    assert_eq!(stats["exit_code"], 0);
    assert_eq!(stats["retired"], 4);
    assert_eq!(stats["engine"]["toy_pc"], 4);
    assert_eq!(stats["tb_hz"], 1_000_000);
}

#[test]
fn icount_time_is_what_retired() {
    let guest = Guest::new(b"abc\n", HALT);
    let ended = end(run(&guest).args(["--stats", "json", "--clock", "icount"])).with(0);
    let line = ended.stderr.lines().find(|line| line.starts_with('{')).expect("An object");
    let stats: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(stats["guest_ticks"], 5);
}

#[test]
fn piped_input_arrives_whole_and_in_order_however_slowly_the_guest_reads() {
    let guest = Guest::new(&[ECHO_INPUT], HALT);
    let mut child = run(&guest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("The program starts");
    let mut text: Vec<u8> = (0..20_000u32).map(|n| b'a' + (n % 26) as u8).collect();
    text.push(b'\n');
    let mut stdin = child.stdin.take().expect("A pipe");
    let sent = text.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent));
    let mut got = Vec::new();
    child.stdout.take().expect("A pipe").read_to_end(&mut got).expect("Output");
    assert_eq!(child.wait().expect("An end").code(), Some(0));
    writer.join().expect("The writer").expect("All was taken");
    assert!(got == text, "{} of {} bytes came back", got.len(), text.len());
}

#[test]
fn a_closed_standard_input_does_not_matter() {
    let guest = Guest::new(b"hello\n", HALT);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "exec \"$0\" run --board toy --backend toy --kernel \"$1\" <&-"])
        .arg(place().join("bin/vmm"))
        .arg(guest.path())
        .env("VMM_PLUGIN_PATH", place().join("toys"));
    assert_eq!(end(&mut command).with(0).stdout, "hello\n");
}

#[test]
fn a_closed_standard_output_ends_the_run() {
    let guest = Guest::new(&[b'x'; 2000], IDLE);
    let started = Instant::now();
    // Closed before the start: a busy machine could otherwise let all of it be written first.
    let (reader, writer) = std::io::pipe().expect("A pipe");
    drop(reader);
    let child = run(&guest).stdout(writer).stderr(Stdio::piped()).spawn().expect("A start");
    let ended = Ended::from(child.wait_with_output().expect("An end"));
    ended.with(1).says("Standard output cannot be written");
    assert!(started.elapsed() < Duration::from_secs(20));
}
