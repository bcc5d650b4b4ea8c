//! Reads the modules of a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::{Item, ItemMod};

use super::code::{self, Code};
use super::names::{Meaning, ModuleId, Segments};

/// The modules of a crate, without the modules of tests. The first module is the root of the crate.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) modules: Vec<Module>,
}

#[derive(Debug)]
pub(super) struct Module {
    /// The file that contains the module, relative to the workspace.
    pub(super) file: PathBuf,
    pub(super) parent: Option<ModuleId>,
    pub(super) names: BTreeMap<String, Vec<Meaning>>,
    /// The paths of the imports with `*`, e.g. `a::b` for `use a::b::*`.
    pub(super) globs: Vec<Segments>,
    /// The paths of the module's imports, and the paths in the module's code.
    pub(super) mentions: BTreeSet<Segments>,
    /// The paths of the re-exports: imports that other modules can use, too (`pub use`).
    pub(super) re_exports: BTreeSet<Segments>,
}

impl Crate {
    /// Reads a crate. `crate_root` is the path of the crate's first file, e.g. `src/lib.rs`. `root` is the
    /// folder of the workspace.
    pub(super) fn read(root: &Path, crate_root: &Path) -> anyhow::Result<Self> {
        let mut read = Self { modules: Vec::new() };
        let folder = crate_root.parent().unwrap_or(root);
        read.add_file(root, crate_root, folder, None)?;
        Ok(read)
    }

    /// Adds the module in the file `path`, and all modules below this module. The files of the child modules
    /// are in `folder`.
    fn add_file(
        &mut self,
        root: &Path,
        path: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
    ) -> anyhow::Result<ModuleId> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        let file = path.strip_prefix(root).unwrap_or(path);
        self.add_module(root, file, folder, parent, &parsed.items)
    }

    fn add_module(
        &mut self,
        root: &Path,
        file: &Path,
        folder: &Path,
        parent: Option<ModuleId>,
        items: &[Item],
    ) -> anyhow::Result<ModuleId> {
        let id = self.modules.len();
        let Code { names, globs, mentions, re_exports } = Code::read(items);
        self.modules.push(Module { file: file.to_owned(), parent, names, globs, mentions, re_exports });
        for item in items.iter().filter(|item| !code::is_test(item)) {
            if let Item::Mod(child) = item {
                let name = code::name_of(&child.ident);
                let child = self.add_child(root, file, folder, id, child)?;
                self.modules[id].names.entry(name).or_default().push(Meaning::Module(child));
            }
        }
        Ok(id)
    }

    fn add_child(
        &mut self,
        root: &Path,
        file: &Path,
        folder: &Path,
        parent: ModuleId,
        child: &ItemMod,
    ) -> anyhow::Result<ModuleId> {
        let name = code::name_of(&child.ident);
        let below = folder.join(&name);
        if let Some((_, items)) = &child.content {
            return self.add_module(root, file, &below, Some(parent), items);
        }
        let beside = folder.join(format!("{name}.rs"));
        let path = if beside.is_file() { beside } else { below.join("mod.rs") };
        self.add_file(root, &path, &below, Some(parent))
    }
}
