//! Checks the built wasm files of the two components: their imports, their exports, and their size.

use end_to_end::component::{imports_and_exports_of, path_of};
use end_to_end::suite::World;

end_to_end::cases!(
    imports_are_limited_to_spin_3_0,
    exports_are_the_entry_points_only,
    component_files_are_at_most_three_mebibytes
);

/// The functions that a component is allowed to import, by interface. Spin 3.0 has all of these functions.
/// `*` allows every function of the interface.
///
/// A name such as `wasi:cli/exit@0.2` stands for all patch versions (0.2.0, 0.2.1, …). The patch version does
/// not matter: all functions in this list exist in 0.2.0, and a Spin host accepts every patch version.
const INTERFACES: [(&str, &[&str]); 17] = [
    (
        "fermyon:spin/key-value@2.0.0",
        &[
            "[static]store.open",
            "[method]store.get",
            "[method]store.set",
            "[method]store.delete",
            "[method]store.exists",
            "[method]store.get-keys",
        ],
    ),
    ("fermyon:spin/variables@2.0.0", &["get"]),
    // This interface has types, but no functions. So a Spin host does not have to supply the interface.
    ("fermyon:spin-cron/cron-types@2.0.0", &[]),
    ("wasi:cli/environment@0.2", &["get-environment", "get-arguments", "initial-cwd"]),
    ("wasi:cli/exit@0.2", &["exit"]),
    ("wasi:cli/stdin@0.2", &["get-stdin"]),
    ("wasi:cli/stdout@0.2", &["get-stdout"]),
    ("wasi:cli/stderr@0.2", &["get-stderr"]),
    ("wasi:clocks/monotonic-clock@0.2", &["now", "resolution", "subscribe-instant", "subscribe-duration"]),
    ("wasi:clocks/wall-clock@0.2", &["now", "resolution"]),
    ("wasi:http/outgoing-handler@0.2", &["handle"]),
    ("wasi:io/error@0.2", &["[method]error.to-debug-string"]),
    ("wasi:io/poll@0.2", &["poll", "[method]pollable.block", "[method]pollable.ready"]),
    ("wasi:io/streams@0.2", &["*"]),
    ("wasi:http/types@0.2", &["*"]),
    ("wasi:random/random@0.2", &["get-random-bytes", "get-random-u64"]),
    ("wasi:random/insecure-seed@0.2", &["insecure-seed"]),
];

/// Whether Rust's standard library uses this interface to find out if a stream is a terminal. Spin 3.0 has
/// these interfaces, so a component is allowed to import all of their functions.
fn is_terminal_interface(interface: &str) -> bool {
    interface.starts_with("wasi:cli/terminal-") && interface.contains("@0.2.")
}

fn imports_are_limited_to_spin_3_0(_: &World) {
    for component in ["bot_component", "trigger_component"] {
        let found = imports_and_exports_of(component);
        assert!(found.imports.len() > 5, "{component}: expected a longer list of imports, found {found:?}");
        for (interface, functions) in &found.imports {
            if is_terminal_interface(interface) {
                continue;
            }
            let known = INTERFACES.iter().find(|(name, _)| interface.starts_with(name));
            let (_, known) =
                known.unwrap_or_else(|| panic!("{component} imports {interface}, which Spin 3.0 lacks"));
            for function in functions {
                let is_known = known.contains(&"*") || known.contains(&function.as_str());
                assert!(
                    is_known,
                    "{component} imports {interface}#{function}, which is not in the list; if Spin 3.0 has this function, add the function to the list"
                );
            }
        }
    }
}

fn exports_are_the_entry_points_only(_: &World) {
    for (component, entry_points) in [
        ("bot_component", vec!["wasi:http/incoming-handler@0.2"]),
        ("trigger_component", vec!["handle-cron-event", "wasi:http/incoming-handler@0.2"]),
    ] {
        let exports = imports_and_exports_of(component).exports;
        assert_eq!(exports.len(), entry_points.len(), "{component}: {exports:?}");
        for entry_point in entry_points {
            assert!(
                exports.iter().any(|export| export.starts_with(entry_point)),
                "{component} does not export {entry_point}: {exports:?}"
            );
        }
    }
}

fn component_files_are_at_most_three_mebibytes(_: &World) {
    for component in ["bot_component", "trigger_component"] {
        let bytes = std::fs::metadata(path_of(component)).unwrap().len();
        assert!(bytes <= 3 * 1024 * 1024, "expected at most 3 MiB, but {component}.wasm has {bytes} bytes");
    }
}
