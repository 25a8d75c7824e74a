//! Finding and refusing plugins.

use crate::toy::*;

#[test]
fn backends_are_listed_with_version_licence_and_usability() {
    let listed = end(vmm().arg("backends")).with(0).stdout;
    assert!(listed.contains("toy        toy-backend 1.0, MIT"), "{listed}");
    assert!(listed.contains("usable here, rank 1"), "{listed}");
    let listed = end(vmm().arg("backends").env("TOY_UNUSABLE", "1")).with(0).stdout;
    assert!(listed.contains("not usable here: TOY_UNUSABLE is set"), "{listed}");
}

#[test]
fn boards_are_listed() {
    let listed = end(vmm().arg("boards")).with(0).stdout;
    assert!(listed.contains("toy        toy-board 1.0, MIT"), "{listed}");
}

#[test]
fn auto_says_what_it_took_and_why() {
    let guest = Guest::new(b"", HALT);
    let mut command = vmm();
    command.args(["run", "--board", "toy", "--kernel"]).arg(guest.path());
    end(&mut command).with(0).says("Backend toy: the usable one of highest rank (1)");
    end(command.env("TOY_UNUSABLE", "1"))
        .with(1)
        .says("No backend can run on this host (toy: TOY_UNUSABLE is set)");
}

#[test]
fn a_sandbox_is_had_or_refused_but_never_left_out() {
    let guest = Guest::new(b"", HALT);
    let auto = || {
        let mut command = vmm();
        command.args(["run", "--sandbox", "--board", "toy", "--kernel"]).arg(guest.path());
        command
    };
    end(&mut auto()).with(1).says(
        "No backend can run on this host (toy: it runs its engine in this program, with no wall around it)",
    );
    end(auto().args(["--backend", "toy"])).with(1).says("leave --sandbox out, or take --backend auto or kvm");
    end(auto().env("TOY_WALLED", "1")).with(0).says("Backend toy: the usable one of highest rank (1)");
    end(auto().args(["--backend", "toy"]).env("TOY_WALLED", "1")).with(0);
}

#[test]
fn a_backend_that_cannot_run_here_is_refused_with_its_reason() {
    let guest = Guest::new(b"", HALT);
    end(run(&guest).env("TOY_UNUSABLE", "1"))
        .with(1)
        .says("Backend toy cannot run on this host: TOY_UNUSABLE is set");
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let guest = Guest::new(b"", HALT);
    let mut command = vmm();
    command.args(["run", "--board", "ebony", "--kernel"]).arg(guest.path());
    end(&mut command).with(1).says("There is no board `ebony`; there is toy");
    let mut command = vmm();
    command.args(["run", "--board", "toy", "--backend", "jit", "--kernel"]).arg(guest.path());
    end(&mut command).with(1).says("There is no backend `jit`; there is toy");
}

