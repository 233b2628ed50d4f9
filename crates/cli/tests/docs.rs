//! The pages for readers: their links lead somewhere, the paths that they name are there, the examples of the crates are doc
//! tests, and the commands work.
//!
//! A command is every `mp-train ...` in a fenced block. The commands of a page run in their order, in one folder for the page,
//! where they find what readers have: a recipe, runs, pictures. Data sets become the embedded digits, models a narrow one and
//! runs short: see [`shortened`]. [`ONLY_PARSED`] lists those that do not run, and why.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Commands that are only parsed: part of the line, in which `$` is its end, and the reason.
const ONLY_PARSED: [(&str, &str); 14] = [
    ("--devices", "wants GPUs"),
    ("data fetch", "downloads a data set"),
    ("--device cuda", "wants a GPU"),
    ("digits-skipnet", "learns by the labels for more epochs than a short run has"),
    ("model.drop_path", "wants a residual network"),
    ("docs/studies/", "a study of this repository, which trains for long"),
    ("bench aig", "times networks that skip"),
    ("models$", "counts every network of the zoo"),
    ("--match", "counts every family in many sizes"),
    ("--ema", "wants a run that keeps averages of its weights"),
    (".pth", "wants a public file of weights"),
    (".th ", "wants a public file of weights"),
    ("runs/other/", "wants a run of another network"),
    ("--as torchvision", "wants a run of a network of torchvision"),
];

/// Words of commands that mean something else where the data and models are others.
const INSTEAD: [(&str, &str); 3] = [
    ("runs/resnet20_x3_cc-cifar10", "runs/base_cnn_w4_x3_cc-digits"),
    ("train.epochs=60", "train.epochs=2"),
    ("train.class_weights=[1.0, 2.5]", "train.class_weights=[1.0, 2.5, 1, 1, 1, 1, 1, 1, 1, 1]"),
];

/// The study that readers have.
const STUDY: &str = r#"
recipe = "digits"
set = { "train.epochs" = 1, "train.batch_size" = 32, "data.limit" = 64, "data.holdout" = 16 }
seeds = [1]
match = { to = "cc", by = "parameters", tolerance = 0.2 }
[[entrant]]
name = "cc"
model = "base_cnn_w4_x2_cc"
[[entrant]]
name = "widened"
family = "base_cnn"
"#;

/// What makes a run short; as the last settings of a command they win.
const SHORT: [&str; 6] = ["--set", "train.epochs=2", "--set", "data.limit=64", "--set", "train.batch_size=32"];

/// The recipe that readers have, whatever a page calls its model and data.
const RECIPE: &str = "\
[model]
name = \"base_cnn_w4_x2_cc\"
[data]
name = \"digits\"
limit = 64
[train]
epochs = 1
batch_size = 32
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The folders of the crates, from the root.
fn crates() -> Vec<String> {
    names(&root().join("crates")).into_iter().map(|name| format!("crates/{name}")).collect()
}

/// All pages, from the root.
fn pages() -> Vec<String> {
    let book = names(&root().join("docs/src")).into_iter().filter(|name| name.ends_with(".md"));
    let book = book.map(|name| format!("docs/src/{name}"));
    let crates = crates().into_iter().map(|folder| format!("{folder}/README.md"));
    std::iter::once("README.md".to_owned()).chain(book).chain(crates).collect()
}

/// A line of a page, counted from 1.
struct Line {
    number: usize,
    text: String,
    /// Whether it stands in a fenced block, and the language of that.
    fence: Option<String>,
}

/// The lines of a page without the fences themselves.
fn lines(page: &str) -> Vec<Line> {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (mut lines, mut fence) = (Vec::new(), None);
    for (number, text) in (1..).zip(text.lines()) {
        match (text.trim_start().strip_prefix("```"), &fence) {
            (Some(language), None) => fence = Some(language.to_owned()),
            (Some(_), Some(_)) => fence = None,
            (None, _) => lines.push(Line { number, text: text.to_owned(), fence: fence.clone() }),
        }
    }
    assert!(fence.is_none(), "{page}: a fenced block has no end");
    lines
}

/// The parts of a line between two backticks, and the line without them.
fn code(text: &str) -> (Vec<String>, String) {
    let parts: Vec<&str> = text.split('`').collect();
    let of = |rest| parts.iter().skip(rest).step_by(2).map(|part| (*part).to_owned());
    (of(1).collect(), of(0).collect::<Vec<_>>().concat())
}

