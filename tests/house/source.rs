//! The project's files, and Rust source as paths and calls: comments and literals are told from code by a real lexer.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One Rust file below `src/`, without its tests.
pub(crate) struct Source {
    /// Its path from the project's folder: `src/journal/books.rs`.
    pub(crate) path: String,
    tokens: Vec<TokenTree>,
}

/// A path as it stands in code, `use` trees spread out: `crate`, `journal`, `Journal`.
pub(crate) struct CodePath {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl CodePath {
    /// Whether these segments stand in it one after another.
    pub(crate) fn holds(&self, words: &[&str]) -> bool {
        self.segments.windows(words.len()).any(|window| window == words)
    }
}

impl Source {
    /// A file's code; items under `#[cfg(test)]` are left out.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), tokens: without_tests(tokens, &mut Vec::new()) }
    }

    /// The top-level module that it belongs to.
    pub(crate) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// How many modules deep it lies: 1 for a top-level module's own file.
    pub(crate) fn depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/").trim_end_matches("/mod.rs");
        inside.split('/').count()
    }

    /// Every path in it.
    pub(crate) fn paths(&self) -> Vec<CodePath> {
        let mut found = Vec::new();
        collect_paths(&self.tokens, &[], &mut found);
        found
    }

    /// The lines in which a method of this name is called.
    pub(crate) fn calls(&self, method: &str) -> Vec<usize> {
        let mut found = Vec::new();
        collect_calls(&self.tokens, method, &mut found);
        found
    }
}

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the project as text.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the project, as paths from the project's own; `.git` and `target` are none of it.
pub(crate) fn files(under: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(under)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            let skipped = [Path::new(".git"), Path::new("target")].contains(&path.as_path());
            match entry.file_type().unwrap() {
                _ if skipped => {}
                kind if kind.is_dir() => folders.push(path),
                _ => found.push(path.to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// The library's sources, files of tests left out.
pub(crate) fn sources() -> Vec<Source> {
    let paths: Vec<_> = files("src").into_iter().filter(|path| path.ends_with(".rs")).collect();
    let tests: Vec<_> = paths.iter().flat_map(|path| test_files(path, &text(path))).collect();
    let is_test = |path: &str| tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/")));
    paths.iter().filter(|path| !is_test(path)).map(|path| Source::new(path, &text(path))).collect()
}

/// The files and folders that this file declares as `#[cfg(test)] mod name;`.
fn test_files(path: &str, text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    without_tests(text.parse().unwrap(), &mut modules);
    let file = Path::new(path);
    let folder = file.parent().unwrap();
    let is_root = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| file.ends_with(name));
    let base = if is_root { folder.to_owned() } else { file.with_extension("") };
    modules
        .iter()
        .flat_map(|module| match &module.path {
            Some(named) => vec![folder.join(named)],
            None => vec![base.join(format!("{}.rs", module.name)), base.join(&module.name)],
        })
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
}

/// A module of tests in a file of its own.
struct TestModule {
    name: String,
    path: Option<String>,
}

/// The tokens without items under `#[cfg(test)]`; those of them that are files are added to `modules`.
fn without_tests(tokens: TokenStream, modules: &mut Vec<TestModule>) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let is_test =
            is_punct(&token, '#') && rest.peek().is_some_and(|next| squeezed(next) == "[cfg(test)]");
        if is_test {
            let item = next_item(&mut rest);
            if let Some(module) = module_file(&item) {
                modules.push(module);
            }
        } else if let TokenTree::Group(group) = &token {
            let inner = without_tests(group.stream(), modules).into_iter().collect();
            let mut copy = Group::new(group.delimiter(), inner);
            copy.set_span(group.span());
            kept.push(copy.into());
        } else {
            kept.push(token);
        }
    }
    kept
}

/// The rest of an item: up to its `;` or its braces.
fn next_item(rest: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) -> Vec<TokenTree> {
    let mut item = Vec::new();
    for token in rest.by_ref() {
        let is_end = is_punct(&token, ';') || is_braces(&token);
        item.push(token);
        if is_end {
            break;
        }
    }
    let is_use = item.iter().any(|token| squeezed(token) == "use");
    if is_use && rest.peek().is_some_and(|token| is_punct(token, ';')) {
        item.extend(rest.next());
    }
    item
}

