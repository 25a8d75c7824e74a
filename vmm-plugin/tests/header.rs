//! The C header is generated, and what is checked in is what is generated. `VMM_UPDATE_HEADER=1 cargo test -p
//! vmm-plugin --test header` writes it anew.

use std::path::Path;

use cbindgen::{Builder, Config, EnumConfig, ExportConfig, Language, Style};

const BANNER: &str = "\
/* The plugin ABI of vmm: what a shared library fills in to be a backend or a board.
 *
 * Generated from vmm-plugin/src/abi.rs; do not edit. Refresh it with
 * VMM_UPDATE_HEADER=1 cargo test -p vmm-plugin --test header
 */";

fn generated() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rename = [
        ("ABI", "VMM_ABI"),
        ("ENTRY_SYMBOL", "VMM_ENTRY_SYMBOL"),
        ("TLB_ENTRIES", "VMM_TLB_ENTRIES"),
        ("Constraints", "VmmConstraints"),
        ("CoreDescription", "VmmCoreDescription"),
        ("CpuState", "VmmCpuState"),
        ("TlbEntry", "VmmTlbEntry"),
    ];
    let config = Config {
        language: Language::C,
        style: Style::Both,
        cpp_compat: true,
        usize_is_size_t: true,
        documentation: true,
        line_length: 110,
        header: Some(BANNER.into()),
        include_guard: Some("VMM_PLUGIN_H".into()),
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        enumeration: EnumConfig { prefix_with_name: true, ..EnumConfig::default() },
        export: ExportConfig {
            rename: rename.map(|(from, to)| (from.to_owned(), to.to_owned())).into(),
            exclude: [
                "ICOUNT",
                "STEP",
                "DROP_PAGE",
                "SANDBOX",
                "POSTED_WRITE",
                "STABLE_READ",
                "PageSize",
                "Attributes",
            ]
            .map(str::to_owned)
            .to_vec(),
            // No entry mentions it: it is reached by its name.
            include: vec!["VmmInspect".to_owned()],
            ..ExportConfig::default()
        },
        ..Config::default()
    };
    let sources = [
        "src/abi.rs",
        "src/api.rs",
        "src/export/set.rs",
        "../ppc440-core/src/state.rs",
        "../mmu-core/src/entry.rs",
    ];
    let mut builder = Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(root.join(source));
    }
    let mut text = Vec::new();
    builder.generate().expect("The ABI's sources can be read").write(&mut text);
    String::from_utf8(text).expect("A header is text")
}

#[test]
fn the_header_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/vmm_plugin.h");
    let generated = generated();
    if std::env::var_os("VMM_UPDATE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("The header can be written");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "include/vmm_plugin.h is not what src/abi.rs gives; see this file's head"
    );
}
