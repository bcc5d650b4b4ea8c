//! Tests of `cargo dev circles`. Most tests write a small crate into a temporary folder, and check this
//! crate.

use std::path::Path;

use tempfile::TempDir;

use super::packages::{self, Package};
use super::{arrows_between_files, graph::Graph};

/// Finds the circles of a crate with these files. The first file is the root of the crate.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let graph: Graph = arrows_between_files(folder.path(), &folder.path().join(files[0].0)).unwrap();
    graph.circles("imports", "move it")
}

const ROOT: (&str, &str) = ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n");
const NO_CIRCLES: [&str; 0] = [];

#[test]
fn files_that_import_each_other_by_use_or_by_path_are_a_circle() {
    const A: &str = "pub struct A;\npub const MOST: u8 = 1;\npub fn make() {}\n";
    for (b, names) in [
        ("use crate::a::A;", "A"),
        ("use super::a::{self, A};", "A"),
        ("use crate::a::{A as Other, make};", "A, make"),
        ("pub use crate::a::A;", "A"),
        ("use crate::a::*;\nfn f(_: A) {}", "A"),
        ("use crate::a;\nfn f(_: a::A) {}", "A"),
        ("fn f(_: &[crate::a::A]) {}", "A"),
        ("fn f() { use super::a::make; make() }", "make"),
        ("fn f() { assert!(vec![1].len() == crate::a::MOST.into()); }", "MOST"),
        ("fn f(x: u8) -> bool { matches!(x, super::a::MOST) }", "MOST"),
        ("mod inner { pub fn f(_: super::super::a::A) {} }", "A"),
        ("#[derive(crate::a::A)]\nstruct B;", "A"),
    ] {
        let a = format!("{A}use crate::b::B;\n");
        let b = format!("pub struct B;\n{b}\n");
        let found = circles(&[("lib.rs", "mod a;\nmod b;\n"), ("a.rs", &a), ("b.rs", &b)]);
        let expected = format!("a.rs: imports b.rs, which imports a.rs ({names}); move it");
        assert_eq!(found, [expected], "{b}");
    }
}

#[test]
fn circle_of_three_files_is_reported_with_all_arrows() {
    let found = circles(&[
        ROOT,
        ("a.rs", "pub struct A; use crate::b::B; use crate::d::D;"),
        ("b.rs", "pub struct B; use crate::c::C;"),
        ("c.rs", "pub struct C; use crate::a::A;"),
        ("d.rs", "pub struct D;"),
    ]);
    let expected = "a.rs: imports b.rs, which imports a.rs by way of c.rs (A); move it\n  \
                    a.rs -> b.rs: B\n  b.rs -> c.rs: C\n  c.rs -> a.rs: A";
    assert_eq!(found, [expected]);
}

#[test]
fn re_exported_name_makes_an_arrow_to_the_defining_file() {
    const PARENT: &str = "mod low;\nmod high;\npub use low::Low;\npub use high::high;\n";
    let files = |parent: &str, high: &str| {
        circles(&[
            ("lib.rs", "mod parent;\n"),
            ("parent/mod.rs", &format!("{PARENT}{parent}")),
            ("parent/low.rs", "pub struct Low;"),
            ("parent/high.rs", &format!("pub fn high() {{}}\n{high}")),
        ])
    };
    assert_eq!(files("", "use super::Low;"), NO_CIRCLES, "the parent only re-exports names");
    assert_eq!(files("pub struct P;", "use super::P;"), NO_CIRCLES, "the parent does not use the child");
    assert_eq!(
        files("pub struct P(Low);", "use super::{Low, P};"),
        NO_CIRCLES,
        "high.rs imports mod.rs and low.rs, mod.rs uses low.rs, and no arrow leads back"
    );
    let circle = "parent/high.rs: imports parent/mod.rs, which imports parent/high.rs (high); move it";
    assert_eq!(files("pub struct P;\nfn f() { high() }", "use super::P;"), [circle]);
}

#[test]
fn comments_tests_and_other_meanings_of_a_name_make_no_arrow() {
    const A: &str = "pub struct A;\nuse crate::b::B;\n";
    for b in [
        "#[cfg(test)]\nmod tests { use crate::a::A; }",
        "#[cfg(test)]\nuse crate::a::A;",
        "#[cfg(all(test, unix))]\nfn f(_: crate::a::A) {}",
        "#[cfg(test)]\nmod testing;",
        "mod tests;",
        "struct S; impl S { #[cfg(test)] fn f(_: crate::a::A) {} }",
        "use a::A;\nuse std::a;",
        "use ::a::A;",
        "mod a { pub struct A; }\nfn f(_: a::A) {}",
        "fn f(a: u8) -> u8 { let make = a; make }",
        "/// [`crate::a::A`]\nfn f() {}",
    ] {
        let b = format!("pub struct B;\n{b}\n");
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", A),
            ("b.rs", &b),
            ("b/testing.rs", "use crate::a::A;"),
            ("b/tests.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found, NO_CIRCLES, "{b}");
    }
}

#[test]
fn name_in_a_macro_call_counts_as_defined_in_the_file_of_the_call() {
    let found = circles(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        ("a.rs", "make! { pub struct A; }\nuse crate::b::B;"),
        ("b.rs", "pub struct B;\nuse crate::a::A;"),
    ]);
    assert_eq!(found, ["a.rs: imports b.rs, which imports a.rs (A); move it"]);
}

#[test]
fn packages_that_depend_on_each_other_are_a_circle() {
    let package = |name: &str, needs: &[&str]| Package {
        name: name.to_owned(),
        crate_roots: Vec::new(),
        needs: needs.iter().map(|need| ((*need).to_owned(), "dependencies")).collect(),
    };
    // The package `b` depends on itself, too. This is allowed, because `dev-dependencies` can list the same
    // package with other features.
    let all = [package("a", &["b"]), package("b", &["c", "b"]), package("c", &["a"]), package("d", &["a"])];
    let found = packages::arrows(&all).circles("depends on", "move it");
    assert_eq!(found.len(), 1, "{found:?}");
    let begin = "a: depends on b, which depends on a by way of c (dependencies); move it\n";
    assert!(found[0].starts_with(begin), "{found:?}");
    assert_eq!(packages::arrows(&all[1..]).circles("depends on", "move it"), NO_CIRCLES);
}
