//! Reads the modules of the crate: the names that each has, and the paths that its code uses.
//!
//! Code under `#[cfg(test)]` is marked, so that a rule can leave it out. Documentation and
//! attributes are not code: their links are not imports.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree, Visibility};

/// The text of source files, by their path below the folder of the crate.
pub(crate) type Files = HashMap<PathBuf, String>;

/// All files of a folder.
pub(crate) fn read(crate_folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![crate_folder.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(crate_folder).expect("below it");
                let text = fs::read_to_string(&path).expect("a text");
                files.insert(name.to_owned(), text);
            }
        }
    }
    files
}

/// A module.
#[derive(Debug)]
pub(crate) struct Module {
    /// Names of the modules that it is in, and its own; empty for the crate.
    pub(crate) path: Vec<String>,
    pub(crate) file: PathBuf,
    pub(crate) names: HashMap<String, Name>,
    /// Modules whose names are all its own, too: `use a::*`.
    pub(crate) globs: Vec<Vec<String>>,
    pub(crate) uses: Vec<Use>,
}

/// The target of a name in a module.
#[derive(Debug)]
pub(crate) enum Name {
    /// Something that is defined there.
    Item,
    /// A module in it.
    Module(usize),
    /// Something of another place.
    Import(Vec<String>),
}

/// A path that a module uses.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    /// It stands under `#[cfg(test)]`.
    pub(crate) in_test: bool,
}

/// The place of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In a `use` of the module's own.
    Import,
    /// In a `pub use`, with any visibility: the module re-exports the name, and need not use it
    /// itself.
    ReExport,
    /// In code.
    Code,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("::"))
    }
}

/// The modules of a crate. The first is the crate itself.
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
    numbers: HashMap<Vec<String>, usize>,
}

impl Tree {
    /// Reads a library and, if it has one, the program beside it, which is read as a module `main`.
    pub(crate) fn new(files: &Files) -> Self {
        let mut reader = Reader {
            files,
            modules: Vec::new(),
        };
        reader.file(Path::new("src/lib.rs"), Vec::new(), false);
        if files.contains_key(Path::new("src/main.rs")) {
            let main = reader.file(Path::new("src/main.rs"), vec!["main".to_owned()], false);
            let root = &mut reader.modules[0];
            root.names.insert("main".to_owned(), Name::Module(main));
        }
        let modules = reader.modules;
        let paths = modules.iter().map(|module| module.path.clone());
        Self {
            numbers: paths.zip(0..).collect(),
            modules,
        }
    }

    /// The number of the module with this path.
    pub(crate) fn number(&self, path: &[String]) -> Option<usize> {
        self.numbers.get(path).copied()
    }
}

struct Reader<'f> {
    files: &'f Files,
    modules: Vec<Module>,
}

