//! Reads the imports and exports of a built component.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use wasmparser::component_types::ComponentEntityType;
use wasmparser::{Parser, Payload, Validator};

/// The imports and exports of a WebAssembly component.
#[derive(Debug, Default)]
pub struct ImportsAndExports {
    /// The functions that the component imports. Each map key is an interface with its version, such as
    /// `wasi:http/types@0.2.0`. The value is the set of the functions that the component imports from this
    /// interface. A method of a resource has a name such as `[method]fields.get`.
    ///
    /// If an imported function belongs to no interface, the map key is the name of the function, and the set
    /// is empty.
    pub imports: BTreeMap<String, BTreeSet<String>>,
    /// The exported interfaces with their versions, and the exported functions that belong to no interface.
    pub exports: BTreeSet<String>,
}

/// Returns the path of a component's release build.
pub fn path_of(name: &str) -> PathBuf {
    dev::workspace::root().join(format!("target/wasm32-wasip2/release/{name}.wasm"))
}

/// Validates the file of a component, and reads the imports and exports.
#[track_caller]
pub fn imports_and_exports_of(name: &str) -> ImportsAndExports {
    let path = path_of(name);
    let wasm = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let types =
        Validator::new().validate_all(&wasm).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = ImportsAndExports::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(&wasm) {
        match payload.expect("validated") {
            // A component can contain modules and other components. The Spin host sees only the imports and
            // exports of the outermost component.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let name = import.expect("validated").name.name;
                    let item = types.component_item_for_import(name).expect("an import has a type");
                    let functions = match item.ty {
                        // The list of imports also contains types. The component describes each type itself,
                        // so the host supplies no types.
                        ComponentEntityType::Type { .. } => continue,
                        ComponentEntityType::Instance(id) => {
                            let exports = types[id].exports.iter();
                            exports
                                .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
                                .map(|(name, _)| name.clone())
                                .collect()
                        }
                        _ => BTreeSet::new(),
                    };
                    found.imports.insert(name.into(), functions);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                found.exports.extend(
                    section.into_iter().map(|export| export.expect("validated").name.name.to_owned()),
                );
            }
            _ => {}
        }
    }
    found
}
