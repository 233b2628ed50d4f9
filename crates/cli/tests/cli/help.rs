use super::*;

#[test]
fn every_command_explains_itself_with_examples() {
    let here = Path::new(".");
    let commands: [&[&str]; 11] = [
        &["train"],
        &["eval"],
        &["predict"],
        &["models"],
        &["routes"],
        &["weights"],
        &["bench"],
        &["data", "fetch"],
        &["data", "inspect"],
        &["data", "pack"],
        &["doctor"],
    ];
    for command in commands {
        let help = succeed(mp_train(here, &[command, &["--help"]].concat()));
        let example = format!("\n  mp-train {} ", command.join(" "));
        assert!(help.contains("Usage: mp-train") && help.contains(&example), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    }
}

#[test]
fn a_misspelt_command_or_option_is_one_line_with_the_nearest() {
    let here = Path::new(".");
    assert!(refused(mp_train(here, &["trian"])).contains("a similar subcommand exists: 'train'"));
    assert!(refused(mp_train(here, &["train", "digits", "--sett", "a.b=1"])).contains("'--set'"));
    assert!(refused(mp_train(here, &["eval"])).contains("<RUN>"));
    assert!(refused(mp_train(here, &["train", "--set", "epochs=3"])).contains("expected table.key=value"));
    assert!(refused(mp_train(here, &["bench", "resnet20_x3_cc@blocks"])).contains("expected KEY=VALUE"));
    assert!(refused(mp_train(here, &["train"])).contains("nothing says what to train"));
}

#[test]
fn models_are_listed_with_their_costs() {
    let list = succeed(mp_train(Path::new("."), &["models", "base_cnn_x3_c"]));
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["model", "base_cnn_x3_cc", "base_cnn_x3_cp"], "{list}");
    assert!(list.lines().next().is_some_and(|heading| heading.contains("parameters  multiply-adds")), "{list}");
    assert!(refused(mp_train(Path::new("."), &["models", "nonesuch"])).contains("no listed model contains `nonesuch`"));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let mut command = mp_train(Path::new("."), &["models", "base_cnn"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
