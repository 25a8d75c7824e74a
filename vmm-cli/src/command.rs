//! What each subcommand does.

use std::process::ExitCode;
use std::sync::Arc;

use vmm_plugin::abi::VmmPlugin;
use vmm_plugin::api::{Backend as _, Board as _, BoardConfig, Info, Refusal, caps};

use crate::cli::{Cli, Command, OnPanic, Run, StatsFormat};
use crate::console::Output;
use crate::control::Control;
use crate::frontend::Frontend;
use crate::input::InputOptions;
use crate::plugins::Plugins;
use crate::tlb::TlbOptions;
use crate::trace::Wanted;
use crate::vcpu::{self, Files, Setup, Source, read_file};

/// Runs the command; errors are told on standard error.
pub(crate) fn run(cli: Cli, linked: &[&'static VmmPlugin]) -> ExitCode {
    crate::log::start(cli.log);
    let done = Plugins::new(linked, &cli.plugin).and_then(|plugins| match cli.command {
        Command::Run(options) => boot(&options, plugins),
        Command::Backends => Ok(backends(plugins)),
        Command::Boards => Ok(boards(plugins)),
        Command::Selftest(options) => crate::selftest::run(&options, plugins),
    });
    done.unwrap_or_else(|refusal| {
        eprintln!("vmm: {refusal}");
        ExitCode::from(1)
    })
}

fn print_plugin(info: &Info, plugin: &vmm_plugin::load::Plugin, usable: &str) {
    println!("{:<10} {} {}, {}", info.id, plugin.name(), plugin.version(), plugin.licence());
    println!("           {}", info.summary);
    if !usable.is_empty() {
        println!("           {usable}");
    }
}

fn told_broken(plugins: &Plugins) -> ExitCode {
    for refusal in &plugins.broken {
        println!("unusable   {refusal}");
    }
    ExitCode::SUCCESS
}

fn backends(mut plugins: Plugins) -> ExitCode {
    plugins.load_all();
    for backend in plugins.backends() {
        let info = backend.info();
        let usable = match backend.probe() {
            Ok(()) => format!("usable here, rank {}", info.rank),
            Err(why) => format!("not usable here: {why}"),
        };
        print_plugin(&info, backend.plugin(), &usable);
    }
    told_broken(&plugins)
}

fn boards(mut plugins: Plugins) -> ExitCode {
    plugins.load_all();
    for board in plugins.boards() {
        print_plugin(&board.info(), board.plugin(), "");
    }
    told_broken(&plugins)
}

fn boot(options: &Run, mut plugins: Plugins) -> Result<ExitCode, Refusal> {
    let board = plugins.board(&options.board)?;
    let (backend, why) =
        plugins.backend(&options.backend, if options.sandbox { caps::SANDBOX } else { 0 })?;
    if let Some(why) = why {
        eprintln!("vmm: {why}");
    }
    let tlb = TlbOptions::of(options, &backend.info())?;
    let board_config = BoardConfig {
        tree: options.dtb.as_deref().map(read_file).transpose()?,
        tree_name: options.dtb.as_ref().map_or_else(String::new, |path| path.display().to_string()),
        memory: options.memory,
        constraints: backend.constraints(),
        straps: options.strap.clone(),
        clock: options.clock.into(),
    };
    let interactive = rustix::termios::isatty(rustix::stdio::stdin());
    let watch_panic = options.on_panic.map_or(!interactive, |on| on == OnPanic::Exit);
    let control = Arc::new(Control::new(options.serials().len()));
    let (frontend, sinks) = Frontend::open(options, Arc::clone(&control))?;
    let setup = Setup {
        board: Box::new(board),
        backend: Box::new(backend),
        board_config,
        tlb,
        trace: Wanted::of(options),
        input: InputOptions::of(options),
        source: Source::Files(Files {
            kernel: options.kernel.clone(),
            initrd: options.initrd.clone(),
            append: options.append.clone(),
            load_address: options.load_address,
        }),
        on_reset: options.on_reset,
        output: Output::new(sinks, options.exit_when.clone(), watch_panic),
        control,
    };
    let outcome = frontend.run(options.timeout, move || vcpu::run(setup));
    eprintln!("vmm: {}", outcome.verdict.sentence());
    if options.stats == Some(StatsFormat::Json) {
        eprintln!("{}", outcome.stats.json(&outcome.verdict));
    }
    Ok(ExitCode::from(outcome.verdict.code()))
}