fn module_file(item: &[TokenTree]) -> Option<TestModule> {
    let at = item.iter().position(|token| squeezed(token) == "mod")?;
    let name = item.get(at + 1).map(squeezed)?;
    let is_file = item.last().is_some_and(|token| is_punct(token, ';'));
    let named = |token: &TokenTree| {
        Some(squeezed(token).strip_prefix("[path=\"")?.trim_end_matches("\"]").to_owned())
    };
    is_file.then(|| TestModule { name, path: item.iter().find_map(named) })
}

fn collect_paths(tokens: &[TokenTree], prefix: &[String], found: &mut Vec<CodePath>) {
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(first) => {
                let line = first.span().start().line;
                let mut segments = prefix.to_vec();
                segments.push(first.to_string());
                at += 1;
                while let Some(next) = after_colons(tokens, at) {
                    match next {
                        TokenTree::Ident(word) => segments.push(word.to_string()),
                        TokenTree::Group(tree) if tree.delimiter() == Delimiter::Brace => {
                            let tree: Vec<_> = tree.stream().into_iter().collect();
                            collect_paths(&tree, &segments, found);
                        }
                        _ => break,
                    }
                    at += 3;
                }
                found.push(CodePath { segments, line });
            }
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                collect_paths(&inner, &[], found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// The token behind a `::` at this place.
fn after_colons(tokens: &[TokenTree], at: usize) -> Option<&TokenTree> {
    let colons = tokens.get(at..at + 2)?.iter().all(|token| is_punct(token, ':'));
    colons.then(|| tokens.get(at + 2)).flatten()
}

fn collect_calls(tokens: &[TokenTree], method: &str, found: &mut Vec<usize>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                collect_calls(&inner, method, found);
            }
            TokenTree::Ident(name) if name == method && at > 0 && is_punct(&tokens[at - 1], '.') => {
                let is_call = matches!(tokens.get(at + 1), Some(TokenTree::Group(args)) if args.delimiter() == Delimiter::Parenthesis);
                if is_call {
                    found.push(name.span().start().line);
                }
            }
            _ => {}
        }
    }
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// A token's text without blanks.
fn squeezed(token: &TokenTree) -> String {
    token.to_string().replace(char::is_whitespace, "")
}

#[test]
fn tests_are_told_from_code() {
    let text = "
        #[cfg(test)] mod tests;
        #[cfg(test)] #[path = \"x_tests.rs\"] mod more;
        #[cfg(test)] mod inside { use crate::hidden; }
        #[cfg(test)] use crate::hidden::{A, B};
        // use crate::comment;
        /// [`crate::doc`]
        fn f() { let text = \"crate::literal\"; crate::seen::f(); }";
    let words: Vec<_> =
        Source::new("src/x/y.rs", text).paths().iter().map(|path| path.segments.join("::")).collect();
    assert!(words.contains(&"crate::seen::f".to_owned()));
    assert!(
        !words
            .iter()
            .any(|path| ["hidden", "comment", "crate::doc", "literal"].iter().any(|no| path.contains(no)))
    );
    assert_eq!(test_files("src/x/y.rs", text), ["src/x/y/tests.rs", "src/x/y/tests", "src/x/x_tests.rs"]);
    assert_eq!(test_files("src/x/mod.rs", "#[cfg(test)] mod tests;"), ["src/x/tests.rs", "src/x/tests"]);
}

#[test]
fn a_tree_of_uses_is_spread_out() {
    let source = Source::new("src/x.rs", "use crate::{a::{B, C as D}, e::*, f};");
    let paths: Vec<_> = source.paths().iter().map(|path| path.segments.join("::")).collect();
    for path in ["crate::a::B", "crate::a::C", "crate::e", "crate::f"] {
        assert!(paths.iter().any(|found| found == path), "{path} in {paths:?}");
    }
}