#[test]
fn a_broken_plugin_is_refused_in_one_sentence_that_names_the_file() {
    for (file, sentence) in [
        ("other_abi", "built for plugin ABI 999, this program has ABI 1"),
        ("no_symbol", "is a library but no plugin: it does not export `vmm_plugin`"),
        ("null_table", "offers no plugin"),
        ("small", "has 16 bytes, too few"),
        ("no_entries", "has no entry `info`"),
        ("bad_init", "initialization failed: the toy needs a licence server"),
        ("text", "is not a library that can be loaded"),
        ("missing", "There is no plugin file"),
    ] {
        let file = place().join(format!("broken/{file}.so"));
        let ended = end(vmm().arg("backends").arg("--plugin").arg(&file)).with(1).says(sentence);
        let ended = ended.says(&file.display().to_string());
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_broken_plugin_on_the_search_path_is_left_out_and_told() {
    let folder = tempfile::tempdir().expect("A temporary folder");
    for name in ["libbackend_toy.so", "libboard_toy.so"] {
        std::fs::copy(place().join("toys").join(name), folder.path().join(name)).expect("A copy");
    }
    std::fs::copy(place().join("broken/other_abi.so"), folder.path().join("libbackend_old.so"))
        .expect("A copy");
    // Not named like a plugin: never opened.
    std::fs::copy(place().join("broken/text.so"), folder.path().join("libother.so")).expect("A copy");
    let listed = end(vmm().arg("backends").env("VMM_PLUGIN_PATH", folder.path())).with(0);
    assert!(listed.stdout.contains("toy-backend"), "{}", listed.stdout);
    assert!(listed.stdout.contains("unusable   Plugin"), "{}", listed.stdout);
    assert!(!listed.stderr.contains("libother"), "{}", listed.stderr);
    // A run opens what it uses, and nothing else.
    let guest = Guest::new(b"", HALT);
    let ended = end(run(&guest).env("VMM_PLUGIN_PATH", folder.path())).with(0);
    assert!(!ended.stderr.contains("libbackend_old"), "{}", ended.stderr);
}

#[test]
fn the_working_folder_is_not_searched() {
    let guest = Guest::new(b"", HALT);
    let mut command = run(&guest);
    command.env_remove("VMM_PLUGIN_PATH").current_dir(place().join("toys"));
    end(&mut command).with(1).says("No board plugin was found").says("--plugin PATH");
    // Nor through an empty entry.
    end(command.env("VMM_PLUGIN_PATH", ":")).with(1);
}

#[test]
fn the_folder_lib_vmm_beside_the_program_is_searched() {
    let prefix = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("A temporary folder");
    std::fs::create_dir_all(prefix.path().join("lib/vmm")).expect("A folder");
    std::fs::create_dir(prefix.path().join("bin")).expect("A folder");
    link_program(&prefix.path().join("bin"));
    for name in ["libbackend_toy.so", "libboard_toy.so"] {
        std::fs::copy(place().join("toys").join(name), prefix.path().join("lib/vmm").join(name))
            .expect("A copy");
    }
    let mut command = std::process::Command::new(prefix.path().join("bin/vmm"));
    command.arg("boards").env_remove("VMM_PLUGIN_PATH");
    assert!(end(&mut command).with(0).stdout.contains("toy-board"));
}

#[test]
fn a_folder_can_be_named() {
    let mut command = vmm();
    command.env_remove("VMM_PLUGIN_PATH").arg("boards").arg("--plugin").arg(place().join("toys"));
    assert!(end(&mut command).with(0).stdout.contains("toy-board"));
}

#[test]
fn panics_of_a_plugin_are_errors() {
    let guest = Guest::new(b"", HALT);
    let command = |place: &str| {
        let mut command = vmm();
        command
            .args(["run", "--board", "toy", "--backend", "panicking", "--kernel"])
            .arg(guest.path())
            .arg("--plugin")
            .arg(panicking())
            .env("TOY_PANIC", place);
        command
    };
    end(&mut command("init")).with(1).says("Panicked: the initialization panics as it was told");
    end(&mut command("probe")).with(1).says("cannot run on this host: Panicked: the probe panics");
    end(&mut command("run")).with(1).says("The backend failed: Panicked: the engine panics as it was told");
}

#[test]
fn a_plugins_log_is_the_programs_log() {
    let guest = Guest::new(b"", HALT);
    let command = |filter: &str| {
        let mut command = vmm();
        command
            .args(["run", "--board", "toy", "--backend", "panicking", "--log", filter, "--kernel"])
            .arg(guest.path())
            .arg("--plugin")
            .arg(panicking());
        end(&mut command).with(1)
    };
    command("info").says("vmm: info: panicking: an engine is made answer=42");
    assert!(!command("warn").stderr.contains("an engine is made"));
    assert!(!command("info,panicking=error").stderr.contains("an engine is made"));
    command("error,panicking=debug").says("an engine is made");
}
