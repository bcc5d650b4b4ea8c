//! Reads the names in the code of a module: the definitions, the imports, and the paths.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Ident, ImplItem, Item, ItemUse, Meta, UseTree, Visibility};

use super::names::{Meaning, Segments};

/// The names in the code of one module. `Module` (in `modules.rs`) has the same fields, with descriptions.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) names: BTreeMap<String, Vec<Meaning>>,
    pub(super) globs: Vec<Segments>,
    pub(super) mentions: BTreeSet<Segments>,
    pub(super) re_exports: BTreeSet<Segments>,
}

impl Code {
    pub(super) fn read(items: &[Item]) -> Self {
        let mut reader = Reader::default();
        for item in items.iter().filter(|item| !is_test(item)) {
            if let Some(name) = defined(item) {
                reader.code.names.entry(name_of(name)).or_default().push(Meaning::Definition);
            }
            reader.visit_item(item);
        }
        reader.code
    }
}

/// A name, without the `r#` of a raw identifier.
pub(super) fn name_of(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// Whether an item is only for tests: a module `tests`, or an item with an attribute such as `#[cfg(test)]`.
pub(super) fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) if item.ident == "tests" => return true,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(is_test_only)
}

/// Whether an attribute is `#[cfg(test)]`, or `#[cfg(all(test, …))]` with `test` as the first condition.
fn is_test_only(attribute: &Attribute) -> bool {
    fn needs_test(condition: &Meta) -> bool {
        let mut found = condition.path().is_ident("test");
        if let Meta::List(list) = condition
            && list.path.is_ident("all")
        {
            let _ = list.parse_nested_meta(|part| {
                found |= part.path.is_ident("test");
                // Reads the rest of the list, such as `= "testing", unix` after `feature`. So only the first
                // condition of the list counts.
                let _: Option<TokenStream> = part.input.parse().ok();
                Ok(())
            });
        }
        found
    }
    attribute.path().is_ident("cfg") && attribute.parse_args().is_ok_and(|condition| needs_test(&condition))
}

fn defined(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Reader {
    code: Code,
    /// The names of the variables of the function whose code is being read. In this code, each of these names
    /// means a variable, and no item. So `mention` ignores these names.
    variables: BTreeSet<String>,
}

impl Reader {
    fn mention(&mut self, path: Segments) {
        let is_variable = path.len() == 1 && self.variables.contains(&path[0]);
        if !is_variable {
            self.code.mentions.insert(path);
        }
    }

    /// Calls `read` for a function with these variables. During the call, `mention` ignores the names of the
    /// variables.
    fn in_function(&mut self, variables: Variables, read: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.variables, variables.0);
        read(self);
        self.variables = outside;
    }

    fn import(&mut self, before: &Segments, tree: &UseTree, is_re_export: bool) {
        let with = |ident: &Ident| [&before[..], &[name_of(ident)]].concat();
        match tree {
            UseTree::Path(tree) => self.import(&with(&tree.ident), &tree.tree, is_re_export),
            UseTree::Group(tree) => {
                for tree in &tree.items {
                    self.import(before, tree, is_re_export);
                }
            }
            UseTree::Glob(_) => {
                self.code.globs.push(before.clone());
                self.add_import(before.clone(), is_re_export);
            }
            UseTree::Name(tree) if tree.ident == "self" => {
                self.add_name(before.last().cloned(), before.clone(), is_re_export);
            }
            UseTree::Name(tree) => {
                self.add_name(Some(name_of(&tree.ident)), with(&tree.ident), is_re_export);
            }
            UseTree::Rename(tree) => {
                let path = if tree.ident == "self" { before.clone() } else { with(&tree.ident) };
                self.add_name(Some(name_of(&tree.rename)), path, is_re_export);
            }
        }
    }

    fn add_name(&mut self, name: Option<String>, path: Segments, is_re_export: bool) {
        if let Some(name) = name {
            self.code.names.entry(name).or_default().push(Meaning::Import(path.clone()));
        }
        self.add_import(path, is_re_export);
    }

    fn add_import(&mut self, path: Segments, is_re_export: bool) {
        let set = if is_re_export { &mut self.code.re_exports } else { &mut self.code.mentions };
        set.insert(path);
    }

    /// Reads the paths in tokens that `syn` does not parse, such as the arguments of a macro.
    fn read_tokens(&mut self, tokens: &TokenStream) {
        let mut path = Segments::new();
        let mut before = [' ', ' '];
        for token in tokens.clone() {
            let mut mark = ' ';
            match token {
                TokenTree::Ident(ident) => {
                    if before != [':', ':'] {
                        self.end_path(&mut path);
                    }
                    // A name after `.` is a field or a method, and does not begin a path. A name after `..`
                    // can begin a path, e.g. in `0..MOST`.
                    if before[1] != '.' || before == ['.', '.'] {
                        path.push(name_of(&ident));
                    }
                }
                TokenTree::Punct(punct) => {
                    mark = punct.as_char();
                    if mark != ':' {
                        self.end_path(&mut path);
                    }
                }
                TokenTree::Group(group) => {
                    self.end_path(&mut path);
                    self.read_tokens(&group.stream());
                }
                TokenTree::Literal(_) => self.end_path(&mut path),
            }
            before = [before[1], mark];
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Segments) {
        if !path.is_empty() {
            self.mention(std::mem::take(path));
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        // Skips the code of tests. Also skips a child module, because each module has its own reader.
        if !is_test(item) && !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_test = matches!(item, ImplItem::Fn(function) if function.attrs.iter().any(is_test_only));
        if !is_test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            let is_re_export = !matches!(item.vis, Visibility::Inherited);
            self.import(&Segments::new(), &item.tree, is_re_export);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let mut variables = Variables::default();
        variables.visit_item_fn(function);
        self.in_function(variables, |reader| visit::visit_item_fn(reader, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let mut variables = Variables::default();
        variables.visit_impl_item_fn(function);
        self.in_function(variables, |reader| visit::visit_impl_item_fn(reader, function));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.mention(path.segments.iter().map(|segment| name_of(&segment.ident)).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        // A name in a pattern can be a constant, e.g. `MOST` in `Some(MOST) => …`. If the name is one of
        // `variables`, `mention` ignores the name.
        self.mention(vec![name_of(&pattern.ident)]);
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.read_tokens(tokens);
    }
}

/// The variables of a function: the names in the function's patterns, except the names that begin with a
/// capital letter.
#[derive(Debug, Default)]
struct Variables(BTreeSet<String>);

impl<'ast> Visit<'ast> for Variables {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = name_of(&pattern.ident);
        if !name.starts_with(char::is_uppercase) {
            self.0.insert(name);
        }
        visit::visit_pat_ident(self, pattern);
    }
}