impl Reader<'_> {
    /// Reads a file as the module `path`; returns its number.
    fn file(&mut self, file: &Path, path: Vec<String>, in_test: bool) -> usize {
        let text = self.files.get(file);
        let text = text.unwrap_or_else(|| panic!("there is no file {file:?} for {path:?}"));
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.module(file, path, &parsed.items, in_test)
    }

    fn module(&mut self, file: &Path, path: Vec<String>, items: &[Item], in_test: bool) -> usize {
        let number = self.modules.len();
        self.modules.push(Module {
            path: path.clone(),
            file: file.to_owned(),
            names: HashMap::new(),
            globs: Vec::new(),
            uses: Vec::new(),
        });
        for item in items {
            let in_test = in_test || is_test(attributes(item));
            match item {
                Item::Mod(module) => {
                    let name = module.ident.to_string();
                    // Declared twice, with reaches that depend on a feature, it is one module.
                    if let Some(Name::Module(_)) = self.modules[number].names.get(&name) {
                        continue;
                    }
                    let mut path = path.clone();
                    path.push(name.clone());
                    let given = module.attrs.iter().find_map(path_of);
                    let inner = match (&module.content, given) {
                        (Some((_, items)), _) => self.module(file, path, items, in_test),
                        (None, Some(given)) => {
                            self.file(&file.with_file_name(given), path, in_test)
                        }
                        (None, None) => self.file(&self.file_of(&path), path, in_test),
                    };
                    let names = &mut self.modules[number].names;
                    names.insert(name, Name::Module(inner));
                }
                Item::Use(import) => self.import(number, import, in_test),
                other => {
                    let module = &mut self.modules[number];
                    module
                        .names
                        .extend(name_of(other).map(|name| (name, Name::Item)));
                    let mut paths = Paths {
                        found: &mut module.uses,
                        in_test,
                    };
                    paths.visit_item(other);
                }
            }
        }
        number
    }

    fn file_of(&self, path: &[String]) -> PathBuf {
        let base = Path::new("src").join(path.iter().collect::<PathBuf>());
        let flat = base.with_extension("rs");
        if self.files.contains_key(&flat) {
            flat
        } else {
            base.join("mod.rs")
        }
    }

    fn import(&mut self, number: usize, import: &ItemUse, in_test: bool) {
        let module = &mut self.modules[number];
        let kind = match import.vis {
            Visibility::Inherited => Kind::Import,
            Visibility::Public(_) | Visibility::Restricted(_) => Kind::ReExport,
        };
        let mut leaves = Vec::new();
        flatten(&import.tree, &mut Vec::new(), &mut leaves);
        for Leaf { path, name, line } in leaves {
            match name {
                // A name for tests only must not hide one for the program.
                Some(name) if in_test => {
                    let import = Name::Import(path.clone());
                    module.names.entry(name).or_insert(import);
                }
                Some(name) => {
                    module.names.insert(name, Name::Import(path.clone()));
                }
                None => module.globs.push(path.clone()),
            }
            module.uses.push(Use {
                path,
                line,
                kind,
                in_test,
            });
        }
    }
}

/// One name of a `use`; without a name, it is all of a module.
struct Leaf {
    path: Vec<String>,
    name: Option<String>,
    line: usize,
}

fn flatten(tree: &UseTree, before: &mut Vec<String>, leaves: &mut Vec<Leaf>) {
    let line = tree.span().start().line;
    let mut leaf = |ident: &str, name: Option<String>| {
        let mut path = before.clone();
        if ident != "self" || path.is_empty() {
            path.push(ident.to_owned());
        }
        let name = name.map(|name| match name.as_str() {
            "self" => path.last().cloned().unwrap_or_default(),
            _ => name,
        });
        leaves.push(Leaf { path, name, line });
    };
    match tree {
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            leaf(&name, Some(name.clone()));
        }
        UseTree::Rename(name) => {
            leaf(&name.ident.to_string(), Some(name.rename.to_string()));
        }
        UseTree::Glob(_) => leaves.push(Leaf {
            path: before.clone(),
            name: None,
            line,
        }),
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, leaves);
            }
        }
    }
}

/// Collects the paths of an item's code.
struct Paths<'m> {
    found: &'m mut Vec<Use>,
    in_test: bool,
}

impl Paths<'_> {
    fn add(&mut self, path: Vec<String>, line: usize, kind: Kind) {
        self.found.push(Use {
            path,
            line,
            kind,
            in_test: self.in_test,
        });
    }

    /// Runs of names with `::` between them, whatever they mean.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !path.is_empty() {
                        self.add(std::mem::take(&mut path), line, Kind::Code);
                    }
                    if path.is_empty() {
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1
                }
                other => {
                    if !path.is_empty() {
                        self.add(std::mem::take(&mut path), line, Kind::Code);
                    }
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        if !path.is_empty() {
            self.add(path, line, Kind::Code);
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let names = segments.map(|segment| segment.ident.to_string()).collect();
        self.add(names, path.span().start().line, Kind::Code);
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        let mut leaves = Vec::new();
        flatten(&import.tree, &mut Vec::new(), &mut leaves);
        for leaf in leaves {
            self.add(leaf.path, leaf.line, Kind::Import);
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes: &[Attribute] = match item {
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Const(item) => &item.attrs,
            _ => &[],
        };
        let before = self.in_test;
        self.in_test |= is_test(attributes);
        visit::visit_impl_item(self, item);
        self.in_test = before;
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|path| path.is_ident("test"))
    })
}

/// The file of `#[path = "…"]`, relative to the folder of its own file.
fn path_of(attribute: &Attribute) -> Option<String> {
    let syn::Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        syn::Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