/// The anchors of a page's headings, by mdBook's rule: letters, digits, `-` and `_` in lower case, `-` for a space, and a number
/// after a heading that is there already.
fn anchors(page: &str) -> Vec<String> {
    let (mut anchors, mut seen) = (Vec::new(), HashMap::new());
    for Line { text, .. } in lines(page).iter().filter(|line| line.fence.is_none()) {
        let heading = text.trim_start_matches('#');
        if heading.len() == text.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
        let id: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let times: &mut usize = seen.entry(id.clone()).or_default();
        anchors.push(if *times == 0 { id } else { format!("{id}-{times}") });
        *times += 1;
    }
    anchors
}

/// What is wrong with a link of a page, if anything is.
fn broken(page: &str, link: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let folder = root().join(page).parent().unwrap().to_owned();
    let target = if path.is_empty() { root().join(page) } else { folder.join(path) };
    let Ok(target) = target.canonicalize() else { return Some("no such file".to_owned()) };
    if page.starts_with("docs/src") && !target.starts_with(root().join("docs/src")) {
        return Some("leads out of the book".to_owned());
    }
    let target = target.strip_prefix(root()).ok()?.to_str()?.to_owned();
    let found = anchor.is_none_or(|anchor| anchors(&target).iter().any(|known| known == anchor));
    (!found).then(|| format!("no such heading; there are {}", anchors(&target).join(", ")))
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for page in pages() {
        for Line { number, text, .. } in lines(&page).iter().filter(|line| line.fence.is_none()) {
            let (_, plain) = code(text);
            let links = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            for (link, _) in links {
                faults.extend(broken(&page, link).map(|fault| format!("{page}:{number}: {link}: {fault}")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_summary_has_every_page_of_the_book() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    for page in names(&root().join("docs/src")).iter().filter(|name| name.ends_with(".md") && *name != "SUMMARY.md") {
        assert!(summary.contains(&format!("]({page})")), "docs/src/SUMMARY.md lacks {page}");
    }
}

#[test]
fn anchors_follow_mdbooks_rule() {
    let recipes = anchors("docs/src/recipes.md");
    for expected in ["going-on", "modelroutingmixer", "routing_loss", "ranges-of-numbers"] {
        assert!(recipes.iter().any(|anchor| anchor == expected), "{expected} is not in {recipes:?}");
    }
}

#[test]
fn paths_in_the_repository_are_there() {
    let folders = ["benches/", "crates/", "datasets/", "docs/", "examples/"];
    for page in pages() {
        for Line { number, text, .. } in lines(&page).iter().filter(|line| line.fence.is_none()) {
            let (spans, _) = code(text);
            for span in spans.iter().filter(|span| folders.iter().any(|folder| span.starts_with(folder))) {
                assert!(root().join(span).exists(), "{page}:{number}: `{span}` is not there");
            }
        }
    }
}

/// The doc tests of a crate, without what they hide.
fn doc_tests(folder: &Path, found: &mut Vec<String>) {
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            doc_tests(&path, found);
        } else if name.ends_with(".rs") {
            let mut block: Option<String> = None;
            for line in fs::read_to_string(&path).unwrap().lines().map(str::trim_start) {
                let Some(text) = line.strip_prefix("//!").or(line.strip_prefix("///")) else { continue };
                let text = text.strip_prefix(' ').unwrap_or(text);
                match (&mut block, text.starts_with("```"), text.starts_with("# ")) {
                    (None, true, _) => block = Some(String::new()),
                    (Some(_), true, _) => found.extend(block.take()),
                    (Some(block), _, false) => *block += &format!("{text}\n"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn the_example_of_each_crate_is_one_of_its_doc_tests() {
    for folder in crates() {
        let page = format!("{folder}/README.md");
        let rust = lines(&page).into_iter().filter(|line| line.fence.as_deref() == Some("rust"));
        let example: String = rust.map(|line| line.text + "\n").collect();
        let mut tests = vec![String::new()];
        doc_tests(&root().join(&folder).join("src"), &mut tests);
        assert!(tests.contains(&example), "{page}: no doc test of the crate is\n{example}");
    }
}

/// The commands of a line of a shell, each with its words.
fn words(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    for c in line.chars().chain(['\n']) {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            ('#', None) if word.is_none() => break,
            (' ' | '\n' | ';' | '|' | '>', None) => {
                commands.last_mut().unwrap().extend(word.take());
                if matches!(c, ';' | '|' | '>') {
                    commands.push(Vec::new());
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    commands
}

/// The arguments of every call of `mp-train` in the blocks of a page, with its line.
fn commands(page: &str) -> Vec<(usize, Vec<String>)> {
    let (mut found, mut begun) = (Vec::new(), String::new());
    for Line { number, text, .. } in lines(page).iter().filter(|line| line.fence.is_some()) {
        begun += text;
        if begun.ends_with('\\') {
            begun.pop();
            continue;
        }
        for command in words(&begun) {
            let Some(at) = command.iter().position(|word| word == "mp-train") else { continue };
            // A prompt, a loop, Slurm, or a variable.
            let before = |word: &String| ["$", "do", "srun"].contains(&word.as_str()) || word.contains('=');
            if command[..at].iter().all(before) {
                found.push((*number, command[at + 1..].to_vec()));
            }
        }
        begun.clear();
    }
    found
}

/// A model's name with a small network in the place of its own: `base_cnn_w4_x3_cc` for `resnet20_w28_x3_cc`.
fn narrow(model: &str) -> String {
    let (name, routing) = model.find('@').map_or((model, ""), |at| model.split_at(at));
    let is_form = |part: &&str| {
        matches!(*part, "cc" | "cp" | "stitch" | "blind")
            || part.strip_prefix(['x', 'e']).is_some_and(|n| n.parse::<u8>().is_ok())
    };
    let forms: String = name.split('_').skip(1).filter(is_form).map(|part| format!("_{part}")).collect();
    format!("base_cnn_w4{forms}{routing}")
}

/// A command that does the same in seconds and without downloads.
fn shortened(arguments: &[String]) -> Vec<String> {
    // What processes are launched for is a command of its own.
    if let Some(at) = arguments.iter().position(|word| word == "--") {
        return [&arguments[..=at], &shortened(&arguments[at + 1..])].concat();
    }
    let mut short: Vec<String> = Vec::new();
    let mut after = "";
    let command = arguments[0].as_str();
    for (at, word) in arguments.iter().enumerate() {
        let instead = INSTEAD.iter().find(|(from, _)| from == word).map(|(_, to)| (*to).to_owned());
        let option = word.starts_with("--");
        let replaced = match (command, after, at) {
            _ if option => word.clone(),
            (_, "--data", _) | ("data", _, 2) => "digits".to_owned(),
            ("train", _, 1) if !word.ends_with(".toml") && !word.starts_with("digits") => "digits".to_owned(),
            (_, "--model", _) | ("weights", _, 1) => narrow(word),
            ("bench", "--rounds" | "--batch", _) => "1".to_owned(),
            ("bench", "" | "bench", 1..) => narrow(word),
            _ => word.clone(),
        };
        short.push(instead.unwrap_or(replaced));
        after = match option {
            true => word,
            false => "",
        };
    }
    let has = |option: &str| arguments.iter().any(|word| word == option);
    let more: &[&str] = match command {
        "train" if !has("--resume") => &SHORT,
        "bench" if !has("--rounds") => &["--rounds", "1", "--batch", "2"],
        "bench" => &["--batch", "2"],
        _ => &[],
    };
    short.extend(more.iter().map(|word| (*word).to_owned()));
    short
}

fn mp_train(folder: &Path, arguments: &[String]) -> Command {
    fs::write(folder.join("paths.txt"), "photo.png\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mp-train"));
    command.args(arguments).current_dir(folder).stdin(fs::File::open(folder.join("paths.txt")).unwrap());
    command.env("MULTIPATH_DATA", folder.join("no-data")).env("OMP_NUM_THREADS", "1").stdout(Stdio::null());
    command
}

/// Why a command fails, if it does.
fn failure(mut command: Command) -> Option<String> {
    let output = command.output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Why the command line does not take arguments, if it does not. The environment is looked at right after they are parsed, and
/// before anything is done: a process that complains about it has taken them.
fn misunderstood(folder: &Path, arguments: &[String]) -> Option<String> {
    let mut command = mp_train(folder, arguments);
    command.env("RAYON_NUM_THREADS", "many");
    let message = failure(command).unwrap_or_else(|| panic!("{arguments:?} was run"));
    (!message.contains("RAYON_NUM_THREADS")).then_some(message)
}

/// What the readers of a page have: of runs and weights those that its commands name and do not write.
fn furnish(folder: &Path, commands: &[(usize, Vec<String>)]) {
    fs::write(folder.join("mine.toml"), RECIPE).unwrap();
    fs::create_dir(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/study.toml"), STUDY).unwrap();
    for (name, line) in [
        ("runs/mine", "train mine.toml --out runs/mine"),
        ("runs/quickstart", "train mine.toml --out runs/quickstart"),
        ("resnet18.safetensors", "weights base_cnn_w4 resnet18.safetensors"),
    ] {
        let first = commands.iter().find(|(_, words)| words.iter().any(|word| word == name));
        let written = |words: &[String]| words[0] == "train" && !words.iter().any(|word| word.ends_with("-resume"));
        if first.is_some_and(|(_, words)| !written(words)) {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(failure(mp_train(folder, &arguments)), None, "{line}");
        }
    }
    fs::create_dir_all(folder.join("my/photos")).unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    let picture = image::GrayImage::from_fn(8, 8, |x, y| image::Luma([(16 * x + y) as u8]));
    for name in ["photo.png", "other.jpg", "shoe.png", "my/photos/1.png", "folder/1.png"] {
        picture.save(folder.join(name)).unwrap();
    }
    ndarray_npy::write_npy(folder.join("batch.npy"), &ndarray::Array4::<u8>::zeros((2, 8, 8, 1))).unwrap();
}

/// Runs the commands of a page.
fn check(page: &str) {
    let found = commands(page);
    assert!(!found.is_empty(), "{page} shows no command: leave it out here");
    let folder = tempfile::tempdir().unwrap();
    furnish(folder.path(), &found);
    for (number, arguments) in found {
        let line = arguments.join(" ") + "$";
        let fault = match ONLY_PARSED.iter().any(|(part, _)| line.contains(part)) {
            true => misunderstood(folder.path(), &arguments),
            false => failure(mp_train(folder.path(), &shortened(&arguments))),
        };
        if let Some(message) = fault {
            panic!(
                "{page}:{number}: mp-train {}, tried as {:?}: {message}",
                arguments.join(" "),
                shortened(&arguments)
            );
        }
    }
}

macro_rules! pages_with_commands {
    ($($name:ident: $page:literal,)*) => {
        mod commands_of {
            $(#[test] fn $name() { super::check($page); })*
        }

        #[test]
        fn no_page_with_commands_is_forgotten() {
            let found: Vec<String> = pages().into_iter().filter(|page| !commands(page).is_empty()).collect();
            assert_eq!(found, [$($page),*]);
        }
    };
}

pages_with_commands! {
    readme: "README.md",
    compare: "docs/src/compare.md",
    conditional: "docs/src/conditional.md",
    data_formats: "docs/src/data-formats.md",
    data: "docs/src/data.md",
    devices: "docs/src/devices.md",
    doctor: "docs/src/doctor.md",
    files: "docs/src/files.md",
    first_network: "docs/src/first-network.md",
    judge: "docs/src/judge.md",
    libtorch: "docs/src/libtorch.md",
    models: "docs/src/models.md",
    performance: "docs/src/performance.md",
    processes: "docs/src/processes.md",
    recipes: "docs/src/recipes.md",
    results: "docs/src/results.md",
    routing: "docs/src/routing.md",
    weights: "docs/src/weights.md",
}

#[test]
fn commands_are_found_in_the_lines_of_a_shell() {
    let quoted = "srun mp-train train --set 'a=[1, 2]' > out.csv # a comment";
    assert_eq!(words(quoted)[0], ["srun", "mp-train", "train", "--set", "a=[1, 2]"]);
    assert_eq!(words("find . | mp-train predict runs/mine --list -")[1][1..], ["predict", "runs/mine", "--list", "-"]);
    assert_eq!(narrow("resnet20_w28_x3_cc@positions=blocks"), "base_cnn_w4_x3_cc@positions=blocks");
    let arguments = words("bench resnet20 resnet20_x3 --rounds 12 --peak").remove(0);
    let expected = "bench base_cnn_w4 base_cnn_w4_x3 --rounds 1 --peak --batch 2";
    assert_eq!(shortened(&arguments).join(" "), expected);
}
